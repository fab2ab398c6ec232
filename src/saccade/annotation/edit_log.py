"""The edit log in the catalog: append edits to it in a transaction, and read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, TypeVar

from cachetools import LRUCache
from sqlalchemy import RowMapping, bindparam, insert, select, tuple_, update
from sqlalchemy.orm import Session

from saccade.annotation.edits import (
    ItemEdits,
    ObjectState,
    SizeWH,
    Stamp,
    apply_edit,
    resolve_class,
    result_of,
)
from saccade.annotation.items import BaseItem
from saccade.annotation.records import (
    AppliedEdit,
    AttributeSpec,
    Author,
    Edit,
    EditResult,
    ItemState,
    LabelClass,
    Overwritten,
)
from saccade.core.errors import NotFoundError
from saccade.core.geometry_json import geometry_to_json
from saccade.store.catalog.tables import (
    LabelClassRow,
    LabelEditRow,
    LabelItemRow,
    LabelObjectRow,
    LabelSetRow,
    now,
)

IMPORTED = "import"
"""The source of objects that were in the dataset before."""
_MAX_PARAMETERS = 5000
_MAX_CACHED_SETS = 64
_EDITS: Any = LabelEditRow.__table__
_ITEMS: Any = LabelItemRow.__table__
_OBJECTS: Any = LabelObjectRow.__table__
_SETS: Any = LabelSetRow.__table__
T = TypeVar("T")
# Built once: edits are written many times in a second, and building a statement takes longer than SQLite needs for it.
_SELECT_SET = select(_SETS.c.seq, _SETS.c.base, _SETS.c.classes_version).where(_SETS.c.id == bindparam("set"))
_SELECT_BY_ID = select(_EDITS).where(
    _EDITS.c.set_id == bindparam("set"), _EDITS.c.id.in_(bindparam("ids", expanding=True))
)
_SELECT_ITEMS = select(_ITEMS).where(
    _ITEMS.c.set_id == bindparam("set"), _ITEMS.c.item.in_(bindparam("keys", expanding=True))
)
_SELECT_OBJECTS = select(_OBJECTS).where(
    _OBJECTS.c.set_id == bindparam("set"),
    tuple_(_OBJECTS.c.item, _OBJECTS.c.object).in_(bindparam("pairs", expanding=True)),
)
_UPDATE_SEQ = update(_SETS).where(_SETS.c.id == bindparam("set")).values(seq=bindparam("last"))


@dataclass(slots=True)
class EditBatch:
    """Edits of one author to one set, in order.

    Attributes:
        load_item: reads an item by key as it is in the current base version; None if the set does not have it.
        base_items: items that were read before the transaction, so that it is short.
        image_sizes: width and height of the images, by item; masks of items that are not here are not compared.
        is_merge: whether the edits come from the branch at a commit.
        results: the result of each edit, set by :func:`append`.
        seq: number of the last edit of the set after these, set by :func:`append`.
    """

    set_id: int
    edits: Sequence[Edit]
    author: Author
    load_item: Callable[[str], BaseItem | None]
    base_items: Mapping[str, BaseItem | None] = field(default_factory=dict)
    image_sizes: Mapping[str, SizeWH | None] = field(default_factory=dict)
    is_merge: bool = False
    results: list[EditResult] = field(default_factory=list)
    seq: int = 0


class ClassCache:
    """The classes of sets by id, as of the last change of each set. For one thread."""

    def __init__(self) -> None:
        self._classes: LRUCache[int, tuple[int, dict[str, LabelClass]]] = LRUCache(_MAX_CACHED_SETS)

    def get(self, session: Session, set_id: int, version: int) -> dict[str, LabelClass]:
        """Return the classes of a set.

        Args:
            session: a transaction.
            set_id: id of the set.
            version: the number of changes of its classes.
        """
        cached = self._classes.get(set_id)
        if cached is None or cached[0] != version:
            cached = version, {label_class.id: label_class for label_class in read_classes(session, set_id)}
            self._classes[set_id] = cached
        return cached[1]


def append(
    session: Session, set_id: int, batches: Sequence[EditBatch], class_cache: ClassCache | None = None
) -> list[AppliedEdit]:
    """Append edits to the log of a set and apply them to its objects; sets the results of the batches.

    Args:
        session: a write transaction. There is one at a time, so that the numbers have no gaps and followers of the log
            see them in order.
        set_id: id of the set.
        batches: edits to that set.
        class_cache: classes that were read before.

    Returns:
        The edits that were logged now.

    Raises:
        NotFoundError: the set was removed.
    """
    row = session.connection().execute(_SELECT_SET, {"set": set_id}).first()
    if row is None:
        raise NotFoundError("The label set was removed.")
    seq, base, classes_version = row
    classes = (class_cache or ClassCache()).get(session, set_id, classes_version)
    known = _read_by_id(session, set_id, [edit.id for batch in batches for edit in batch.edits])
    items = _load_items(session, set_id, [edit for batch in batches for edit in batch.edits if edit.id not in known])
    time = now()
    logged: list[AppliedEdit] = []
    for batch in batches:
        batch.results = []
        for edit in batch.edits:
            if edit.id in known:
                batch.results.append(_repeated(edit, known[edit.id], batch.author))
                continue
            item = items.get(edit.item)
            if item is None:
                base_item = batch.base_items.get(edit.item)
                if base_item is None or base_item.base != base:
                    base_item = batch.load_item(edit.item)
                if base_item is None:
                    reason = f"The label set has no item '{edit.item[:60]}'."
                    batch.results.append(EditResult(edit.id, "refused", code="item-unknown", reason=reason))
                    continue
                item = items[edit.item] = item_from_base(edit.item, base_item, classes.values())
            result, applied = apply_edit(
                item,
                edit,
                batch.author,
                seq + 1,
                time,
                classes,
                image_size=batch.image_sizes.get(edit.item),
                is_merge=batch.is_merge,
            )
            batch.results.append(result)
            if applied is not None:
                seq += 1
                logged.append(applied)
                known[edit.id] = applied
        batch.seq = seq
    if logged:
        _store(session, set_id, items.values(), logged)
        session.connection().execute(_UPDATE_SEQ, {"set": set_id, "last": seq})
    return logged


def _repeated(edit: Edit, logged: AppliedEdit, author: Author) -> EditResult:
    """Return the result of an edit whose id is in the log: the stored one, if it is the same edit."""
    same = (edit.item, edit.object, edit.kind) == (logged.edit.item, logged.edit.object, logged.edit.kind)
    if same and logged.author.id == author.id:
        return result_of(logged)
    return EditResult(
        edit.id, "refused", code="duplicate-id", reason="Another edit has this id. Send it with a new id."
    )


def item_from_base(key: str, base_item: BaseItem, classes: Iterable[LabelClass]) -> ItemEdits:
    """Return an item without edits."""
    classes = list(classes)
    ids = {label_class.dataset_name: label_class.id for label_class in classes if label_class.successor is None}
    item = ItemEdits(key, base_item.state, is_changed=True)
    for order, obj in enumerate(base_item.objects or ()):
        item.objects[obj.id] = ObjectState(
            obj.id,
            ids.get(obj.class_name, obj.class_name),
            geometry_to_json(obj.geometry),
            dict(obj.attributes),
            obj.score,
            obj.track,
            float(order),
            IMPORTED,
            is_changed=True,
        )
    _add_predictions(item, base_item, {label_class.id: label_class for label_class in classes})
    item.count = len(item.objects)
    item.next_order = float(item.count)
    return item


def _add_predictions(item: ItemEdits, base_item: BaseItem, classes: Mapping[str, LabelClass]) -> None:
    """Add the predicted objects of an item without labels; without those whose class was deleted in the set."""
    source = base_item.prediction
    if source is None:
        return
    for obj in base_item.predicted:
        label_class = resolve_class(source.classes.get(obj.class_name), classes)
        if label_class is None or label_class.deleted:
            continue
        item.objects[obj.id] = ObjectState(
            obj.id,
            label_class.id,
            geometry_to_json(obj.geometry),
            dict(obj.attributes),
            obj.score,
            obj.track,
            float(len(item.objects)),
            source.model,
            is_changed=True,
            accepted=False,
        )


# Reading


def read_classes(session: Session, set_id: int) -> list[LabelClass]:
    """Return the classes of a set in their order, deleted ones too."""
    rows = session.scalars(
        select(LabelClassRow).where(LabelClassRow.set_id == set_id).order_by(LabelClassRow.position, LabelClassRow.id)
    )
    return [
        LabelClass(
            row.id,
            row.name,
            row.color,
            row.hotkey,
            row.parent,
            tuple(
                AttributeSpec(spec["name"], spec["type"], tuple(spec["choices"]), spec["default"], spec["required"])
                for spec in row.attributes
            ),
            tuple(row.keypoints),
            tuple((first, second) for first, second in row.skeleton),
            row.deleted,
            row.dataset_name,
            row.successor,
        )
        for row in rows
    ]


def read_log(
    session: Session,
    set_id: int,
    *,
    after: int = 0,
    until: int | None = None,
    item: str | None = None,
    author_id: str | None = None,
    limit: int | None = None,
) -> list[AppliedEdit]:
    """Return edits of the log in order.

    Args:
        session: a transaction.
        set_id: id of the set.
        after: only later edits than this number.
        until: only edits up to this number.
        item: only edits of this item.
        author_id: only edits of this user.
        limit: maximum number of edits.
    """
    query = select(_EDITS).where(_EDITS.c.set_id == set_id, _EDITS.c.seq > after).order_by(_EDITS.c.seq)
    if until is not None:
        query = query.where(_EDITS.c.seq <= until)
    if item is not None:
        query = query.where(_EDITS.c.item == item)
    if author_id is not None:
        query = query.where(_EDITS.c.author_id == author_id)
    return [_applied(row) for row in session.execute(query.limit(limit)).mappings()]


def _read_by_id(session: Session, set_id: int, ids: Iterable[str]) -> dict[str, AppliedEdit]:
    known: dict[str, AppliedEdit] = {}
    for chunk in _chunks(ids, _MAX_PARAMETERS):
        rows = session.connection().execute(_SELECT_BY_ID, {"set": set_id, "ids": chunk})
        known |= {row["id"]: _applied(row) for row in rows.mappings()}
    return known


def _applied(row: RowMapping) -> AppliedEdit:
    edit = Edit(
        row["id"],
        row["item"],
        row["object"],
        row["kind"],
        row["fields"],
        row["base"],
        row["group"],
        row["undoes"],
        row["redoes"],
    )
    overwrote = tuple(Overwritten(**entry) for entry in row["overwrote"])
    author = Author(row["author_id"], row["author"])
    return AppliedEdit(
        edit, row["seq"], author, row["time"], row["before"], overwrote, row["deleted_by"], row["is_merge"]
    )


def read_objects(session: Session, set_id: int, items: Sequence[str]) -> dict[str, list[ObjectState]]:
    """Return all objects of edited items by item, deleted ones too, in ascending order."""
    objects: dict[str, list[ObjectState]] = {item: [] for item in items}
    for chunk in _chunks(items, _MAX_PARAMETERS):
        query = select(_OBJECTS).where(_OBJECTS.c.set_id == set_id, _OBJECTS.c.item.in_(chunk))
        for row in session.execute(query.order_by(_OBJECTS.c.order, _OBJECTS.c.object)).mappings():
            objects[row["item"]].append(_object_state(row))
    return objects


def _object_state(row: RowMapping) -> ObjectState:
    return ObjectState(
        row["object"],
        row["class_id"],
        row["geometry"],
        row["attributes"],
        row["score"],
        row["track"],
        row["order"],
        row["source"],
        row["deleted"],
        {name: Stamp(*stamp) for name, stamp in row["stamps"].items()},
        is_stored=True,
        accepted=row["accepted"],
    )


def read_items(session: Session, set_id: int, keys: Iterable[str]) -> dict[str, ItemEdits]:
    """Return those of some items that were edited, by key, without their objects."""
    items: dict[str, ItemEdits] = {}
    for chunk in _chunks(keys, _MAX_PARAMETERS):
        rows = session.connection().execute(_SELECT_ITEMS, {"set": set_id, "keys": chunk})
        items |= {row["item"]: item_edits(row) for row in rows.mappings()}
    return items


def item_edits(row: RowMapping) -> ItemEdits:
    """Return the item of a row, without its objects."""
    return ItemEdits(
        row["item"],
        ItemState(row["state"]),
        row["reason"],
        count=row["objects"],
        next_order=row["next_order"],
        seq=row["seq"],
        edit_seq=row["edit_seq"],
        state_stamp=Stamp(row["state_seq"], row["state_author_id"], row["state_author"]),
        updated=row["updated"],
        updated_by=row["updated_by"],
        is_stored=True,
    )


def _load_items(session: Session, set_id: int, edits: Sequence[Edit]) -> dict[str, ItemEdits]:
    """Load the edited items that edits refer to, with the objects that they refer to."""
    items = read_items(session, set_id, dict.fromkeys(edit.item for edit in edits))
    pairs = dict.fromkeys((edit.item, edit.object) for edit in edits if edit.item in items and edit.object is not None)
    for chunk in _chunks(pairs, _MAX_PARAMETERS):
        rows = session.connection().execute(_SELECT_OBJECTS, {"set": set_id, "pairs": chunk})
        for row in rows.mappings():
            items[row["item"]].objects[row["object"]] = _object_state(row)
    return items


def _chunks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk


# Writing


def _store(session: Session, set_id: int, items: Iterable[ItemEdits], logged: Sequence[AppliedEdit]) -> None:
    """Write the changed items and objects, and the edits."""
    changed = [item for item in items if item.seq and item.is_changed]
    for is_stored in (False, True):
        rows = [_item_values(set_id, item) for item in changed if item.is_stored == is_stored]
        _insert_or_update(session, _ITEMS, rows, is_update=is_stored)
    objects = [(item, obj) for item in changed for obj in item.objects.values() if obj.is_changed]
    for is_stored in (False, True):
        rows = [_object_values(set_id, item.key, obj) for item, obj in objects if obj.is_stored == is_stored]
        _insert_or_update(session, _OBJECTS, rows, is_update=is_stored)
    session.connection().execute(_INSERT[_EDITS], [_edit_values(set_id, applied) for applied in logged])


def _update_statement(table: Any) -> Any:
    # Parameters of a WHERE clause may not have the name of a column that is set.
    conditions = [column == bindparam(f"key_{column.name}") for column in table.primary_key]
    values: dict[str, Any] = {column.name: bindparam(column.name) for column in table.c if not column.primary_key}
    return update(table).where(*conditions).values(values)


_INSERT = {table: insert(table) for table in (_EDITS, _ITEMS, _OBJECTS)}
_UPDATE = {table: _update_statement(table) for table in (_ITEMS, _OBJECTS)}


def _insert_or_update(session: Session, table: Any, rows: Sequence[dict[str, Any]], *, is_update: bool) -> None:
    if not rows:
        return
    if not is_update:
        session.connection().execute(_INSERT[table], list(rows))
        return
    keys = {column.name: f"key_{column.name}" for column in table.primary_key}
    values = [{keys.get(name, name): value for name, value in row.items()} for row in rows]
    session.connection().execute(_UPDATE[table], values)


def _item_values(set_id: int, item: ItemEdits) -> dict[str, Any]:
    stamp = item.state_stamp
    return {
        "set_id": set_id,
        "item": item.key,
        "state": str(item.state),
        "reason": item.reason,
        "objects": item.count,
        "next_order": item.next_order,
        "seq": item.seq,
        "edit_seq": item.edit_seq,
        "state_seq": stamp.seq,
        "state_author_id": stamp.author_id,
        "state_author": stamp.author,
        "updated": item.updated or now(),
        "updated_by": item.updated_by,
    }


def _object_values(set_id: int, item: str, obj: ObjectState) -> dict[str, Any]:
    return {
        "set_id": set_id,
        "item": item,
        "object": obj.id,
        "class_id": obj.class_id,
        "geometry": obj.geometry,
        "attributes": obj.attributes,
        "score": obj.score,
        "track": obj.track,
        "order": obj.order,
        "source": obj.source,
        "deleted": obj.deleted,
        "accepted": obj.accepted,
        "stamps": obj.stamps,
    }


def _edit_values(set_id: int, applied: AppliedEdit) -> dict[str, Any]:
    edit = applied.edit
    return {
        "set_id": set_id,
        "seq": applied.seq,
        "id": edit.id,
        "item": edit.item,
        "object": edit.object,
        "kind": edit.kind,
        "fields": edit.fields,
        "before": applied.before,
        "overwrote": [asdict(entry) for entry in applied.overwrote],
        "deleted_by": applied.deleted_by,
        "base": edit.base,
        "group": edit.group,
        "undoes": edit.undoes,
        "redoes": edit.redoes,
        "author_id": applied.author.id,
        "author": applied.author.name,
        "time": applied.time,
        "is_merge": applied.is_merge,
    }
