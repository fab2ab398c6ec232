"""Commit the edits of a label set as the next version of its dataset."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from saccade.annotation.edit_log import EditBatch, append, item_edits, read_classes, read_objects
from saccade.annotation.edits import ATTRIBUTE_PREFIX, ObjectState
from saccade.annotation.label_sets import (
    LabelSets,
    OpenSet,
    changed_classes,
    class_from_info,
    class_row,
    find_label_set,
    update_class_row,
)
from saccade.annotation.records import (
    Author,
    ClassChange,
    CommitPreview,
    CommitResult,
    Edit,
    Fields,
    ItemState,
    LabelClass,
    LabelObject,
    to_core_objects,
)
from saccade.core.class_edits import ClassEdit, ClassPlan, RemoveClass, RenameClass, plan_class_edits
from saccade.core.errors import ConflictError, NotFoundError
from saccade.core.geometry_json import geometry_to_json
from saccade.core.merge import Conflict, Side
from saccade.core.objects import Object, Objects
from saccade.core.progress import NullProgress
from saccade.core.reader import Item
from saccade.core.refs import format_ref
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.media.colors import palette
from saccade.store.arrow.codec import decode_batch
from saccade.store.catalog.tables import LabelClassRow, LabelEditRow, LabelItemRow, LabelObjectRow, LabelSetRow
from saccade.store.datasets import mutations
from saccade.store.datasets.classes import apply_class_plan, class_counts
from saccade.store.datasets.mutations import Mutation
from saccade.store.datasets.row_diff import Comparison
from saccade.store.table.snapshot import Snapshot
from saccade.store.table.staging import StagedItems

Preference = Literal["labels", "dataset"]
_SIDES: Mapping[Preference, Side] = {"dataset": "ours", "labels": "theirs"}
_WRITTEN_STATES = (ItemState.LABELLED, ItemState.EMPTY, ItemState.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class _FrozenItem:
    """An item with uncommitted edits, as it is committed."""

    key: str
    state: ItemState
    objects: tuple[LabelObject, ...]


def commit(
    label_sets: LabelSets,
    name: str,
    *,
    message: str = "",
    prefer: Preference | None = None,
    author: Author = Author(),  # noqa: B008 (immutable)
) -> CommitResult:
    """Commit the edits that are in the log now as the next version of the branch of the set.

    Items that are labelled, confirmed as empty or in progress get their objects, without predictions that were not
    accepted. If the set started empty, the objects of an item in progress are added to those that the base has: they
    are replaced once the item is labelled or empty. Items that are unlabelled or skipped stay as they are in the
    dataset; so does an item in progress that has no objects and never had a value. If the branch has moved on, its
    changes since the base are merged with the edits, object by object. Later edits stay uncommitted.

    The version, the new base of the set and the number of the last committed edit are written in one transaction. If
    the process is killed before, nothing was committed, and after, everything: no commit is lost or done twice.

    Args:
        label_sets: the label sets of the project.
        name: name of the set.
        message: message of the version; a description if empty.
        prefer: whose value to take if both changed it: that of the set ("labels") or of the branch ("dataset").
        author: who commits.

    Raises:
        ConflictError: another commit of the set came first.
        MergeConflictError: the branch and the set changed the same objects, and ``prefer`` is None.
        NotFoundError: there is no such label set, or its dataset or branch was removed.
    """
    changes = _LabelChanges(label_sets, name, author)
    label_set = changes.label_set
    if not changes.frozen and not changes.class_changes:
        return CommitResult(label_set.base_ref, False, 0, 0, 0, 0, label_set.committed_seq)
    removed_with_classes = changes.count_removed_with_classes()

    def resolve(conflict: Conflict) -> Side | None:
        return None if prefer is None else _SIDES[prefer]

    version = label_sets.workspace.datasets.commit_changes(
        label_set.dataset,
        label_set.base,
        changes,
        branch=label_set.branch,
        resolver=resolve,
        message=message or changes.description(),
        author=author.name,
    )
    return CommitResult(
        format_ref(label_set.dataset, changes.number),
        version is not None,
        len(changes.frozen),
        changes.added,
        changes.removed + removed_with_classes,
        changes.changed,
        changes.seq,
        changes.class_change_list(),
    )


def preview(label_sets: LabelSets, name: str) -> CommitPreview:
    """Return what a commit would change, compared with the base of the set. Nothing is written.

    Conflicts with the branch are not looked for: a commit that has some changes nothing either.

    Args:
        label_sets: the label sets of the project.
        name: name of the set.

    Raises:
        NotFoundError: there is no such label set, or its dataset was removed.
    """
    return _LabelChanges(label_sets, name, Author()).preview()


class _LabelChanges:
    """The uncommitted edits of a set: a :class:`~saccade.store.datasets.datasets.ChangeSet`.

    Attributes:
        seq: number of the last edit that is committed.
        added, removed, changed: numbers of objects, compared with the base.
        number: number of the version, once it is recorded.
    """

    def __init__(self, label_sets: LabelSets, name: str, author: Author) -> None:
        self._label_sets = label_sets
        self._author = author
        with label_sets.workspace.catalog.read_tx() as session:  # one state of the log
            row = find_label_set(session, name)
            self.seq = row.seq
            self.classes = read_classes(session, row.id)
            self._classes_version = row.classes_version
            self._starts_empty = row.start == "empty"
            self.frozen = _frozen_items(session, row)
            # Only a set that started empty lacks objects of the base.
            self._committed_ids = _committed_ids(session, row, self.frozen) if self._starts_empty else {}
        self.label_set: OpenSet = label_sets.open(name)
        if (self.label_set.base, self.label_set.committed_seq) != (row.base, row.committed_seq):
            raise _concurrent_commit(name)
        column = self._base_column(self.label_set.items.base.schema)
        self.class_changes = changed_classes(self.classes, column)
        self.added = self.removed = self.changed = 0
        self.number = self.label_set.base
        self._merged: dict[str, tuple[Objects, Objects]] = {}
        self._result_column = column

    def _base_column(self, schema: Schema) -> Column:
        name = self.label_set.column
        return schema[name] if name in schema else Column(name, Kind.OBJECTS)

    def description(self) -> str:
        """Return the default message of the version."""
        items = "1 item" if len(self.frozen) == 1 else f"{len(self.frozen):,} items"
        what = items if self.frozen else "classes"
        return f"Labelled {what} in the label set {self.label_set.name}."

    def preview(self) -> CommitPreview:
        """Return what :meth:`build` changes, without writing anything."""
        base = self.label_set.items.base.snapshot
        names = self._class_plan(base.schema).names.get(self.label_set.column, {})
        changed_items = len(self._changed_items(base, names))
        removed = self.removed + self.count_removed_with_classes()
        return CommitPreview(
            self.label_set.base_ref,
            len(self.frozen),
            changed_items,
            self.added,
            removed,
            self.changed,
            self.class_change_list(),
        )

    def class_change_list(self) -> tuple[ClassChange, ...]:
        """Return how the classes of the dataset change."""
        return tuple(
            ClassChange(
                c.name if c.dataset_name is None or not c.deleted else c.dataset_name,
                "removed" if c.deleted else "added" if c.dataset_name is None else "changed",
                c.dataset_name if not c.deleted and c.dataset_name not in (None, c.name) else None,
            )
            for c in self.class_changes
        )

    def count_removed_with_classes(self) -> int:
        """Return the number of objects in the base whose class is removed."""
        removed = {c.dataset_name for c in self.class_changes if c.deleted}
        if not removed:
            return 0
        counts = class_counts(self.label_set.items.base.snapshot)[self.label_set.column]
        return sum(count.objects for name, count in counts.items() if name in removed)

    # ChangeSet

    def build(self, base: Snapshot, folder: Path) -> Mutation:
        plan = self._class_plan(base.schema)
        snapshot = base
        if plan.schema != base.schema or plan.names:
            snapshot = apply_class_plan(base, plan, folder, NullProgress()).snapshot
        items = self._changed_items(snapshot)
        if items:
            schema = Schema((snapshot.schema[self.label_set.column],))
            staged = StagedItems(folder, schema, items, NullProgress())
            with_classes = snapshot
            snapshot = mutations.merge(with_classes, staged, folder).snapshot
            mutations.delete_intermediate(base, with_classes, snapshot)
        return mutations.fast_forward(base, snapshot)

    def prepare(self, changed: Snapshot, result: Snapshot) -> None:
        self._result_column = result.schema[self.label_set.column]
        self._merged = {}
        if changed.version == result.version:
            return
        with self._label_sets.workspace.catalog.read_tx() as session:
            query = select(LabelItemRow.item).where(LabelItemRow.set_id == self.label_set.id)
            edited = set(session.scalars(query))
        comparison = Comparison(changed, result)
        keys = [*comparison.changed.keys, *comparison.added, *comparison.removed]
        keys = [key for key in keys if key in edited]
        before = self._read_values(changed, keys)
        after = self._read_values(result, keys)
        pairs = {key: (before.get(key) or (), after.get(key) or ()) for key in keys}
        self._merged = {key: (old, new) for key, (old, new) in pairs.items() if old != new}

    def record(self, session: Session, number: int) -> None:
        row = session.get(LabelSetRow, self.label_set.id)
        if row is None:
            raise NotFoundError(f"The label set '{self.label_set.name}' was removed.")
        if (row.base, row.committed_seq) != (self.label_set.base, self.label_set.committed_seq):
            raise _concurrent_commit(row.name)
        row.base = number
        row.committed_seq = self.seq
        row.classes_version += 1
        session.flush()
        self.number = number
        self._follow_classes(session, row)
        self._append_merge(session, row)

    # Items

    def _changed_items(self, snapshot: Snapshot, renamed: Mapping[str, str | None] | None = None) -> list[Item]:
        """Return the items whose value changes, and count the objects that do.

        Args:
            snapshot: the base, with the classes of the set.
            renamed: the new names of classes that the snapshot has under their old ones; None for a removed class.
        """
        column = self.label_set.column
        names = {c.id: c.name for c in self.classes if not c.deleted}
        names |= {c.id: names[c.successor] for c in self.classes if c.successor is not None and c.successor in names}
        base = self._read_values(snapshot, [item.key for item in self.frozen])
        if renamed:
            base = {key: _rename_classes(objects, renamed) for key, objects in base.items()}
        self.added = self.removed = self.changed = 0
        items = []
        for item in self.frozen:
            if item.key not in base or item.state not in _WRITTEN_STATES:
                continue
            objects = to_core_objects([obj for obj in item.objects if obj.accepted], names)
            before = base[item.key]
            if self._starts_empty and item.state is ItemState.IN_PROGRESS:
                objects = (*self._unseen_objects(item, before or ()), *objects)
            if objects == before or (not objects and before is None and item.state is ItemState.IN_PROGRESS):
                continue
            old = {obj.id: obj for obj in before or ()}
            new = {obj.id: obj for obj in objects}
            self.added += len(new.keys() - old.keys())
            self.removed += len(old.keys() - new.keys())
            self.changed += sum(new[object_id] != old[object_id] for object_id in new.keys() & old.keys())
            items.append(Item(item.key, {column: objects}))
        return items

    def _unseen_objects(self, item: _FrozenItem, before: Objects) -> Objects:
        """Return the objects of the base that the set has neither replaced nor deleted: it started without them."""
        committed = self._committed_ids.get(item.key, frozenset())
        replaced = {obj.id for obj in item.objects if obj.accepted and (not obj.deleted or obj.id in committed)}
        return tuple(obj for obj in before if obj.id not in replaced)

    def _read_values(self, snapshot: Snapshot, keys: Sequence[str]) -> dict[str, Objects | None]:
        """Return the labels of those items that a snapshot has, by key."""
        import pyarrow as pa

        from saccade.core.schema import KEY

        column = self.label_set.column
        schema = snapshot.schema.select([column] if column in snapshot.schema else [])
        rows = snapshot.index.rows_for_keys(pa.array(keys, pa.string()))
        values: dict[str, Objects | None] = {}
        for batch in snapshot.batches([KEY, *schema.names], rows[rows >= 0]):
            values |= {item.key: item.values.get(column) for item in decode_batch(batch, schema.columns)}
        return values

    # Classes

    def _class_plan(self, schema: Schema) -> ClassPlan:
        """Return the change of the dataset's classes to those of the set."""
        column = self._base_column(schema)
        schema = schema.with_columns(column)
        changed = self.class_changes
        removed = [c for c in changed if c.deleted]
        renamed = [c for c in changed if not c.deleted and c.dataset_name not in (None, c.name)]
        edits: list[ClassEdit] = [
            RemoveClass(name=str(c.dataset_name), column=column.name, with_objects=True) for c in removed
        ]
        # By way of unused names: two classes may have swapped theirs.
        temporary = {c.id: f"class {uuid.uuid4().hex}" for c in renamed}
        edits += [RenameClass(name=str(c.dataset_name), column=column.name, new_name=temporary[c.id]) for c in renamed]
        edits += [RenameClass(name=temporary[c.id], column=column.name, new_name=c.name) for c in renamed]
        plan = plan_class_edits(schema, edits) if edits else ClassPlan(schema, {}, {}, {})
        column = plan.schema[column.name]
        infos = {info.name: info for info in column.classes}
        names = {c.id: c.name for c in self.classes}
        for c in changed:
            if not c.deleted:
                info = infos.get(c.name, ClassInfo(c.name))
                parent = None if c.parent is None else names.get(c.parent)
                infos[c.name] = replace(info, parent=parent, color=c.color, keypoints=c.keypoints, skeleton=c.skeleton)
        return replace(plan, schema=plan.schema.with_columns(replace(column, classes=tuple(infos.values()))))

    def _follow_classes(self, session: Session, row: LabelSetRow) -> None:
        """Record the names of the classes in the new base. A class that was renamed on the branch gets the new name."""
        column = self._result_column
        committed = {c.id: c for c in self.classes}
        infos = {info.name: info for info in column.classes}
        colors = palette(column.class_names)
        current = {c.id: c for c in read_classes(session, row.id)}
        ids: dict[str, str] = {}
        for class_id, old in committed.items():
            stored = session.get(LabelClassRow, (row.id, class_id))
            if stored is None or old.successor is not None:
                continue
            now = current[class_id]
            name = None if old.deleted else column.resolve_class(old.name)
            if name is None:
                # Removed from the dataset: with the set's own deletion, or on the branch.
                update_class_row(stored, replace(now, dataset_name=None, deleted=True))
            elif name in ids:
                update_class_row(stored, replace(now, dataset_name=None, deleted=True, successor=ids[name]))
            else:
                ids[name] = class_id
                info = infos[name]
                update_class_row(stored, _with_dataset_values(now, old, info, info.color or colors[name]))
        known = {*ids, *(c.name for c in current.values() if not c.deleted)}
        number = len(current)
        for info in column.classes:
            if info.name in known:
                continue
            number += 1
            while f"c{number}" in current:
                number += 1
            ids[info.name] = f"c{number}"
            color = info.color or colors[info.name]
            session.add(class_row(row.id, number, class_from_info(info, ids[info.name], color, ids)))
        session.flush()

    # Merge

    def _append_merge(self, session: Session, row: LabelSetRow) -> None:
        """Append what came from the branch to the log, where no later edit has changed the same."""
        edits = [*self._merge_edits(session, row), *self._removed_class_edits(session, row)]
        if edits:
            items = self.label_set.items
            batch = EditBatch(row.id, edits, self._author, items.base_item, is_merge=True)
            append(session, row.id, [batch])

    def _merge_edits(self, session: Session, row: LabelSetRow) -> list[Edit]:
        ids = {c.dataset_name: c.id for c in read_classes(session, row.id) if c.dataset_name is not None}
        current = read_objects(session, row.id, list(self._merged))
        group = _new_uuid()
        edits = []
        for key, (before, after) in self._merged.items():
            objects = {obj.id: obj for obj in current[key]}
            old = {obj.id: obj for obj in before}
            new = {obj.id: obj for obj in after}
            for object_id in dict.fromkeys((*old, *new)):
                kind, fields = _merge_change(
                    _fields(old.get(object_id), ids), _fields(new.get(object_id), ids), objects.get(object_id)
                )
                if kind is not None:
                    edits.append(Edit(_new_uuid(), key, object_id, kind, fields, row.seq, group))
        return edits

    def _removed_class_edits(self, session: Session, row: LabelSetRow) -> list[Edit]:
        """Return deletions of the objects of classes that were removed from the dataset."""
        removed = [c.id for c in read_classes(session, row.id) if c.deleted and c.successor is None]
        query = select(LabelObjectRow.item, LabelObjectRow.object).where(
            LabelObjectRow.set_id == row.id, ~LabelObjectRow.deleted, LabelObjectRow.class_id.in_(removed)
        )
        group = _new_uuid()
        rows = session.execute(query).all() if removed else []
        return [Edit(_new_uuid(), item, object_id, "delete", {}, row.seq, group) for item, object_id in rows]


