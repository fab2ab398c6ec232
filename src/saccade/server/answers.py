"""The shapes of what the API takes and gives; apart from how things are stored."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from saccade.app.panels.blocks import AnyBlock
from saccade.app.panels.panel import Place
from saccade.core.classes import AddClass, ClassAct, MergeClass, RecolorClass, RemoveClass, RenameClass
from saccade.core.events import EventName
from saccade.core.objects import Box, Geometry, Object
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import FileRef, ImageRef, Kind, Schema, VideoRef
from saccade.media.colors import palette
from saccade.store.entrance import LONGEST_PASSWORD

MESSAGE = 2000
"""The longest message of a version."""
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


class WaysAnswer(Answer):
    """How one may sign in besides with a password.

    ``provider`` is the name of the one for single sign-on, null where there is none. ``connecting`` is the address of
    an account that this browser has shown to be known there, and that is to give its password.
    """

    provider: str | None
    connecting: str | None


class SignInWanted(Given):
    """``next`` is the path of this server to which it leads."""

    next: str = Field("/", max_length=2000)


class SignInBegun(Answer):
    """Where the browser goes to."""

    address: str


class NewPassword(Given):
    old: str = Field(max_length=LONGEST_PASSWORD)
    new: str = Field(max_length=LONGEST_PASSWORD)


class PersonAnswer(Answer):
    id: str
    email: str
    name: str
    role: Role | None
    created: datetime
    has_password: bool


class SessionAnswer(Answer):
    """Who is signed in; ``guard`` goes into the header X-Saccade-Guard of whatever changes something.

    ``role`` is what they may in the project, null where they are not in it.
    """

    person: PersonAnswer
    role: Role | None
    guard: str | None


class NewRole(Given):
    role: Role


class NewInvitation(Given):
    email: str = Field(max_length=255)
    role: Role = Role.ANNOTATOR


class InvitationAnswer(Answer):
    """An invitation; looked at by its link it names the project, and says more.

    ``is_known``: there is an account already; ``has_password``: which has a password.
    """

    id: str
    email: str
    role: Role
    created: datetime
    expires: datetime
    project: str
    is_known: bool
    has_password: bool


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


def plain(value: Any) -> Any:
    """A value as JSON; numbers that are not finite as the texts NaN, Infinity and -Infinity."""
    return _PLAIN.get(type(value), _plain_other)(value)


def _plain_number(value: float) -> float | str:
    return value if math.isfinite(value) else _NOT_FINITE.get(value, "NaN")


def _plain_list(value: Sequence[Any]) -> list[Any]:
    return [plain(inner) for inner in value]


def _plain_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): plain(inner) for name, inner in value.items()}


def _plain_media(value: ImageRef | VideoRef | FileRef) -> dict[str, Any]:
    return {name: plain(getattr(value, name)) for name in _fields_of(type(value)) if name != "uri"}


def _plain_other(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain_mapping(asdict(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _plain_list(value)
    return value


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


_PLAIN: Mapping[type[Any], Callable[[Any], Any]] = {
    float: _plain_number, list: _plain_list, tuple: _plain_list, dict: _plain_mapping, Object: _plain_object,
    ImageRef: _plain_media, VideoRef: _plain_media, FileRef: _plain_media, str: lambda text: text,
}  # fmt: skip


def plain_item(item: Item) -> dict[str, Any]:
    """An item as :class:`ItemAnswer` has it."""
    return {"key": item.key, "values": {name: plain(value) for name, value in item.values.items()}}


def as_json(value: Any) -> Response:
    """An answer that is plain already: not looked at again by pydantic, which for a page takes longer than all else."""
    try:
        body = orjson.dumps(value)
    except TypeError:  # a number of more than 64 bits
        body = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return Response(body, media_type="application/json")


def columns_of(schema: Schema) -> list[ColumnAnswer]:
    """The columns of a version; each class has a colour."""
    made = []
    for one in schema.columns:
        colors = palette(one.class_names)
        classes = [plain(info.to_json()) | {"color": info.color or colors[info.name]} for info in one.classes]
        made.append(ColumnAnswer(name=one.name, kind=one.kind, classes=classes))
    return made


class NewProject(Given):
    name: str = Field(max_length=200)


class ProjectAnswer(Answer):
    """A project, and what whoever asks is in it."""

    name: str
    role: Role | None
    created: datetime


class DatasetNames(Answer):
    """Names of versions and the numbers that they stand for."""

    branches: dict[str, int]
    tags: dict[str, int]
    aliases: dict[str, int]


class OldVersion(Given):
    number: int = Field(ge=1, lt=1 << 31)


class Restoring(OldVersion):
    message: str = Field("", max_length=MESSAGE)


class NewTag(OldVersion):
    name: str = Field(max_length=100)


class NewBranch(NewTag):
    pass


class MovedAlias(NewTag):
    pass


Side = Literal["ours", "theirs"]


class Choice(Given):
    """A conflict, as it is listed, and the side to take; without one it stays open."""

    key: str = Field(max_length=2000)
    column: str | None = Field(None, max_length=200)
    object: str | None = Field(None, max_length=2000)
    class_: str | None = Field(None, alias="class", max_length=2000)
    take: Side | None = None


class NewMerge(Given):
    """What is merged into which branch, and which side is taken in conflicts: as chosen one by one, else ``take``.

    With ``dry_run`` it is only said what would be done. Of the conflicts some are listed: ``limit`` from ``start`` on.
    """

    into: str = Field("main", max_length=200)
    take: Side | None = None
    choices: list[Choice] = Field([], max_length=10_000)
    message: str = Field("", max_length=MESSAGE)
    dry_run: bool = False
    start: int = Field(0, ge=0, le=1 << 40)
    limit: int = Field(1000, ge=0, le=10_000)


class ConflictAnswer(Answer):
    """Something that both sides changed, each in its own way.

    ``column`` is null where one side removed the item that the other changed; ``object`` where it is the value as a
    whole; ``class`` is for its definition. ``take`` is the side that was chosen, null while nobody has.
    """

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    key: str
    column: str | None
    object: str | None
    class_: str | None = Field(alias="class")
    ours: Literal["added", "changed", "removed"]
    theirs: Literal["added", "changed", "removed"]
    take: Side | None


class MergeAnswer(Answer):
    """What a merge did, or would do: exact references, items, and conflicts with how many there are and are open.

    ``version`` is null where nothing was done yet.
    """

    version: str | None
    base: str
    ours: str
    theirs: str
    added: int
    removed: int
    changed: int
    conflicts: list[ConflictAnswer]
    total: int
    open: int


class NewAlias(Given):
    name: str = Field(max_length=100)


class ItemsChange(Given):
    """Items by their keys, or all for which a query holds; and what is done to them."""

    keys: list[str] | None = Field(None, max_length=100_000)
    where: str | None = Field(None, max_length=4000)
    act: Literal["delete", "split", "tag", "untag"]
    value: str = Field("", max_length=200)
    message: str = Field("", max_length=MESSAGE)


class ClassAnswer(Answer):
    """A class of a column; ``objects`` counts the objects or labels that are of it, ``items`` the items with one."""

    column: str
    name: str
    color: str
    parent: str | None
    keypoints: list[str]
    objects: int
    items: int


class ClassesAnswer(Answer):
    """The classes of a version, column by column, each in its order."""

    ref: str
    number: int
    classes: list[ClassAnswer]


_ClassName = Annotated[str, Field(max_length=1000)]


class _OfClass(Given):
    """What is done to a class; in one column, or in all that have it."""

    name: _ClassName
    column: str | None = Field(None, max_length=200)


class ClassAdded(_OfClass):
    act: Literal["add"]
    color: str | None = Field(None, max_length=20)

    def on(self) -> ClassAct:
        return AddClass(name=self.name, column=self.column, color=self.color)


class ClassRenamed(_OfClass):
    act: Literal["rename"]
    to: _ClassName

    def on(self) -> ClassAct:
        return RenameClass(name=self.name, column=self.column, to=self.to)


class ClassRecolored(_OfClass):
    act: Literal["recolor"]
    color: str = Field(max_length=20)

    def on(self) -> ClassAct:
        return RecolorClass(name=self.name, column=self.column, color=self.color)


class ClassMerged(_OfClass):
    act: Literal["merge"]
    into: _ClassName

    def on(self) -> ClassAct:
        return MergeClass(name=self.name, column=self.column, into=self.into)


class ClassRemoved(_OfClass):
    """``with_objects``: also what is of it; else it is refused where there is something."""

    act: Literal["remove"]
    with_objects: bool = False

    def on(self) -> ClassAct:
        return RemoveClass(name=self.name, column=self.column, with_objects=self.with_objects)


class ClassesChange(Given):
    """Acts on classes, done one after another and all together; ``after`` is the version that one looked at."""

    after: int = Field(ge=1, lt=1 << 31)
    acts: list[
        Annotated[ClassAdded | ClassRenamed | ClassRecolored | ClassMerged | ClassRemoved, Field(discriminator="act")]
    ] = Field(min_length=1, max_length=1000)
    message: str = Field("", max_length=1000)


class VersionMade(Answer):
    ref: str
    number: int
    items: int


class NewJob(Given):
    """``parameters`` are those of the kind."""

    kind: str = Field(max_length=40)
    parameters: dict[str, Any]


class JobProgress(Answer):
    what: str = ""
    done: int = 0
    total: int | None = None
    note: str = ""


class JobAnswer(Answer):
    id: str
    person: str | None
    kind: str
    title: str
    parameters: dict[str, Any]
    state: Literal["queued", "running", "finished", "failed", "cancelled"]
    attempts: int
    is_cancelled: bool
    progress: JobProgress
    result: dict[str, Any]
    error: str
    hint: str
    created: datetime
    started: datetime | None
    finished: datetime | None


class JobPage(Answer):
    jobs: list[JobAnswer]
    next: str | None


class Wanted(Given):
    """A file as an item names it; ``frame`` where an image is one of several in it."""

    kind: Literal["image", "video", "file"]
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    frame: int | None = Field(None, ge=0, lt=1 << 40)


class WantedFiles(Given):
    files: list[Wanted] = Field(max_length=5000)


class HeldFiles(Answer):
    """For each file that was asked for, whether the project has it already, so that it need not be sent."""

    held: list[bool]


class UploadAnswer(Answer):
    id: str
    files: int
    bytes: int


class Received(Answer):
    files: int


class FormatAnswer(Answer):
    name: str
    holds: str
    can_write: bool


class FolderAnswer(Answer):
    """A folder of the server: the folders in it as paths, and its files by name."""

    path: str | None
    folders: list[str]
    files: list[str]


class ModelAnswer(Answer):
    ref: str
    name: str
    number: int
    aliases: list[str]
    metrics: dict[str, Any]
    inputs: list[str]
    licence: str
    run: str | None
    created: datetime


class AliasChangeAnswer(Answer):
    alias: str
    previous: int | None
    number: int | None
    author: str
    at: datetime


class EvaluationAnswer(Answer):
    id: str
    model: str | None
    dataset: str
    split: str
    kind: str
    metrics: dict[str, Any]
    created: datetime


class ModelPage(ModelAnswer):
    manifest: dict[str, Any]
    files: dict[str, str]
    versions: list[ModelAnswer]
    changes: list[AliasChangeAnswer]
    evaluations: list[EvaluationAnswer]


class RunAnswer(Answer):
    id: str
    kind: str
    name: str
    state: Literal["running", "finished", "stopped", "failed", "interrupted"]
    inputs: list[str]
    outputs: list[str]
    metrics: dict[str, Any]
    created: datetime
    finished: datetime | None
    error: str
    job: str | None
    config: dict[str, Any] = {}


class EventPage(Answer):
    """What a run told, some events of how many there are."""

    events: list[dict[str, Any]]
    total: int


class StepAnswer(Answer):
    """A step of a run of a pipeline; ``action`` and what follows are there when it is done.

    ``worked`` of the ``items`` were worked on, the others were known; ``failures`` are pairs of a key and why.
    """

    step: str
    state: Literal["waiting", "running", "done", "failed", "stopped"]
    operation: str = ""
    action: str = ""
    reasons: list[str] = []
    items: int | None = None
    worked: int = 0
    failed: int = 0
    failures: list[list[str]] = []
    seconds: float = 0.0
    value: Any = None


class DrawnBox(Answer):
    step: str
    operation: str
    x: float
    y: float


class DrawnLine(Answer):
    """A line between two boxes; ``path`` is as SVG takes it."""

    model_config = ConfigDict(populate_by_name=True)

    from_: str = Field(alias="from")
    to: str
    path: str


class DrawingAnswer(Answer):
    """A graph as a picture: where the boxes of its steps lie, all of the size ``box``."""

    name: str
    width: float
    height: float
    box: list[float]
    boxes: list[DrawnBox]
    lines: list[DrawnLine]


class PipelineRunAnswer(Answer):
    drawing: DrawingAnswer | None
    steps: list[StepAnswer]


class PortAnswer(Answer):
    name: str
    type: str
    several: bool
    optional: bool
    help: str


class OperationAnswer(Answer):
    """An operation; ``granularity`` says what is done again when something changes, ``parameters`` is a JSON Schema."""

    name: str
    granularity: str
    help: str
    output: str
    inputs: list[PortAnswer]
    parameters: dict[str, Any]


class ComponentNames(Answer):
    encoders: list[str]
    necks: list[str]
    heads: list[str]
    augmentations: list[str]


class ViewAnswer(Answer):
    """A view of a dataset that was kept; ``filters`` are as in the address of the screen."""

    name: str
    filters: dict[str, str]
    author: str
    created: datetime


class NewView(Given):
    filters: dict[str, Annotated[str, Field(max_length=4000)]] = Field(max_length=20)


class RecipeAnswer(Answer):
    """A recipe as YAML."""

    recipe: str


class DeliveryAnswer(Answer):
    """What a webhook is told of one event, and how the last attempt went; ``due`` is the next, where it waits."""

    number: int
    id: str
    event: str
    state: Literal["waiting", "sending", "delivered", "failed"]
    attempts: int
    created: datetime
    due: datetime
    tried: datetime | None
    took: int | None
    status: int | None
    error: str
    body: str


class DeliveryPage(Answer):
    """Newest first; ``next`` as ``before`` gives the next page."""

    deliveries: list[DeliveryAnswer]
    next: int | None


class NewWebhook(Given):
    """An address, and the events that it is told of; all of them where none are named."""

    url: str = Field(max_length=2000)
    events: list[EventName] | None = Field(None, max_length=100)


class WebhookChange(Given):
    url: str | None = Field(None, max_length=2000)
    events: list[EventName] | None = Field(None, max_length=100)
    is_on: bool | None = None


class WebhookAnswer(Answer):
    """A webhook; ``trouble`` says why it is off where nobody switched it off, ``waiting`` what is still to be sent."""

    id: str
    url: str
    events: list[EventName]
    is_on: bool
    trouble: str
    failing_since: datetime | None
    author: str
    created: datetime
    waiting: int
    last: DeliveryAnswer | None


class WebhookMade(WebhookAnswer):
    """With the secret with which it signs, which is shown once."""

    secret: str


class PanelAnswer(Answer):
    """A panel; ``error`` says why it cannot be shown, where its package is broken, and nobody knows its place."""

    name: str
    title: str
    place: Place | None
    role: Role
    help: str
    package: str
    error: str


class PanelShown(Answer):
    """The blocks of a panel in order; none where it failed, and ``error`` then says why."""

    blocks: list[AnyBlock]
    error: Problem | None
