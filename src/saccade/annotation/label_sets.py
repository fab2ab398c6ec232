"""The label sets of a project: create, list and delete them, read their items, edit their objects and classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from saccade.annotation.edit_log import (
    EditBatch,
    append,
    item_from_base,
    read_classes,
    read_items,
    read_log,
    read_objects,
)
from saccade.annotation.edits import ItemEdits
from saccade.annotation.items import STATES, BaseItem, SetItems, States
from saccade.annotation.predictions import (
    Predictions,
    PredictionSource,
    check_min_score,
    model_of,
    prediction_column,
    used_classes,
)
from saccade.annotation.records import (
    AppliedEdit,
    AttributeSpec,
    Author,
    Edit,
    EditResult,
    ItemObjects,
    ItemState,
    ItemSummary,
    LabelClass,
    LabelItem,
    LabelSet,
    Start,
    live_objects,
)
from saccade.core.class_edits import check_class_name
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, suggest
from saccade.core.objects import Mask
from saccade.core.refs import LATEST, MAIN, check_name, format_ref, split_ref
from saccade.core.schema import ClassInfo, Column, Kind, Schema, is_hex_color
from saccade.media.colors import palette
from saccade.store.catalog.queries import find_branch, find_dataset, find_version, find_version_by_number, project_id
from saccade.store.catalog.tables import (
    BranchRow,
    DatasetRow,
    LabelClassRow,
    LabelItemRow,
    LabelSetRow,
)
from saccade.store.datasets.label_sets import count_uncommitted, delete_label_set
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

MAX_CLASSES = 10_000
_MAX_OPEN_SETS = 16
_MAX_EDITED_KEYS = 100_000
_CLASS_ID = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_HOTKEYS = tuple("123456789")
DONE_BY_LABELS = (ItemState.LABELLED, ItemState.EMPTY)
"""The states that labels of the dataset give an item."""
_DONE_BY_LABELS = [STATES.index(state) for state in DONE_BY_LABELS]
LabelSetList = list[LabelSet]
ItemSummaries = list[ItemSummary]
AppliedEdits = list[AppliedEdit]
EditResults = list[EditResult]


@dataclass(slots=True)
class _EditedStates:
    """The states of edited items by key, as of edit ``seq``, and whether an edit has set them."""

    seq: int
    states: dict[str, tuple[ItemState, bool]]


@dataclass(frozen=True, slots=True)
class OpenSet:
    """A label set at one moment: its row, and its items in the base version."""

    id: int
    name: str
    dataset: str
    branch: str
    column: str
    base: int
    seq: int
    committed_seq: int
    classes_version: int
    items: SetItems

    @property
    def base_ref(self) -> str:
        return format_ref(self.dataset, self.base)


class _TrialError(Exception):
    """Rolls a transaction back whose results were only wanted."""


class LabelSets:
    """The label sets of the project that a workspace is scoped to. Thread-safe.

    Args:
        workspace: the workspace.
        open_version: opens a version by its exact reference; a server shares its open versions.
    """

    def __init__(self, workspace: Workspace, open_version: Callable[[str], DatasetVersion] | None = None) -> None:
        self.workspace = workspace
        self._catalog = workspace.catalog
        self._open_version = open_version or workspace.datasets.open
        self._lock = Lock()
        self._items: LRUCache[tuple[int, int], SetItems] = LRUCache(_MAX_OPEN_SETS)
        self._edited: LRUCache[int, _EditedStates] = LRUCache(_MAX_OPEN_SETS)
        self._recent: LRUCache[str, OpenSet] = LRUCache(_MAX_OPEN_SETS)
        self._edited_keys: LRUCache[tuple[int, str], None] = LRUCache(_MAX_EDITED_KEYS)

    # Label sets

    def create(
        self,
        name: str,
        dataset: str,
        *,
        column: str = "objects",
        start: Start = "labels",
        query: str | None = None,
        classes: Sequence[str] = (),
        predictions: str | None = None,
        min_score: float = 0.0,
        author: Author = Author(),  # noqa: B008 (immutable)
    ) -> LabelSet:
        """Create a label set.

        Args:
            name: its name.
            dataset: the dataset, or ``NAME@BRANCH``, or a version: its branch gets the commits.
            column: the column of objects to label; the first commit adds it if the dataset does not have it.
            start: "labels" starts with the labels of the dataset, "empty" without any, "predictions" with those of a
                model where the dataset has no labels.
            query: condition on the items to label; None for all.
            classes: names of classes to add to those of the column.
            predictions: the dataset version with the predictions, ``NAME`` or ``NAME@VERSION``; items are matched by
                key, classes by name, and classes that the column does not have are added.
            min_score: predictions with a lower score are left out.
            author: who creates it.

        Raises:
            ConflictError: there is a label set of that name.
            InvalidValueError: a name, the column, ``start`` or ``min_score`` is not valid, or no unlabelled item has
                predictions.
            NotFoundError: there is no such version.
            QueryError: the query is invalid.
        """
        check_name("label set", name)
        if repeated := [class_name for class_name, count in Counter(classes).items() if count > 1]:
            raise InvalidValueError(f"The class '{repeated[0][:100]}' is given more than once.")
        if start not in get_args(Start):
            raise InvalidValueError(f"A label set starts with 'labels', 'empty' or 'predictions', not {start!r}.")
        if (predictions is not None) != (start == "predictions"):
            raise InvalidValueError("The start 'predictions' needs predictions, and no other start has them.")
        check_min_score(min_score)
        dataset_name, selector = split_ref(dataset)
        with self._catalog.read_tx() as session:
            dataset_row = find_dataset(session, dataset_name)
            version_row = find_version(session, dataset_row, selector)
            number = version_row.number
            branch = MAIN if selector == LATEST else version_row.branch
            # The head of a new branch is a version of another one.
            if session.get(BranchRow, (dataset_row.id, selector)) is not None:
                branch = selector
            find_branch(session, dataset_row, branch)
        version = self._open_version(format_ref(dataset_name, number))
        target = _label_column(version.schema, column)
        added = [ClassInfo(class_name) for class_name in classes]
        prediction_version = None if predictions is None else self._open_exact(predictions)
        if prediction_version is not None:
            predicted = prediction_column(prediction_version, column)
            # Predictions may have the former names of classes that were renamed or merged since.
            names = {info.name: target.resolve_class(info.name) for info in predicted.classes}
            new = [info for info in used_classes(prediction_version, predicted) if names[info.name] is None]
            added = [*new, *added]
        label_classes = _initial_classes(target, added)
        if query is not None and not len(version.positions_where(query)):
            raise InvalidValueError(
                f"No item of {version.ref} matches the query '{query[:200]}'.",
                hint=f"Try queries with: saccade datasets query {version.ref} QUERY",
            )
        prediction = None
        if prediction_version is not None:
            ids = {label_class.name: label_class.id for label_class in label_classes}
            prediction = PredictionSource(
                prediction_version.ref,
                predicted.name,
                model_of(prediction_version),
                min_score,
                {name: ids[current or name] for name, current in names.items() if (current or name) in ids},
            )
            items = SetItems(version, version, column, query, start)
            _check_predictions(items, Predictions(prediction_version, prediction))
        try:
            with self._catalog.write_tx() as session:
                dataset_row = find_dataset(session, dataset_name)
                find_version(session, dataset_row, str(number))
                row = LabelSetRow(
                    project_id=project_id(session),
                    name=name,
                    dataset_id=dataset_row.id,
                    branch=branch,
                    column=column,
                    start=start,
                    query=query,
                    source=number,
                    base=number,
                    predictions=None if prediction is None else prediction.ref,
                    prediction_column=None if prediction is None else prediction.column,
                    prediction_model=None if prediction is None else prediction.model,
                    prediction_classes=None if prediction is None else dict(prediction.classes),
                    min_score=None if prediction is None else prediction.min_score,
                    author_id=author.id,
                    author=author.name,
                )
                session.add(row)
                session.flush()
                for position, label_class in enumerate(label_classes):
                    session.add(class_row(row.id, position, label_class))
        except IntegrityError:
            raise ConflictError(f"There is already a label set '{name}'.", hint="Choose another name.") from None
        return self.get(name)

    def _open_exact(self, ref: str) -> DatasetVersion:
        """Open a version by a reference such as ``NAME`` or ``NAME@VERSION``."""
        name, selector = split_ref(ref)
        with self._catalog.read_tx() as session:
            number = find_version(session, find_dataset(session, name), selector).number
        return self._open_version(format_ref(name, number))

    def list(self) -> LabelSetList:
        """List the label sets by name."""
        with self._catalog.read_tx() as session:
            names = session.scalars(select(LabelSetRow.name).order_by(LabelSetRow.name)).all()
        return [self.get(name) for name in names]

    def get(self, name: str) -> LabelSet:
        """Return a label set.

        Raises:
            NotFoundError: there is no such label set; suggests similar names.
        """
        with self._catalog.read_tx() as session:
            row = find_label_set(session, name)
            classes = tuple(read_classes(session, row.id))
            uncommitted = (LabelItemRow.set_id == row.id, LabelItemRow.edit_seq > row.committed_seq)
            recent = (LabelItemRow.seq > row.committed_seq,)
            items = session.scalar(select(func.count()).select_from(LabelItemRow).where(*uncommitted, *recent)) or 0
            edit_count = count_uncommitted(session, row)
            dataset_row = session.get_one(DatasetRow, row.dataset_id)
            base_row = find_version_by_number(session, dataset_row, row.base)
            schema = Schema() if base_row is None else Schema.from_json(base_row.schema)
        label_set = LabelSet(
            row.name,
            dataset_row.name,
            row.branch,
            row.column,
            _start_of(row),
            row.query,
            format_ref(dataset_row.name, row.source),
            format_ref(dataset_row.name, row.base),
            row.seq,
            row.committed_seq,
            edit_count,
            items,
            row.author,
            row.created,
            classes,
            has_uncommitted_classes=bool(changed_classes(classes, _label_column(schema, row.column))),
            predictions=row.predictions,
            prediction_model=row.prediction_model,
            min_score=row.min_score,
        )
        states, unchecked = self._states(self.open(name))
        return replace(
            label_set,
            items=len(states),
            states=_count_states(states),
            unchecked=_count_states(states[unchecked]),
        )

    def require(self, name: str) -> None:
        """Check that there is a label set.

        Raises:
            NotFoundError: there is no such label set; suggests similar names.
        """
        with self._catalog.read_tx() as session:
            find_label_set(session, name)

    def delete(self, name: str, *, force: bool = False) -> None:
        """Delete a label set with its log.

        Args:
            name: its name.
            force: also if it has uncommitted edits, which are lost.

        Raises:
            ConflictError: it has uncommitted edits.
            NotFoundError: there is no such label set.
        """
        with self._catalog.essential_tx() as session:
            row = find_label_set(session, name)
            if not force and (count := count_uncommitted(session, row)):
                edits = "1 uncommitted edit" if count == 1 else f"{count:,} uncommitted edits"
                raise ConflictError(
                    f"The label set '{name}' has {edits}.",
                    hint=f"Commit them: saccade labels commit {name}. Or delete them with force (--force).",
                )
            delete_label_set(session, row)

    def open(self, name: str) -> OpenSet:
        """Return a label set with its items.

        Raises:
            NotFoundError: there is no such label set.
        """
        with self._catalog.read_tx() as session:
            row = find_label_set(session, name)
            dataset = session.get_one(DatasetRow, row.dataset_id).name
        return self._open_row(row, dataset)

    def _open_row(self, row: LabelSetRow, dataset: str) -> OpenSet:
        return OpenSet(
            row.id,
            row.name,
            dataset,
            row.branch,
            row.column,
            row.base,
            row.seq,
            row.committed_seq,
            row.classes_version,
            self._set_items(row, dataset),
        )

    def _set_items(self, row: LabelSetRow, dataset: str) -> SetItems:
        key = row.id, row.base
        with self._lock:
            items = self._items.get(key)
        if items is None:
            source = self._open_version(format_ref(dataset, row.source))
            base = source if row.base == row.source else self._open_version(format_ref(dataset, row.base))
            items = SetItems(source, base, row.column, row.query, _start_of(row), self._predictions(row))
            with self._lock:
                items = self._items.setdefault(key, items)
        return items

    def _predictions(self, row: LabelSetRow) -> Predictions | None:
        if row.predictions is None:
            return None
        source = PredictionSource(
            row.predictions,
            str(row.prediction_column),
            str(row.prediction_model),
            row.min_score or 0.0,
            row.prediction_classes or {},
        )
        return Predictions(self._open_version(source.ref), source)

    def _current_items(self, set_id: int) -> SetItems | None:
        with self._catalog.read_tx() as session:
            row = session.scalar(select(LabelSetRow).where(LabelSetRow.id == set_id))
            dataset = None if row is None else session.get_one(DatasetRow, row.dataset_id).name
        return None if row is None or dataset is None else self._set_items(row, dataset)

    # Items

    def _states(self, label_set: OpenSet) -> tuple[States, npt.NDArray[np.bool_]]:
        """Return the state of each item, and whether only the labels of the dataset give it that state.

        Only the items that were edited since the last call are read.
        """
        with self._lock:
            edited = self._edited.get(label_set.id) or _EditedStates(0, {})
        with self._catalog.read_tx() as session:
            seq = session.scalar(select(LabelSetRow.seq).where(LabelSetRow.id == label_set.id)) or 0
            if seq != edited.seq:
                query = select(LabelItemRow.item, LabelItemRow.state, LabelItemRow.state_seq)
                rows = session.execute(
                    query.where(LabelItemRow.set_id == label_set.id, LabelItemRow.seq > edited.seq)
                ).all()
                changed = {item: (ItemState(state), state_seq > 0) for item, state, state_seq in rows}
                edited = _EditedStates(seq, edited.states | changed)
                with self._lock:
                    self._edited[label_set.id] = edited
        states = label_set.items.states
        is_set = np.zeros(len(states), np.bool_)
        if edited.states:
            states = states.copy()
            places = label_set.items.places(list(edited.states))
            states[places] = [STATES.index(state) for state, _ in edited.states.values()]
            is_set[places] = [by_edit for _, by_edit in edited.states.values()]
        return states, np.isin(states, _DONE_BY_LABELS) & ~is_set

    def items(
        self,
        name: str,
        state: ItemState | None = None,
        offset: int = 0,
        limit: int = 100,
        *,
        checked: bool | None = None,
    ) -> tuple[int, str, ItemSummaries]:
        """Return a page of items.

        Args:
            name: name of the label set.
            state: only items in this state.
            offset: index of the first one among the matching items.
            limit: maximum number of items.
            checked: False for items that are labelled or empty in the dataset, and not marked in this set; True for all
                others.

        Returns:
            The number of matching items, the exact reference of the version with their images, and the page.
        """
        label_set = self.open(name)
        states, unchecked = self._states(label_set)
        if state is None and checked is None:
            total = len(states)
            indices = np.arange(min(offset, total), min(offset + limit, total))
        else:
            is_matching = np.ones(len(states), np.bool_) if state is None else states == STATES.index(state)
            if checked is not None:
                is_matching &= unchecked != checked
            matching = np.flatnonzero(is_matching)
            total = len(matching)
            indices = matching[offset : offset + limit]
        items = label_set.items
        keys = items.keys(indices)
        pages = items.base_pages(keys)
        counts = items.object_counts(pages)
        with self._catalog.read_tx() as session:
            edited = read_items(session, label_set.id, keys)
        summaries = []
        for key, index in zip(keys, indices.tolist(), strict=True):
            edits = edited.get(key)
            values = pages[key].values if key in pages else {}
            image = values.get(items.image_column) if items.image_column is not None else None
            summaries.append(
                ItemSummary(
                    key,
                    index,
                    STATES[int(states[index])] if edits is None else edits.state,
                    None if edits is None else edits.reason,
                    counts.get(key, 0) if edits is None else edits.count,
                    None if edits is None else edits.updated,
                    "" if edits is None else edits.updated_by,
                    None if image is None else image.width,
                    None if image is None else image.height,
                    is_checked=_is_checked(edits, STATES[int(states[index])]),
                )
            )
        return total, label_set.base_ref, summaries

    def item(self, name: str, key: str) -> LabelItem:
        """Return an item with its objects.

        Raises:
            NotFoundError: there is no such label set, or it has no such item.
        """
        with self._catalog.read_tx() as session:
            row = find_label_set(session, name)
            dataset = session.get_one(DatasetRow, row.dataset_id).name
            edited = read_items(session, row.id, [key]).get(key)
            objects = read_objects(session, row.id, [key])[key] if edited is not None else []
            classes = read_classes(session, row.id)
        label_set = self._open_row(row, dataset)
        index = label_set.items.index_of(key)
        if index is None:
            raise NotFoundError(f"The label set '{name}' has no item '{key[:200]}'.")
        pages = label_set.items.base_pages([key])
        values = pages[key].values if key in pages else {}
        if edited is None:
            base_item = label_set.items.base_item(key) or BaseItem(label_set.base, None)
            edited = item_from_base(key, base_item, classes)
            objects = list(edited.objects.values())
        total = len(label_set.items)
        neighbours = label_set.items.keys(np.array([max(index - 1, 0), min(index + 1, total - 1)]))
        column = label_set.items.image_column
        return LabelItem(
            key,
            index,
            total,
            neighbours[0] if index else None,
            neighbours[1] if index + 1 < total else None,
            label_set.base_ref,
            column,
            None if column is None else values.get(column),
            edited.state,
            edited.reason,
            live_objects(obj.to_object() for obj in objects),
            row.seq,
            is_checked=_is_checked(edited, edited.state),
        )

    def objects(self, name: str, keys: Sequence[str]) -> dict[str, ItemObjects]:
        """Return the states and objects of items by key; without those that the set does not have.

        Raises:
            NotFoundError: there is no such label set.
        """
        label_set = self.open(name)
        with self._catalog.read_tx() as session:
            edited = read_items(session, label_set.id, keys)
            objects = read_objects(session, label_set.id, list(edited))
            classes = read_classes(session, label_set.id)
        rest = [key for key in keys if key not in edited and label_set.items.index_of(key) is not None]
        base_items = label_set.items.base_values(rest)
        for key in rest:
            item = item_from_base(key, base_items.get(key) or BaseItem(label_set.base, None), classes)
            edited[key] = item
            objects[key] = list(item.objects.values())
        return {
            key: ItemObjects(
                edited[key].state, edited[key].reason, live_objects(obj.to_object() for obj in objects[key])
            )
            for key in keys
            if key in edited
        }

    def history(
        self,
        name: str,
        *,
        item: str | None = None,
        author_id: str | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> AppliedEdits:
        """Return edits of the log in order.

        Args:
            name: name of the label set.
            item: only edits of this item.
            author_id: only edits of this user.
            after: only later edits than this number.
            limit: maximum number of edits.
        """
        with self._catalog.read_tx() as session:
            row = find_label_set(session, name)
            return read_log(session, row.id, item=item, author_id=author_id, after=after, limit=limit)

    # Edits

    def batch(self, name: str, edits: Sequence[Edit], author: Author) -> EditBatch:
        """Prepare edits for the log: items that were not edited before are read now, outside of the transaction.

        Raises:
            NotFoundError: there is no such label set.
        """
        batch = self.cached_batch(name, edits, author)
        if batch is not None:
            return batch
        keys = list(dict.fromkeys(edit.item for edit in edits))
        label_set = self.open(name)
        with self._catalog.read_tx() as session:
            edited = read_items(session, label_set.id, keys)
        base_items = {key: label_set.items.base_item(key) for key in keys if key not in edited}
        with self._lock:
            self._recent[name] = label_set
            for key in edited:
                self._edited_keys[label_set.id, key] = None
        image_sizes = label_set.items.image_sizes(_keys_of_masks(edits))
        return self._new_batch(label_set, edits, author, base_items, image_sizes)

    def cached_batch(self, name: str, edits: Sequence[Edit], author: Author) -> EditBatch | None:
        """Prepare edits without reading anything; None if that is not possible.

        The set may have been removed or committed by another process: :func:`append` finds that out.
        """
        with self._lock:
            label_set = self._recent.get(name)
            if label_set is None:
                return None
            new_keys = {edit.item for edit in edits if (label_set.id, edit.item) not in self._edited_keys}
        image_sizes = label_set.items.cached_image_sizes(_keys_of_masks(edits))
        if image_sizes is None or not all(map(label_set.items.has_base_item, new_keys)):
            return None
        base_items = {key: label_set.items.base_item(key) for key in new_keys}
        return self._new_batch(label_set, edits, author, base_items, image_sizes)

    def _new_batch(
        self,
        label_set: OpenSet,
        edits: Sequence[Edit],
        author: Author,
        base_items: dict[str, BaseItem | None],
        image_sizes: dict[str, tuple[int, int] | None],
    ) -> EditBatch:
        def load_item(key: str) -> BaseItem | None:
            self.forget(label_set.name)
            current = self._current_items(label_set.id)
            return None if current is None else current.base_item(key)

        return EditBatch(label_set.id, edits, author, load_item, base_items, image_sizes)

    def forget(self, name: str) -> None:
        """Forget a label set that was removed or has a new base."""
        with self._lock:
            self._recent.pop(name, None)

    def apply(
        self,
        name: str,
        edits: Sequence[Edit],
        author: Author,
        *,
        classes: Sequence[LabelClass] = (),
        is_trial: bool = False,
    ) -> tuple[EditResults, int]:
        """Append edits to the log in a transaction of their own; a server uses an :class:`EditWriter`.

        Args:
            name: name of the label set.
            edits: the edits, in order.
            author: who edits.
            classes: new classes that the edits refer to; see :meth:`new_classes`.
            is_trial: only return the results; nothing is written.

        Returns:
            The result of each edit, and the number of the last edit of the set.
        """
        batch = self.batch(name, edits, author)
        try:
            return self._append(name, batch, classes, is_trial=is_trial)
        except NotFoundError:  # removed, and perhaps created again, by another process
            self.forget(name)
        return self._append(name, self.batch(name, edits, author), classes, is_trial=is_trial)

    def _append(
        self, name: str, batch: EditBatch, classes: Sequence[LabelClass], *, is_trial: bool
    ) -> tuple[EditResults, int]:
        with suppress(_TrialError), self._catalog.write_tx(changes_access=False) as session:
            if classes:
                row = find_label_set(session, name)
                existing = read_classes(session, row.id)
                for position, label_class in enumerate(classes, len(existing)):
                    _check_class(label_class, existing)
                    session.add(class_row(row.id, position, label_class))
                    existing.append(label_class)
                if len(existing) > MAX_CLASSES:
                    raise InvalidValueError(f"A label set has at most {MAX_CLASSES:,} classes.")
                row.classes_version += 1
                session.flush()
            append(session, batch.set_id, [batch])
            if is_trial:
                raise _TrialError
        return batch.results, batch.seq

    # Classes

    def classes(self, name: str) -> tuple[LabelClass, ...]:
        """Return the classes of a label set in their order, deleted ones too.

        Raises:
            NotFoundError: there is no such label set.
        """
        with self._catalog.read_tx() as session:
            return tuple(read_classes(session, find_label_set(session, name).id))

    def put_class(self, name: str, label_class: LabelClass) -> LabelClass:
        """Create or replace a class.

        Args:
            name: name of the label set.
            label_class: the class; ``dataset_name`` and ``successor`` are not changed.

        Raises:
            ConflictError: another class has this name or hotkey.
            InvalidValueError: a value is not valid.
        """
        with self._catalog.write_tx() as session:
            row = find_label_set(session, name)
            classes = read_classes(session, row.id)
            existing = next((other for other in classes if other.id == label_class.id), None)
            _check_class(label_class, [other for other in classes if other.id != label_class.id])
            if existing is None:
                if len(classes) >= MAX_CLASSES:
                    raise InvalidValueError(f"A label set has at most {MAX_CLASSES:,} classes.")
                label_class = replace(label_class, dataset_name=None, successor=None)
                session.add(class_row(row.id, len(classes), label_class))
            else:
                label_class = replace(label_class, dataset_name=existing.dataset_name, successor=existing.successor)
                stored = session.get_one(LabelClassRow, (row.id, label_class.id))
                update_class_row(stored, label_class)
            row.classes_version += 1
        return label_class


def _count_states(states: States) -> dict[ItemState, int]:
    counts = np.bincount(states, minlength=len(STATES)).tolist()
    return {state: counts[code] for code, state in enumerate(STATES)}


def _is_checked(item: ItemEdits | None, state: ItemState) -> bool:
    """Return whether an item is not just labelled or empty in the dataset.

    Args:
        item: the item; None without edits.
        state: its state without edits.
    """
    if item is None:
        return state not in DONE_BY_LABELS
    return item.state not in DONE_BY_LABELS or item.state_stamp.seq > 0


def _keys_of_masks(edits: Sequence[Edit]) -> list[str]:
    """Return the keys of the items to which edits bring masks: only the size of masks is that of the image."""
    geometries = ((edit.item, edit.fields.get("geometry")) for edit in edits if edit.kind in ("put", "patch"))
    return list(
        dict.fromkeys(key for key, value in geometries if isinstance(value, Mapping) and value.get("type") == Mask.type)
    )


def find_label_set(session: Session, name: str) -> LabelSetRow:
    """Return a label set of the session's project.

    Raises:
        NotFoundError: there is no such label set; suggests similar names.
    """
    row = session.scalar(select(LabelSetRow).where(LabelSetRow.name == name))
    if row is None:
        known = session.scalars(select(LabelSetRow.name))
        raise NotFoundError(f"There is no label set '{name[:100]}'.", hint=suggest(name[:100], known))
    return row


def _start_of(row: LabelSetRow) -> Start:
    return "empty" if row.start == "empty" else "predictions" if row.start == "predictions" else "labels"


def _check_predictions(items: SetItems, predictions: Predictions) -> None:
    """Check that items which start with predictions have some.

    Raises:
        InvalidValueError: all items have labels, or none has predictions.
    """
    unlabelled = np.flatnonzero(items.states == STATES.index(ItemState.UNLABELLED))
    if not len(unlabelled):
        raise InvalidValueError(
            f"All {len(items):,} items have labels in the column '{items.column}', which predictions do not replace.",
            hint="Label another column to correct predictions of labelled items: it is created with the first commit.",
        )
    if not predictions.count_items(items.keys(unlabelled)):
        raise InvalidValueError(
            f"{predictions.source.ref} has none of the {len(unlabelled):,} unlabelled items of {items.source.ref}.",
            hint="Items are matched by their keys. Predict on the dataset that you label.",
        )


# Classes


def _label_column(schema: Schema, name: str) -> Column:
    """Return the labelled column; one without classes if the schema does not have it.

    Raises:
        InvalidValueError: the column is of another kind.
    """
    if name not in schema:
        return Column(name, Kind.OBJECTS)
    if schema[name].kind is not Kind.OBJECTS:
        raise InvalidValueError(
            f"The column '{name}' is of kind {schema[name].kind}, and cannot be labelled with objects.",
            hint="Name a column of kind objects, or a new one.",
        )
    return schema[name]


def _initial_classes(column: Column, added: Sequence[ClassInfo]) -> list[LabelClass]:
    """Return the classes of a new set: those of the column, then new ones; the first nine get hotkeys."""
    new = {info.name: info for info in reversed(added)}
    infos = [*column.classes]
    for name in dict.fromkeys(info.name for info in added):
        check_class_name(name)
        if name not in column.class_names:
            infos.append(new[name])
    ids = {info.name: f"c{number}" for number, info in enumerate(infos, 1)}
    colors = palette(ids)
    return [
        class_from_info(
            info,
            ids[info.name],
            info.color or colors[info.name],
            ids,
            hotkey=_HOTKEYS[number] if number < len(_HOTKEYS) else None,
            is_new=info.name not in column.class_names,
        )
        for number, info in enumerate(infos)
    ]


def class_from_info(
    info: ClassInfo,
    class_id: str,
    color: str,
    ids: dict[str, str],
    *,
    hotkey: str | None = None,
    is_new: bool = False,
) -> LabelClass:
    """Return the class of a label set for a class of a dataset.

    Args:
        info: the class.
        class_id: the id in the set.
        color: the color in which it is displayed.
        ids: the ids in the set by name.
        hotkey: the hotkey in the set.
        is_new: whether the dataset does not have it yet.
    """
    return LabelClass(
        class_id,
        info.name,
        color.lower(),
        hotkey,
        None if info.parent is None else ids.get(info.parent),
        keypoints=info.keypoints,
        skeleton=info.skeleton,
        dataset_name=None if is_new else info.name,
    )


def new_classes(infos: Iterable[ClassInfo], existing: Sequence[LabelClass]) -> list[LabelClass]:
    """Return classes to add to those of a set, with unused ids, and hotkeys while there are some.

    Args:
        infos: the classes; their names are not those of ``existing``.
        existing: the classes of the set, deleted ones too.
    """
    used_ids = {label_class.id for label_class in existing}
    free_hotkeys = [key for key in _HOTKEYS if key not in {c.hotkey for c in existing if not c.deleted}]
    ids = {c.name: c.id for c in existing if not c.deleted}
    number = len(existing)
    added = []
    for info in infos:
        number += 1
        while f"c{number}" in used_ids:
            number += 1
        ids[info.name] = f"c{number}"
        color = info.color or palette([*ids])[info.name]
        hotkey = free_hotkeys.pop(0) if free_hotkeys else None
        added.append(class_from_info(info, ids[info.name], color, ids, hotkey=hotkey, is_new=True))
    return added


def changed_classes(classes: Iterable[LabelClass], column: Column) -> list[LabelClass]:
    """Return the classes that a commit would add, change or remove."""
    names = {label_class.id: label_class.name for label_class in classes}
    infos = {info.name: info for info in column.classes}
    colors = palette(column.class_names)
    changed = []
    for label_class in classes:
        info = infos.get(label_class.dataset_name or "")
        if label_class.deleted:
            is_changed = info is not None and label_class.successor is None
        elif info is None:
            is_changed = True
        else:
            parent = names.get(label_class.parent or "")
            now = (label_class.name, label_class.color, label_class.keypoints, label_class.skeleton, parent)
            color = (info.color or colors[info.name]).lower()
            is_changed = now != (info.name, color, info.keypoints, info.skeleton, info.parent)
        if is_changed:
            changed.append(label_class)
    return changed


def class_row(set_id: int, position: int, label_class: LabelClass) -> LabelClassRow:
    """Return the row of a new class."""
    row = LabelClassRow(set_id=set_id, id=label_class.id, position=position)
    update_class_row(row, label_class)
    return row


def update_class_row(row: LabelClassRow, label_class: LabelClass) -> None:
    """Set all values of a row."""
    row.name = label_class.name
    row.dataset_name = label_class.dataset_name
    row.color = label_class.color
    row.hotkey = label_class.hotkey
    row.parent = label_class.parent
    row.attributes = [_spec_to_json(spec) for spec in label_class.attributes]
    row.keypoints = list(label_class.keypoints)
    row.skeleton = [list(pair) for pair in label_class.skeleton]
    row.deleted = label_class.deleted
    row.successor = label_class.successor


def _spec_to_json(spec: AttributeSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "type": spec.type,
        "choices": list(spec.choices),
        "default": spec.default,
        "required": spec.required,
    }


def _check_class(label_class: LabelClass, others: Sequence[LabelClass]) -> None:
    """Check a class beside the others of its set.

    Raises:
        ConflictError: another class has its name or hotkey.
        InvalidValueError: a value is not valid.
    """
    if not _CLASS_ID.fullmatch(label_class.id):
        raise InvalidValueError(
            f"The id of a class has 1 to 64 letters, digits, '_', '-' and '.', not {label_class.id[:80]!r}."
        )
    check_class_name(label_class.name)
    if not is_hex_color(label_class.color):
        raise InvalidValueError(f"A colour is written as '#rrggbb', not {label_class.color[:40]!r}.")
    if label_class.hotkey is not None and label_class.hotkey not in _HOTKEYS:
        raise InvalidValueError(f"A hotkey is a digit from 1 to 9, not {label_class.hotkey[:40]!r}.")
    for names, what in (
        (label_class.keypoints, "keypoint"),
        ([spec.name for spec in label_class.attributes], "attribute"),
    ):
        if not all(name.strip() for name in names) or max(Counter(names).values(), default=1) > 1:
            raise InvalidValueError(f"Each {what} of a class needs a name of its own: {', '.join(names)[:200]}.")
    count = len(label_class.keypoints)
    if not all(0 <= index < count for pair in label_class.skeleton for index in pair):
        raise InvalidValueError(f"A skeleton connects keypoints by their numbers, from 0 to {count - 1}.")
    _check_parent(label_class, {other.id: other for other in others})
    for other in others:
        if label_class.deleted or other.deleted:
            continue
        if other.name == label_class.name:
            raise ConflictError(f"The label set already has a class '{label_class.name}'.")
        if label_class.hotkey is not None and other.hotkey == label_class.hotkey:
            raise ConflictError(f"The class '{other.name}' has the hotkey {label_class.hotkey}.")


def _check_parent(label_class: LabelClass, others: dict[str, LabelClass]) -> None:
    parent = label_class.parent
    visited = {label_class.id}
    while parent is not None:
        if parent in visited:
            raise InvalidValueError(f"The class '{label_class.name}' cannot be its own ancestor.")
        if parent not in others:
            raise NotFoundError(f"The label set has no class with the id '{parent[:80]}'.")
        visited.add(parent)
        parent = others[parent].parent