def _frozen_items(session: Session, row: LabelSetRow) -> list[_FrozenItem]:
    """Return the items with uncommitted edits."""
    query = select(LabelItemRow.__table__).where(
        LabelItemRow.set_id == row.id,
        LabelItemRow.seq > row.committed_seq,
        LabelItemRow.edit_seq > row.committed_seq,
    )
    items = [item_edits(values) for values in session.execute(query.order_by(LabelItemRow.item)).mappings()]
    objects = read_objects(session, row.id, [item.key for item in items])
    return [_FrozenItem(item.key, item.state, tuple(obj.to_object() for obj in objects[item.key])) for item in items]


def _committed_ids(session: Session, row: LabelSetRow, items: Sequence[_FrozenItem]) -> dict[str, frozenset[str]]:
    """Return the deleted objects that the base has from the set or from a merge, by item."""
    deleted = {item.key: {obj.id for obj in item.objects if obj.deleted} for item in items}
    committed: dict[str, frozenset[str]] = {}
    for key, ids in deleted.items():
        if ids:
            query = select(LabelEditRow.object).where(
                LabelEditRow.set_id == row.id,
                LabelEditRow.item == key,
                LabelEditRow.kind == "put",
                (LabelEditRow.seq <= row.committed_seq) | LabelEditRow.is_merge,
            )
            committed[key] = frozenset(ids & {str(object_id) for object_id in session.scalars(query)})
    return committed


