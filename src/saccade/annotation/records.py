"""Label sets, their classes, items, objects and edits, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from saccade.core.errors import InvalidValueError, suggest
from saccade.core.geometry_json import geometry_from_json
from saccade.core.objects import Object, Objects

Start = Literal["labels", "empty", "predictions"]
EditKind = Literal["put", "patch", "delete", "restore", "state"]
EditStatus = Literal["applied", "unchanged", "refused"]
Fields = dict[str, Any]


class ItemState(StrEnum):
    """How far an item is labelled. ``EMPTY`` is confirmed to have no objects; ``SKIPPED`` has a reason."""

    UNLABELLED = "unlabelled"
    IN_PROGRESS = "in_progress"
    LABELLED = "labelled"
    EMPTY = "empty"
    SKIPPED = "skipped"


def parse_state(name: str) -> ItemState:
    """Return the state of a name.

    Raises:
        InvalidValueError: there is no such state.
    """
    if name not in list(ItemState):
        hint = suggest(name, ItemState) or f"States: {', '.join(ItemState)}."
        raise InvalidValueError(f"There is no state '{name[:60]}' of items.", hint=hint)
    return ItemState(name)


@dataclass(frozen=True, slots=True)
class Author:
    """Who edits: the id of a user ("" for the command line), and the name that others see."""

    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class AttributeSpec:
    """An attribute of a class: how it is entered.

    Attributes:
        choices: the values to choose from, for select and radio.
        default: the value of new objects.
    """

    name: str
    type: Literal["text", "number", "checkbox", "select", "radio"] = "text"
    choices: tuple[str, ...] = ()
    default: str | float | bool | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class LabelClass:
    """A class of a label set; edits refer to ``id``, so that it can be renamed.

    Attributes:
        color: "#rrggbb".
        hotkey: "1" to "9".
        parent: id of the parent class.
        keypoints: names of the keypoints.
        skeleton: pairs of keypoint indices.
        deleted: no new objects; the existing ones are removed at the next commit.
        dataset_name: name in the base version; None for a new class.
        successor: id of the class that it was merged into in the dataset.
    """

    id: str
    name: str
    color: str
    hotkey: str | None = None
    parent: str | None = None
    attributes: tuple[AttributeSpec, ...] = ()
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    deleted: bool = False
    dataset_name: str | None = None
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class LabelSet:
    """A label set.

    Attributes:
        dataset, branch: where commits go.
        column: the column of objects that is labelled.
        base: exact reference of the version that edits are based on.
        source: exact reference of the version whose items the set has.
        query: condition on the items of ``source``; None for all.
        seq: number of the last edit.
        committed_seq: number of the last edit in ``base``.
        uncommitted_edits: number of later edits by people.
        uncommitted_items: number of items with such edits.
        items: number of items.
        states: number of items in each state.
        unchecked: of these, the items that are labelled or empty in the dataset, and not marked as such in this set.
        has_uncommitted_classes: whether classes were changed since the last commit.
        predictions: exact reference of the version with the predictions that it starts with; None without.
        prediction_model: reference of the model that made them.
        min_score: predictions with a lower score are left out.
    """

    name: str
    dataset: str
    branch: str
    column: str
    start: Start
    query: str | None
    source: str
    base: str
    seq: int
    committed_seq: int
    uncommitted_edits: int
    uncommitted_items: int
    author: str
    created: datetime
    classes: tuple[LabelClass, ...] = ()
    items: int = 0
    states: Mapping[ItemState, int] = field(default_factory=dict)
    unchecked: Mapping[ItemState, int] = field(default_factory=dict)
    has_uncommitted_classes: bool = False
    predictions: str | None = None
    prediction_model: str | None = None
    min_score: float | None = None

    @property
    def done(self) -> int:
        """The number of items that were marked as labelled, empty or skipped in this set."""
        states = (ItemState.LABELLED, ItemState.EMPTY, ItemState.SKIPPED)
        return sum(self.states.get(state, 0) - self.unchecked.get(state, 0) for state in states)


@dataclass(frozen=True, slots=True)
class LabelObject:
    """An object of an item in a label set.

    Attributes:
        class_id: id of its class.
        geometry: as JSON; see :mod:`saccade.core.geometry_json`.
        order: objects are drawn, and stored in versions, in ascending order.
        source: "manual", "import", or the reference of a model.
        accepted: False for a prediction that is not decided yet: it is shown, but not committed.
    """

    id: str
    class_id: str
    geometry: Mapping[str, Any]
    attributes: Mapping[str, Any]
    score: float | None
    track: str | None
    order: float
    source: str
    deleted: bool = False
    accepted: bool = True


@dataclass(frozen=True, slots=True)
class ItemObjects:
    """The state of an item with its objects, in ascending order."""

    state: ItemState
    reason: str | None
    objects: tuple[LabelObject, ...]


@dataclass(frozen=True, slots=True)
class ItemSummary:
    """An item in a list.

    Attributes:
        index: its place among the items of the set.
        reason: why it was skipped.
        objects: number of objects.
        updated, updated_by: the last edit; None and "" without edits.
        width, height: of its image in pixels; None without an image.
        is_checked: False if it is labelled or empty in the dataset, and not marked as such in this set.
    """

    key: str
    index: int
    state: ItemState
    reason: str | None
    objects: int
    updated: datetime | None
    updated_by: str
    width: int | None
    height: int | None
    is_checked: bool = True


@dataclass(frozen=True, slots=True)
class LabelItem:
    """An item with its objects.

    Attributes:
        index: its place among the ``total`` items of the set.
        previous, next: keys of its neighbours.
        version_ref: exact reference of the version that has its image.
        image_column: the column of its image; None without one.
        image: the reference of the image.
        objects: in ascending order.
        seq: number of the last edit of the set that is in this state.
        is_checked: see :class:`ItemSummary`.
    """

    key: str
    index: int
    total: int
    previous: str | None
    next: str | None
    version_ref: str
    image_column: str | None
    image: Any
    state: ItemState
    reason: str | None
    objects: tuple[LabelObject, ...]
    seq: int
    is_checked: bool = True


@dataclass(frozen=True, slots=True)
class LabelledItem:
    """An item of a label set for programs.

    Attributes:
        reason: why it was skipped.
        objects: in ascending order, with the names of their classes; without those of deleted classes.
    """

    key: str
    state: ItemState
    reason: str | None
    objects: Objects


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit as its author sends it.

    Attributes:
        id: UUID made by the author, so that the edit can be sent again.
        item: key of the item.
        object: id of the object; None for a state.
        fields: the new values; see :mod:`saccade.annotation.edits`.
        base: number of the last edit that the author had seen.
        group: UUID of the act that the edit is part of: one step of undo.
        undoes, redoes: the group that it undoes or redoes.
    """

    id: str
    item: str
    object: str | None
    kind: EditKind
    fields: Mapping[str, Any]
    base: int
    group: str
    undoes: str | None = None
    redoes: str | None = None


