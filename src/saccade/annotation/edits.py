"""Apply edits to the state of an item: the rules of the edit log, without any database.

The last writer wins, field by field: an edit replaces the value of each of its fields, whatever the author had seen.
The author learns which changes of others were replaced. A deletion wins over a change: the change is applied to the
deleted object, and appears if that is restored.

Fields of an object: ``class`` (id of a class), ``geometry``, ``attributes.NAME``, ``score``, ``track``, ``order``,
``accepted`` (of a prediction) and, for new objects, ``attributes`` and ``source``. Fields of an item:
``state`` and ``reason``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from saccade.annotation.records import (
    AppliedEdit,
    Author,
    Edit,
    EditResult,
    Fields,
    ItemState,
    LabelClass,
    LabelObject,
    Overwritten,
)
from saccade.core.errors import InvalidValueError
from saccade.core.geometry_json import geometry_from_json, geometry_to_json
from saccade.core.objects import Keypoints, Mask

MAX_TEXT_LENGTH = 10_000
MAX_ID_LENGTH = 200
MAX_LISTED_CHOICES = 10
ATTRIBUTE_PREFIX = "attributes."
_DELETED = "deleted"
_STATES_OF_WORK = (ItemState.IN_PROGRESS, ItemState.LABELLED)
"""The states in which the objects of an item may change; an edit of an object leaves all others."""


class Stamp(NamedTuple):
    """The last edit of a field: its number and author."""

    seq: int
    author_id: str
    author: str


_NO_STAMP = Stamp(0, "", "")


@dataclass(slots=True)
class ObjectState:
    """An object while edits are applied to it."""

    id: str
    class_id: str
    geometry: Mapping[str, Any]
    attributes: dict[str, Any]
    score: float | None
    track: str | None
    order: float
    source: str
    deleted: bool = False
    stamps: dict[str, Stamp] = field(default_factory=dict)
    is_stored: bool = False
    is_changed: bool = False
    accepted: bool = True

    def to_fields(self) -> Fields:
        """Return the fields with which a new object would be the same."""
        return {
            "class": self.class_id,
            "geometry": dict(self.geometry),
            "attributes": dict(self.attributes),
            "score": self.score,
            "track": self.track,
            "order": self.order,
            "source": self.source,
            "accepted": self.accepted,
        }

    def to_object(self) -> LabelObject:
        return LabelObject(
            self.id,
            self.class_id,
            self.geometry,
            self.attributes,
            self.score,
            self.track,
            self.order,
            self.source,
            self.deleted,
            self.accepted,
        )

    def get(self, name: str) -> Any:
        """Return the value of a field; None for an attribute that is not set."""
        if name.startswith(ATTRIBUTE_PREFIX):
            return self.attributes.get(name.removeprefix(ATTRIBUTE_PREFIX))
        return self.class_id if name == "class" else getattr(self, name)

    def set(self, name: str, value: Any) -> None:
        """Set a field; None removes an attribute."""
        if not name.startswith(ATTRIBUTE_PREFIX):
            setattr(self, "class_id" if name == "class" else name, value)
        elif value is None:
            self.attributes.pop(name.removeprefix(ATTRIBUTE_PREFIX), None)
        else:
            self.attributes[name.removeprefix(ATTRIBUTE_PREFIX)] = value


@dataclass(slots=True)
class ItemEdits:
    """An item while edits are applied to it.

    Attributes:
        objects: the objects that the edits refer to, by id; deleted ones, too.
        count: number of all objects that are not deleted.
        next_order: above the order of each object.
        seq, edit_seq: the last edit, and the last one by a person.
    """

    key: str
    state: ItemState
    reason: str | None = None
    objects: dict[str, ObjectState] = field(default_factory=dict)
    count: int = 0
    next_order: float = 0.0
    seq: int = 0
    edit_seq: int = 0
    state_stamp: Stamp = _NO_STAMP
    updated: datetime | None = None
    updated_by: str = ""
    is_stored: bool = False
    is_changed: bool = False


class RefusedError(Exception):
    """An edit cannot be applied; ``code`` is stable, ``reason`` is for the author."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