def _rename_classes(objects: Objects | None, names: Mapping[str, str | None]) -> Objects | None:
    """Return objects with the new names of their classes, without those of removed classes."""
    if objects is None:
        return None
    renamed = ((obj, names.get(obj.class_name, obj.class_name)) for obj in objects)
    return tuple(replace(obj, class_name=name) for obj, name in renamed if name is not None)


def _concurrent_commit(name: str) -> ConflictError:
    return ConflictError(
        f"The label set '{name}' was committed by another user at the same time.",
        hint="Nothing was committed twice. Commit again if there are later edits.",
    )


def _with_dataset_values(current: LabelClass, committed: LabelClass, info: ClassInfo, color: str) -> LabelClass:
    """Return a class with the values of the dataset, except those that were changed in the set during the commit."""
    return replace(
        current,
        dataset_name=info.name,
        name=info.name if current.name == committed.name else current.name,
        color=color.lower() if current.color == committed.color else current.color,
        keypoints=info.keypoints if current.keypoints == committed.keypoints else current.keypoints,
        skeleton=info.skeleton if current.skeleton == committed.skeleton else current.skeleton,
    )


def _fields(obj: Object | None, ids: Mapping[str, str]) -> Fields | None:
    """Return the fields of an object of the dataset; None without one."""
    if obj is None:
        return None
    fields: Fields = {
        "class": ids.get(obj.class_name, obj.class_name),
        "geometry": geometry_to_json(obj.geometry),
        "score": obj.score,
        "track": obj.track,
    }
    return fields | {f"{ATTRIBUTE_PREFIX}{name}": value for name, value in obj.attributes.items()}