@dataclass(frozen=True, slots=True)
class Overwritten:
    """A field that another author changed after the state that an edit is based on."""

    field: str
    author: str
    seq: int


@dataclass(frozen=True, slots=True)
class EditResult:
    """What became of an edit.

    Attributes:
        seq: its number in the log; None if it was not logged.
        code, reason: why it was refused.
        overwrote: changes of others that it replaced.
        deleted_by: who deleted the object that it patched.
    """

    id: str
    status: EditStatus
    seq: int | None = None
    code: str | None = None
    reason: str | None = None
    overwrote: tuple[Overwritten, ...] = ()
    deleted_by: str | None = None


@dataclass(frozen=True, slots=True)
class AppliedEdit:
    """An edit of the log.

    Attributes:
        edit: with the fields that changed something.
        before: the values that it replaced; for a deletion the whole object.
        is_merge: whether it came from the branch at a commit.
    """

    edit: Edit
    seq: int
    author: Author
    time: datetime
    before: Mapping[str, Any]
    overwrote: tuple[Overwritten, ...] = ()
    deleted_by: str | None = None
    is_merge: bool = False


@dataclass(frozen=True, slots=True)
class ClassChange:
    """A change of a class of the dataset by a commit.

    Attributes:
        name: its name; the new one if it was renamed.
        change: "changed" is a new name, colour, parent, keypoints or skeleton.
        previous_name: the name before, if it was renamed.
    """

    name: str
    change: Literal["added", "changed", "removed"]
    previous_name: str | None = None


@dataclass(frozen=True, slots=True)
class CommitPreview:
    """What a commit would change, compared with the base.

    Attributes:
        base: exact reference of the base.
        items: number of items with uncommitted edits.
        changed_items: number of items whose labels in the dataset would change.
        added, removed, changed: numbers of objects; ``removed`` has those of removed classes, too.
        classes: the classes that would change.
    """

    base: str
    items: int
    changed_items: int
    added: int
    removed: int
    changed: int
    classes: tuple[ClassChange, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitResult:
    """The result of a commit.

    Attributes:
        version: exact reference of the version; the base if there was nothing to commit.
        is_new: whether a version was created.
        items: number of items whose edits were committed.
        added, removed, changed: numbers of objects, compared with the base.
        seq: number of the last edit in the version.
        classes: the classes of the dataset that changed.
    """

    version: str
    is_new: bool
    items: int
    added: int
    removed: int
    changed: int
    seq: int
    classes: tuple[ClassChange, ...] = ()


def live_objects(objects: Iterable[LabelObject]) -> tuple[LabelObject, ...]:
    """Return the objects that are not deleted, in ascending order."""
    return tuple(sorted((obj for obj in objects if not obj.deleted), key=lambda obj: (obj.order, obj.id)))


def to_core_objects(objects: Iterable[LabelObject], names: Mapping[str, str]) -> Objects:
    """Return the objects of a label set as those of a dataset; without objects of classes that have no name.

    Args:
        objects: the objects.
        names: the name of each class by id.
    """
    return tuple(
        Object(
            obj.id, names[obj.class_id], geometry_from_json(obj.geometry), obj.score, obj.track, dict(obj.attributes)
        )
        for obj in live_objects(objects)
        if obj.class_id in names
    )