Classes = Mapping[str, LabelClass]
SizeWH = tuple[int, int]


@dataclass(frozen=True, slots=True)
class EditRules:
    """What the fields of an object are validated against.

    Attributes:
        classes: the classes of the set by id.
        image_size: width and height of the image of the item; None if it has none.
        has_choices: whether attributes have only the values to choose from. The labels of datasets may have others.
    """

    classes: Classes
    image_size: SizeWH | None = None
    has_choices: bool = True


def apply_edit(
    item: ItemEdits,
    edit: Edit,
    author: Author,
    seq: int,
    time: datetime,
    classes: Classes,
    *,
    image_size: SizeWH | None = None,
    is_merge: bool = False,
) -> tuple[EditResult, AppliedEdit | None]:
    """Apply an edit to an item, in place.

    Args:
        item: the item, with the object that the edit refers to if that exists.
        edit: the edit.
        author: who edits.
        seq: the number that the edit gets if it changes something.
        time: the time of the edit.
        classes: the classes of the set by id.
        image_size: width and height of the image of the item; None if it has none.
        is_merge: whether the edit comes from the branch at a commit.

    Returns:
        The result, and the edit as it is logged: None if it is refused or changes nothing.
    """
    rules = EditRules(classes, image_size, has_choices=not is_merge)
    try:
        change = _APPLY[edit.kind](item, edit, rules)
    except RefusedError as error:
        return EditResult(edit.id, "refused", code=error.code, reason=error.reason), None
    if change is None:
        return EditResult(edit.id, "unchanged"), None
    stamp = Stamp(seq, author.id, author.name)
    deleted_by = None
    if edit.kind == "state":
        overwrote = _overwritten({"state": item.state_stamp}, edit, author)
        item.state_stamp = stamp
    else:
        obj = item.objects[str(edit.object)]
        names = (*change.stamped, *((_DELETED,) if edit.kind in ("put", "delete", "restore") else ()))
        considered = obj.stamps if edit.kind == "delete" else {n: obj.stamps[n] for n in names if n in obj.stamps}
        overwrote = () if edit.kind == "put" else _overwritten(considered, edit, author)
        if edit.kind == "patch" and obj.deleted:
            deleted_by = obj.stamps[_DELETED].author if _DELETED in obj.stamps else ""
        obj.stamps |= dict.fromkeys(names, stamp)
        obj.is_changed = True
        _leave_state(item, is_merge)
    item.seq = seq
    if not is_merge:
        item.edit_seq = seq
        item.updated = time
        item.updated_by = author.name
    item.is_changed = True
    logged = replace(edit, fields=change.fields)
    applied = AppliedEdit(logged, seq, author, time, change.before, overwrote, deleted_by, is_merge)
    return result_of(applied), applied


def _leave_state(item: ItemEdits, is_merge: bool) -> None:
    """Leave a state in which the objects of an item do not change. Labels of the dataset do not end a skip."""
    if is_merge:
        if item.count and item.state in (ItemState.UNLABELLED, ItemState.EMPTY):
            item.state = ItemState.LABELLED
    elif item.state not in _STATES_OF_WORK:
        item.state = ItemState.IN_PROGRESS
        item.reason = None


def result_of(applied: AppliedEdit) -> EditResult:
    """Return the result of an edit of the log."""
    return EditResult(
        applied.edit.id, "applied", applied.seq, overwrote=applied.overwrote, deleted_by=applied.deleted_by
    )


class _Change(NamedTuple):
    """What an edit changed: the new values, those before, and the names of the fields of the object."""

    fields: Fields
    before: Fields
    stamped: tuple[str, ...] = ()


def _overwritten(stamps: Mapping[str, Stamp], edit: Edit, author: Author) -> tuple[Overwritten, ...]:
    return tuple(
        Overwritten(name, stamp.author, stamp.seq)
        for name, stamp in stamps.items()
        if stamp.seq > edit.base and stamp.author_id != author.id
    )


