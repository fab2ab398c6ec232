"""Datasets, their items and the views of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from saccade.core.schema import Kind, Schema
from saccade.media.colors import palette
from saccade.server.schemas.base import Answer, Given
from saccade.server.schemas.encoding import plain


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
    classes: list[dict[str, Any]] = Field([])


class VersionAnswer(Answer):
    """A version of a dataset with its columns."""

    ref: str
    number: int
    items: int
    message: str
    author: str
    created: datetime
    columns: list[ColumnAnswer]
    branch: str
    parent: int | None
    merged: int | None
    added: int
    removed: int
    changed: int
    run_id: str | None
    inputs: list[str]


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
    run_id: str | None
    inputs: list[str]
    merged: int | None


class _Wanted(BaseModel):
    """Which items are asked for, in which order, and from where on."""

    where: str | None = Field(None, max_length=4000)
    cursor: str | None = Field(None, max_length=20)
    start: int = Field(0, ge=0, le=1 << 40)
    order: str | None = Field(None, max_length=2000)
    descending: bool = False


class ItemsWanted(_Wanted):
    limit: int = Field(100, ge=1, le=1000)


class KeysWanted(_Wanted):
    limit: int = Field(1000, ge=0, le=10_000)


class ItemAnswer(Answer):
    """An item: its key and its values by column."""

    key: str
    values: dict[str, Any]


class ItemPage(Answer):
    """Some items in order; ``next`` as ``cursor`` gives the next page, ``total`` says how many there are in all."""

    items: list[ItemAnswer]
    total: int
    next: str | None


class KeyPage(Answer):
    """Keys of some items in order; ``next`` as ``cursor`` gives the next page, ``total`` says how many in all."""

    keys: list[str]
    total: int
    next: str | None


def columns_of(schema: Schema) -> list[ColumnAnswer]:
    """The columns of a version; each class has a colour."""
    made = []
    for one in schema.columns:
        colors = palette(one.class_names)
        classes = [plain(info.to_json()) | {"color": info.color or colors[info.name]} for info in one.classes]
        made.append(ColumnAnswer(name=one.name, kind=one.kind, classes=classes))
    return made


class ViewAnswer(Answer):
    """A view of a dataset that was kept; ``filters`` are as in the address of the screen."""

    name: str
    filters: dict[str, str]
    author: str
    created: datetime


class NewView(Given):
    filters: dict[str, Annotated[str, Field(max_length=4000)]] = Field(max_length=20)
