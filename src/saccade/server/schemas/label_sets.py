"""Label sets, their classes, items, edits and commits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from saccade.annotation.records import AttributeSpec, Edit, ItemState, LabelClass
from saccade.core.schema import HEX_COLOR
from saccade.server.schemas.base import RequestModel, ResponseModel

MAX_EDITS = 256
"""Edits of one request."""
_UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
Uuid = Annotated[str, Field(pattern=_UUID)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Key = Annotated[str, Field(min_length=1, max_length=1000)]


class LabelSetCreate(RequestModel):
    """A new label set of a dataset (``cells``), of a branch (``cells@review``) or of a version (``cells@3``).

    The start ``predictions`` needs ``predictions``, the dataset version that a model wrote: unlabelled items get its
    objects, except those with a score below ``min_score``.
    """

    name: Name
    dataset: Annotated[str, Field(max_length=500)]
    column: Name = "objects"
    start: Literal["labels", "empty", "predictions"] = "labels"
    query: Annotated[str, Field(max_length=4000)] | None = None
    predictions: Annotated[str, Field(max_length=500)] | None = None
    min_score: float = Field(0.0, ge=0, le=1)
    classes: list[Name] = Field(default=[], max_length=1000)


class AttributeModel(RequestModel):
    """An attribute of a class: how it is entered."""

    name: Name
    type: Literal["text", "number", "checkbox", "select", "radio"] = "text"
    choices: list[Annotated[str, Field(max_length=1000)]] = Field(default=[], max_length=1000)
    default: bool | float | Annotated[str, Field(max_length=1000)] | None = None
    required: bool = False


class LabelClassUpdate(RequestModel):
    """A class without its id. A deleted class gets no new objects; the next commit removes the existing ones."""

    name: Name
    color: Annotated[str, Field(pattern=HEX_COLOR)]
    hotkey: Annotated[str, Field(pattern="^[1-9]$")] | None = None
    parent: Annotated[str, Field(max_length=64)] | None = None
    attributes: list[AttributeModel] = Field(default=[], max_length=200)
    keypoints: list[Name] = Field(default=[], max_length=1000)
    skeleton: list[tuple[int, int]] = Field(default=[], max_length=5000)
    deleted: bool = False

    def to_class(self, class_id: str) -> LabelClass:
        """Return the class with an id."""
        return LabelClass(
            class_id,
            self.name,
            self.color.lower(),
            self.hotkey,
            self.parent,
            tuple(
                AttributeSpec(spec.name, spec.type, tuple(spec.choices), spec.default, spec.required)
                for spec in self.attributes
            ),
            tuple(self.keypoints),
            tuple(self.skeleton),
            self.deleted,
        )


class LabelClassResponse(ResponseModel):
    """A class of a label set. Edits refer to its id, so that it can be renamed."""

    id: str
    name: str
    color: str
    hotkey: str | None
    parent: str | None
    attributes: list[AttributeModel]
    keypoints: list[str]
    skeleton: list[tuple[int, int]]
    deleted: bool


class ItemStates(ResponseModel):
    """The number of items in each state."""

    unlabelled: int
    in_progress: int
    labelled: int
    empty: int
    skipped: int


class LabelSetResponse(ResponseModel):
    """A label set.

    ``source`` is the version whose items it has, ``base`` the one that edits are based on. ``seq`` is the number of the
    last edit, ``committed_seq`` that of the last edit in ``base``. ``predictions`` is the version with the predictions
    that it starts with, ``prediction_model`` the model that made them. ``unchecked`` counts the items that are
    labelled or empty in the dataset and not marked as such in this set, ``done`` those that were marked as labelled,
    empty or skipped.
    """

    name: str
    dataset: str
    branch: str
    column: str
    start: Literal["labels", "empty", "predictions"]
    query: str | None
    predictions: str | None
    prediction_model: str | None
    min_score: float | None
    source: str
    base: str
    classes: list[LabelClassResponse]
    seq: int
    committed_seq: int
    uncommitted_edits: int
    uncommitted_items: int
    has_uncommitted_classes: bool
    items: int
    states: ItemStates
    unchecked: ItemStates
    done: int
    created: datetime
    author: str


class LabelSetList(ResponseModel):
    """The label sets of the project by name."""

    label_sets: list[LabelSetResponse]


class LabelItemSummary(ResponseModel):
    """An item in a list; ``index`` is its place in the set, ``version_ref`` the version with its image."""

    key: str
    index: int
    state: ItemState
    reason: str | None
    objects: int
    updated: datetime | None
    updated_by: str
    version_ref: str
    width: int | None
    height: int | None
    is_checked: bool


class LabelItemPage(ResponseModel):
    """A page of items; ``total`` counts all items that match."""

    total: int
    items: list[LabelItemSummary]


class LabelObjectResponse(ResponseModel):
    """An object. ``class`` is the id of a class; objects are drawn in ascending ``order``.

    ``accepted`` is false for a prediction that is not decided yet: commits leave it out.
    """

    id: str
    class_: str = Field(alias="class")
    geometry: dict[str, Any]
    attributes: dict[str, Any]
    score: float | None
    track: str | None
    order: float
    source: str
    deleted: bool
    accepted: bool


class LabelItemResponse(ResponseModel):
    """An item with its objects. ``seq`` is the number of the last edit of the set that they include.

    ``previous`` and ``next`` are the keys of its neighbours. ``image`` has its column and the reference of the file.
    """

    key: str
    index: int
    total: int
    previous: str | None
    next: str | None
    version_ref: str
    image: dict[str, Any] | None
    state: ItemState
    reason: str | None
    objects: list[LabelObjectResponse]
    seq: int
    is_checked: bool


class EditRequest(RequestModel):
    """An edit.

    ``id`` is made by the client, so that the edit can be sent again. ``put`` creates an object with the fields
    ``class``, ``geometry``, ``attributes``, ``score``, ``track``, ``order``, ``source`` and ``accepted``. ``patch``
    changes any of ``class``, ``geometry``, ``score``, ``track``, ``order``, ``accepted`` and ``attributes.NAME``.
    ``delete`` and ``restore`` have no fields. ``state`` sets the ``state`` and ``reason`` of the item; ``object`` is
    null then. ``base`` is the number of the last edit that the client had seen, ``group`` the id of the act that is
    undone as one.
    """

    id: Uuid
    item: Key
    object: Annotated[str, Field(max_length=1000)] | None = None
    kind: Literal["put", "patch", "delete", "restore", "state"]
    fields: dict[str, Any] = Field(default={})
    base: int = Field(0, ge=0, le=1 << 40)
    group: Uuid
    undoes: Uuid | None = None
    redoes: Uuid | None = None

    def to_edit(self) -> Edit:
        return Edit(
            self.id.lower(),
            self.item,
            self.object,
            self.kind,
            self.fields,
            self.base,
            self.group.lower(),
            None if self.undoes is None else self.undoes.lower(),
            None if self.redoes is None else self.redoes.lower(),
        )


class EditsRequest(RequestModel):
    """Edits in their order."""

    edits: list[EditRequest] = Field(min_length=1, max_length=MAX_EDITS)


class OverwrittenField(ResponseModel):
    """A field that another author changed after the state that the edit is based on."""

    field: str
    author: str
    seq: int


class EditResultResponse(ResponseModel):
    """What became of an edit. ``code`` and ``reason`` say why it was refused."""

    id: str
    status: Literal["applied", "unchanged", "refused"]
    seq: int | None
    code: str | None
    reason: str | None
    overwrote: list[OverwrittenField]
    deleted_by: str | None


class EditsResponse(ResponseModel):
    """The results of edits in their order, and the number of the last edit of the set. They are durable."""

    results: list[EditResultResponse]
    seq: int


class AppliedEditResponse(ResponseModel):
    """An edit of the log. ``before`` has the values that it replaced; for a deletion the whole object.

    ``is_merge`` marks what came from the branch at a commit.
    """

    id: str
    item: str
    object: str | None
    kind: Literal["put", "patch", "delete", "restore", "state"]
    fields: dict[str, Any]
    base: int
    group: str
    undoes: str | None
    redoes: str | None
    seq: int
    author: str
    author_id: str
    time: datetime
    before: dict[str, Any]
    overwrote: list[OverwrittenField]
    deleted_by: str | None
    is_merge: bool


class HistoryResponse(ResponseModel):
    """Edits in the order of their numbers."""

    edits: list[AppliedEditResponse]


class PresenceUpdate(RequestModel):
    """On what a client is working; ``client`` is an id that it makes up for one open page."""

    client: Annotated[str, Field(min_length=1, max_length=100)]
    item: Key | None = None
    object: Annotated[str, Field(max_length=1000)] | None = None


class LabelCommit(RequestModel):
    """A commit. ``prefer`` takes the value of the label set or of the dataset if both changed it."""

    message: Annotated[str, Field(max_length=10_000)] = ""
    prefer: Literal["labels", "dataset"] | None = None


class ClassChangeResponse(ResponseModel):
    """A change of a class of the dataset. ``previous_name`` is its name before, if it was renamed."""

    name: str
    change: Literal["added", "changed", "removed"]
    previous_name: str | None


class LabelCommitPreview(ResponseModel):
    """What a commit would change, compared with the base.

    ``items`` have uncommitted edits; the labels of ``changed_items`` of them would change. ``removed`` also counts the
    objects of removed classes.
    """

    base: str
    items: int
    changed_items: int
    added: int
    removed: int
    changed: int
    classes: list[ClassChangeResponse]


class LabelCommitResponse(ResponseModel):
    """The version of a commit, and what changed: items of the set, objects, and classes of the dataset."""

    version: str
    is_new: bool
    items: int
    added: int
    removed: int
    changed: int
    seq: int
    classes: list[ClassChangeResponse]