def _put(item: ItemEdits, edit: Edit, rules: EditRules) -> _Change:
    object_id = _object_id(edit)
    fields = validate_new_object(edit.fields, rules, item.next_order)
    existing = item.objects.get(object_id)
    if existing is not None and not existing.deleted:
        raise RefusedError("object-exists", f"The item already has an object '{_excerpt(object_id)}'.")
    stored = existing is not None and existing.is_stored
    item.objects[object_id] = ObjectState(
        object_id,
        fields["class"],
        fields["geometry"],
        dict(fields["attributes"]),
        fields["score"],
        fields["track"],
        fields["order"],
        fields["source"],
        is_stored=stored,
        accepted=fields["accepted"],
    )
    item.count += 1
    item.next_order = max(item.next_order, math.floor(fields["order"]) + 1.0)
    names = (
        "class",
        "geometry",
        "score",
        "track",
        "order",
        "accepted",
        *(ATTRIBUTE_PREFIX + name for name in fields["attributes"]),
    )
    return _Change(fields, {}, names)


def _patch(item: ItemEdits, edit: Edit, rules: EditRules) -> _Change | None:
    obj = _existing(item, edit)
    fields = validate_patch(edit.fields, rules, obj)
    before = {name: obj.get(name) for name in fields}
    changed = {name: value for name, value in fields.items() if not _is_same(value, before[name])}
    if not changed:
        return None
    for name, value in changed.items():
        obj.set(name, value)
    if "order" in changed:
        item.next_order = max(item.next_order, math.floor(obj.order) + 1.0)
    return _Change(changed, {name: before[name] for name in changed}, tuple(changed))


def _delete(item: ItemEdits, edit: Edit, rules: EditRules) -> _Change | None:
    obj = _existing(item, edit)
    _no_fields(edit)
    if obj.deleted:
        return None
    obj.deleted = True
    item.count -= 1
    return _Change({}, obj.to_fields())


def _restore(item: ItemEdits, edit: Edit, rules: EditRules) -> _Change | None:
    obj = _existing(item, edit)
    _no_fields(edit)
    if not obj.deleted:
        return None
    _usable_class(obj.class_id, rules.classes)
    obj.deleted = False
    item.count += 1
    return _Change({}, {})


def _state(item: ItemEdits, edit: Edit, rules: EditRules) -> _Change | None:
    if edit.object is not None:
        raise RefusedError("invalid-edit", "A state belongs to an item, not to an object.")
    if unknown := edit.fields.keys() - {"state", "reason"}:
        raise RefusedError("invalid-edit", f"A state has no field '{_excerpt(min(unknown))}'.")
    name = edit.fields.get("state")
    if not isinstance(name, str) or name not in list(ItemState):
        raise RefusedError("invalid-edit", f"There is no state '{_excerpt(name)}'. States: {', '.join(ItemState)}.")
    state = ItemState(name)
    reason = _text("reason", edit.fields.get("reason")) or None
    if state is not ItemState.SKIPPED:
        reason = None
    if state is ItemState.EMPTY and item.count:
        count = "1 object" if item.count == 1 else f"{item.count:,} objects"
        raise RefusedError("not-empty", f"The item has {count}. Delete the objects, or mark it as labelled.")
    if state is ItemState.LABELLED and not item.count:
        state = ItemState.EMPTY  # both mean that there is nothing; only one of them is stored
    # Labels of the dataset make an item labelled or empty, too: the first edit of its state confirms that.
    is_confirmation = state in (ItemState.LABELLED, ItemState.EMPTY) and not item.state_stamp.seq
    if (state, reason) == (item.state, item.reason) and not is_confirmation:
        return None
    before = {"state": str(item.state), "reason": item.reason}
    item.state = state
    item.reason = reason
    return _Change({"state": str(state), "reason": reason}, before)


_APPLY: Mapping[str, Callable[[ItemEdits, Edit, EditRules], _Change | None]] = {
    "put": _put,
    "patch": _patch,
    "delete": _delete,
    "restore": _restore,
    "state": _state,
}