def _merge_change(
    old: Fields | None, new: Fields | None, current: ObjectState | None
) -> tuple[Literal["put", "patch", "delete"] | None, Fields]:
    """Return the edit that brings a change of the branch to an object of the set, and its fields.

    Args:
        old: the object as the set committed it; None without one.
        new: the object in the version; None if the branch removed it.
        current: the object in the set now.
    """
    if current is not None and current.deleted:
        current = None
    if new is None:
        is_unchanged = current is not None and all(current.get(name) == value for name, value in (old or {}).items())
        return ("delete" if is_unchanged else None), {}
    if current is None:
        if old is not None:  # deleted since: a deletion wins over a change
            return None, {}
        attributes = {
            name.removeprefix(ATTRIBUTE_PREFIX): value
            for name, value in new.items()
            if name.startswith(ATTRIBUTE_PREFIX)
        }
        fields = {name: value for name, value in new.items() if not name.startswith(ATTRIBUTE_PREFIX)}
        return "put", {**fields, "attributes": attributes, "source": "import"}
    before = old or {}
    changed = {
        name: new.get(name)
        for name in dict.fromkeys((*before, *new))
        if before.get(name) != new.get(name) and current.get(name) == before.get(name)
    }
    return ("patch" if changed else None), changed


def _new_uuid() -> str:
    return str(uuid.uuid4())
