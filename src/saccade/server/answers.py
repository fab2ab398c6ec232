"""The shapes of what the API takes and gives; apart from how things are stored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from saccade.core.objects import Box, Geometry, Object
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import FileRef, ImageRef, Kind, Schema, VideoRef
from saccade.store.people import LONGEST_PASSWORD

_FIELDS: dict[type[Any], tuple[str, ...]] = {}
_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


class Given(BaseModel):
    """What comes in; a field that is not known is an error."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Problem(Answer):
    """What is wrong: a stable word, a sentence, what to do, and the fields that it is about."""

    code: str
    message: str
    hint: str = ""
    fields: dict[str, str] = {}


class Failure(Answer):
    """Every error of the API."""

    error: Problem


class Health(Answer):
    status: str
    version: str


class SignIn(Given):
    email: str = Field(max_length=255)
    password: str = Field(max_length=LONGEST_PASSWORD)


class NewPassword(Given):
    old: str = Field(max_length=LONGEST_PASSWORD)
    new: str = Field(max_length=LONGEST_PASSWORD)


class PersonAnswer(Answer):
    id: str
    email: str
    name: str
    role: Role
    created: datetime


class SessionAnswer(Answer):
    """Who is signed in; ``guard`` goes into the header X-Saccade-Guard of whatever changes something."""

    person: PersonAnswer
    role: Role
    guard: str | None


class NewRole(Given):
    role: Role


class NewInvitation(Given):
    email: str = Field(max_length=255)
    role: Role = Role.ANNOTATOR


class InvitationAnswer(Answer):
    id: str
    email: str
    role: Role
    created: datetime
    expires: datetime


class InvitationMade(InvitationAnswer):
    """With the link, which is shown once."""

    link: str


class Secret(Given):
    secret: str = Field(max_length=200)


class Joining(Secret):
    name: str = Field(max_length=200)
    password: str = Field(max_length=LONGEST_PASSWORD)
    email: str = Field("", max_length=255)


class NewToken(Given):
    name: str = Field(max_length=200)
    role: Role = Role.VIEWER
    days: int = Field(90, ge=1, le=3660)


class TokenAnswer(Answer):
    id: str
    name: str
    role: Role
    created: datetime
    used: datetime | None
    expires: datetime


class TokenMade(TokenAnswer):
    """With the token itself, which is shown once."""

    token: str


class DeedAnswer(Answer):
    id: int
    at: datetime
    person: str | None
    action: str
    subject: str
    address: str


class DeedPage(Answer):
    """Newest first; ``next`` as ``before`` gives the next page."""

    deeds: list[DeedAnswer]
    next: int | None


class DatasetAnswer(Answer):
    name: str
    latest: int
    items: int
    created: datetime
    updated: datetime
    columns: dict[str, str]


class ColumnAnswer(Answer):
    name: str
    kind: Kind
    classes: list[dict[str, Any]] = []


class VersionAnswer(Answer):
    """A version of a dataset with its columns."""

    ref: str
    number: int
    items: int
    message: str
    author: str
    created: datetime
    columns: list[ColumnAnswer]


class LogEntry(Answer):
    number: int
    branch: str
    parent: int | None
    message: str
    author: str
    created: datetime
    items: int
    added: int
    removed: int
    changed: int


class ItemAnswer(Answer):
    """An item: its key and its values by column."""

    key: str
    values: dict[str, Any]


class ItemPage(Answer):
    """Some items in order; ``next`` as ``cursor`` gives the next page, ``total`` says how many there are in all."""

    items: list[ItemAnswer]
    total: int
    next: str | None


def plain(value: Any) -> Any:
    """A value as JSON; numbers that are not finite as the texts NaN, Infinity and -Infinity."""
    made: Any = value
    if isinstance(value, float):
        made = value if math.isfinite(value) else _NOT_FINITE.get(value, "NaN")
    elif isinstance(value, Object):
        made = _plain_object(value)
    elif isinstance(value, Mapping):
        made = {str(name): plain(inner) for name, inner in value.items()}
    elif isinstance(value, ImageRef | VideoRef | FileRef):
        made = plain({name: inner for name, inner in asdict(value).items() if name != "uri"})
    elif is_dataclass(value) and not isinstance(value, type):
        made = plain(asdict(value))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        made = [plain(inner) for inner in value]
    return made


def _plain_object(one: Object) -> dict[str, Any]:
    return {
        "id": one.id, "class": one.class_name, "score": one.score, "track": one.track,
        "geometry": _plain_geometry(one.geometry), "bounds": one.geometry.bounds_xyxy(),
        "attributes": plain(one.attributes) if one.attributes else {},
    }  # fmt: skip


def _plain_geometry(geometry: Geometry) -> dict[str, Any]:
    """A shape by its fields; their numbers are finite."""
    made: dict[str, Any] = {"type": geometry.type}
    for name in _fields_of(type(geometry)):
        value = getattr(geometry, name)
        made[name] = _plain_geometry(value) if isinstance(value, Box) else value
    return made


def _fields_of(kind: type[Any]) -> tuple[str, ...]:
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(one.name for one in fields(kind))
    return _FIELDS[kind]


def plain_item(item: Item) -> dict[str, Any]:
    """An item as :class:`ItemAnswer` has it."""
    return {"key": item.key, "values": {name: plain(value) for name, value in item.values.items()}}


def columns_of(schema: Schema) -> list[ColumnAnswer]:
    """The columns of a version."""
    return [
        ColumnAnswer(name=one.name, kind=one.kind, classes=[plain(info.to_json()) for info in one.classes])
        for one in schema.columns
    ]