def _object_id(edit: Edit) -> str:
    object_id = edit.object
    if not object_id or len(object_id) > MAX_ID_LENGTH or not object_id.isprintable():
        raise RefusedError("invalid-edit", f"An object needs an id of 1 to {MAX_ID_LENGTH} printable characters.")
    return object_id


def _existing(item: ItemEdits, edit: Edit) -> ObjectState:
    obj = item.objects.get(edit.object or "")
    if obj is None:
        raise RefusedError("object-unknown", f"The item has no object '{_excerpt(edit.object)}'.")
    return obj


def _no_fields(edit: Edit) -> None:
    if edit.fields:
        raise RefusedError("invalid-edit", f"A '{edit.kind}' has no fields.")


# Validation


def validate_new_object(fields: Mapping[str, Any], rules: EditRules, order: float) -> Fields:
    """Validate the fields of a new object, and fill in those that are missing.

    Args:
        fields: the fields; ``class`` and ``geometry`` are required.
        rules: what they are validated against.
        order: the order if none is given.

    Raises:
        RefusedError: a field is missing, unknown or not valid.
    """
    known = {"class", "geometry", "attributes", "score", "track", "order", "source", "accepted"}
    if unknown := fields.keys() - known:
        raise RefusedError("invalid-edit", f"An object has no field '{_excerpt(min(unknown))}'.")
    label_class = _usable_class(fields.get("class"), rules.classes)
    attributes = fields.get("attributes", {})
    if not isinstance(attributes, Mapping):
        raise RefusedError("invalid-edit", "The attributes of an object are a JSON object.")
    source = _text("source", fields.get("source", "manual"))
    if not source or len(source) > MAX_ID_LENGTH:
        raise RefusedError("invalid-edit", f"The source of an object has 1 to {MAX_ID_LENGTH} characters.")
    return {
        "class": label_class.id,
        "geometry": _geometry(fields.get("geometry"), label_class, rules),
        "attributes": {
            _attribute_name(name): _attribute_value(name, value, label_class, rules)
            for name, value in attributes.items()
            if value is not None
        },
        "score": _optional_number("score", fields.get("score")),
        "track": _text("track", fields.get("track")),
        "order": order if fields.get("order") is None else _number("order", fields["order"]),
        "source": source,
        "accepted": _boolean("accepted", fields.get("accepted", True)),
    }


def validate_patch(fields: Mapping[str, Any], rules: EditRules, obj: ObjectState) -> Fields:
    """Validate changes of an object.

    Args:
        fields: the new values by name.
        rules: what they are validated against.
        obj: the object before.

    Raises:
        RefusedError: there are no changes, or a field is unknown or not valid.
    """
    if not fields:
        raise RefusedError("invalid-edit", "A 'patch' needs at least one field.")
    validated: Fields = {}
    label_class = rules.classes.get(obj.class_id)
    if "class" in fields:
        label_class = _usable_class(fields["class"], rules.classes)
        validated["class"] = label_class.id
    for name, value in fields.items():
        if name == "geometry":
            validated[name] = _geometry(value, label_class, rules)
        elif name == "score":
            validated[name] = _optional_number(name, value)
        elif name == "track":
            validated[name] = _text(name, value)
        elif name == "order":
            validated[name] = _number(name, value)
        elif name == "accepted":
            validated[name] = _boolean(name, value)
        elif name.startswith(ATTRIBUTE_PREFIX):
            attribute = _attribute_name(name.removeprefix(ATTRIBUTE_PREFIX))
            validated[name] = None if value is None else _attribute_value(attribute, value, label_class, rules)
        elif name != "class":
            raise RefusedError("invalid-edit", f"An object has no field '{_excerpt(name)}' that can be changed.")
    return validated


def resolve_class(class_id: object, classes: Classes) -> LabelClass | None:
    """Return a class by id, or the class that it was merged into; None if there is none."""
    label_class = classes.get(class_id) if isinstance(class_id, str) else None
    for _ in classes:
        if label_class is None or label_class.successor is None:
            return label_class
        label_class = classes.get(label_class.successor)
    return label_class


def _usable_class(class_id: object, classes: Classes) -> LabelClass:
    label_class = resolve_class(class_id, classes)
    if label_class is None:
        raise RefusedError("class-unknown", f"The label set has no class with the id '{_excerpt(class_id)}'.")
    if label_class.deleted:
        raise RefusedError("class-deleted", f"The class '{label_class.name}' was deleted. Choose another class.")
    return label_class


def _geometry(value: object, label_class: LabelClass | None, rules: EditRules) -> Fields:
    try:
        geometry = geometry_from_json(value)
    except InvalidValueError as error:
        raise RefusedError("geometry-invalid", str(error)) from None
    names = label_class.keypoints if label_class is not None else ()
    if isinstance(geometry, Keypoints) and names and len(names) != len(geometry.points):
        raise RefusedError(
            "geometry-invalid", f"The class has {len(names)} keypoints, and the object {len(geometry.points)}."
        )
    if isinstance(geometry, Mask) and rules.image_size not in (None, (geometry.width, geometry.height)):
        width, height = rules.image_size or (0, 0)
        raise RefusedError(
            "geometry-invalid",
            f"The mask has {geometry.width} x {geometry.height} pixels, and the image {width} x {height}.",
        )
    return geometry_to_json(geometry)


def _number(name: str, value: object) -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        number = math.nan
    if not math.isfinite(number):
        raise RefusedError(
            "invalid-edit", f"The field '{_excerpt(name)}' needs a finite number, not {_excerpt(value)}."
        )
    return number


def _optional_number(name: str, value: object) -> float | None:
    return None if value is None else _number(name, value)


def _boolean(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise RefusedError("invalid-edit", f"The field '{name}' is true or false, not {_excerpt(value)}.")
    return value


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_TEXT_LENGTH or "\x00" in value or not _is_encodable(value):
        raise RefusedError(
            "invalid-edit", f"The field '{_excerpt(name)}' needs a text of at most {MAX_TEXT_LENGTH:,} characters."
        )
    return value


def _attribute_name(name: str) -> str:
    if not name or len(name) > MAX_ID_LENGTH or not name.isprintable():
        raise RefusedError("invalid-edit", f"An attribute needs a name of 1 to {MAX_ID_LENGTH} printable characters.")
    return name


def _attribute_value(
    name: str, value: object, label_class: LabelClass | None, rules: EditRules
) -> str | int | float | bool:
    if rules.has_choices and label_class is not None:
        _check_choice(name, value, label_class)
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 1 << 53:
        return value
    if isinstance(value, int | float):
        return _number(f"{ATTRIBUTE_PREFIX}{name}", value)
    text = _text(f"{ATTRIBUTE_PREFIX}{name}", value)
    if text is None:
        raise RefusedError("invalid-edit", f"The attribute '{_excerpt(name)}' needs a text, number or truth value.")
    return text


def _check_choice(name: str, value: object, label_class: LabelClass) -> None:
    spec = next((spec for spec in label_class.attributes if spec.name == name), None)
    if spec is None or spec.type not in ("select", "radio") or not spec.choices or value in spec.choices:
        return
    choices = ", ".join(spec.choices[:MAX_LISTED_CHOICES])
    more = " …" if len(spec.choices) > MAX_LISTED_CHOICES else ""
    raise RefusedError(
        "attribute-invalid", f"The attribute '{name}' has no choice '{_excerpt(value)}'. Choices: {choices}{more}."
    )


def _is_same(left: object, right: object) -> bool:
    """Compare JSON values; ``True`` is not the number 1."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _excerpt(value: object) -> str:
    """Return the beginning of a value for a message."""
    return str(value)[:60].encode("utf-8", "replace").decode()


def _is_encodable(text: str) -> bool:
    """Return whether a text is valid Unicode: a lone surrogate can be neither stored nor sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
