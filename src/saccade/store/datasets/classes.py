"""Class statistics and class renames of a version.

Class names are read as cached leaf columns, so that only rows with a changed class are read and written in full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.class_edits import LABEL_KINDS, ClassPlan
from saccade.core.errors import ConflictError
from saccade.core.progress import Progress
from saccade.core.schema import KEY, Column, Kind, Schema
from saccade.core.text import format_count
from saccade.store.arrow.columns import list_lengths, list_offsets, to_list
from saccade.store.datasets.mutations import Mutation, upsert
from saccade.store.query.column_cache import FragmentView, IntArray, NotVectorizableError, fragment_views
from saccade.store.table.row_index import Rows
from saccade.store.table.snapshot import Snapshot

_CLASS_PATHS: Mapping[Kind, tuple[str, ...]] = {Kind.OBJECTS: ("item", "class"), Kind.LABELS: ("item",), Kind.LABEL: ()}
_BATCH_SIZE = 1024


@dataclass(frozen=True, slots=True)
class ClassCount:
    """Number of objects or labels of a class, and number of items that have any."""

    objects: int = 0
    items: int = 0


@dataclass(frozen=True, slots=True)
class _ClassOccurrences:
    """Occurrences of classes in some rows.

    Attributes:
        rows: int64 (N,), the row of each occurrence.
        codes: int64 (N,), the class of each occurrence, as index into ``class_names``.
        class_names: distinct class names.
    """

    rows: Rows
    codes: IntArray
    class_names: list[str]


def class_counts(snapshot: Snapshot) -> dict[str, dict[str, ClassCount]]:
    """Count the classes of each column with classes, in schema order, including classes that do not occur."""
    counts_by_column = {}
    for column in snapshot.schema.columns_of_kind(*LABEL_KINDS):
        objects = Counter(dict.fromkeys(column.class_names, 0))
        items = Counter[str]()
        for occurrences in _occurrences(snapshot, column):
            row_class_pairs = occurrences.rows * (len(occurrences.class_names) + 1) + occurrences.codes
            _, first_of_pair = np.unique(row_class_pairs, return_index=True)
            _add_counts(objects, occurrences.codes, occurrences.class_names)
            _add_counts(items, occurrences.codes[first_of_pair], occurrences.class_names)
        counts_by_column[column.name] = {name: ClassCount(count, items[name]) for name, count in objects.items()}
    return counts_by_column


def _add_counts(counter: Counter[str], codes: IntArray, class_names: list[str]) -> None:
    counts = np.bincount(codes, minlength=len(class_names)).tolist()
    # A class may have no occurrence left if the rows with it were deleted; it must not appear in the result.
    counter.update({name: count for name, count in zip(class_names, counts, strict=True) if count})


def apply_class_plan(head: Snapshot, plan: ClassPlan, folder: Path, progress: Progress) -> Mutation:
    """Rename, merge and remove classes as planned.

    Args:
        head: the snapshot to change.
        plan: the new schema and class names.
        folder: where a temporary file is created.
        progress: advanced by the rows that change.

    Raises:
        ConflictError: if a class that must be unused still has objects or labels.
    """
    _check_unused(head, plan)
    rows = [rows_with_classes(head, head.schema[name], names) for name, names in plan.names.items()]
    changed_rows = np.unique(np.concatenate([np.empty(0, np.int64), *rows]))
    progress.start("Changing items", len(changed_rows))
    return upsert(head, plan.schema, _renamed_batches(head, plan, changed_rows), (), folder, progress)


def _check_unused(head: Snapshot, plan: ClassPlan) -> None:
    for column, class_names in plan.must_be_unused.items():
        counts = class_counts(head)[column]
        for stored_name, name in class_names.items():
            count = counts.get(stored_name, ClassCount())
            if count.objects:
                raise ConflictError(
                    f"The class '{name}' cannot be removed: "
                    f"{format_count(count.objects, 'object or label', 'objects or labels')} in "
                    f"{format_count(count.items, 'item')} {'has' if count.objects == 1 else 'have'} it "
                    f"(column '{column}').",
                    hint="Merge it into another class, or remove it with its objects (--with-objects).",
                )


def _occurrences(snapshot: Snapshot, column: Column) -> list[_ClassOccurrences]:
    """Return all occurrences of classes in a column, in parts."""
    try:
        start = 0
        parts = []
        for view in fragment_views(snapshot):
            parts.append(_view_occurrences(view, column, start))
            start += view.size
        return parts
    except NotVectorizableError:  # too many distinct names for the column cache
        return list(_scan_occurrences(snapshot, column))


def _view_occurrences(view: FragmentView, column: Column, first_row: int) -> _ClassOccurrences:
    path = (column.name, *_CLASS_PATHS[column.kind])
    texts = view.texts(*path)
    rows = np.arange(first_row, first_row + view.size)
    if column.kind is not Kind.LABEL:
        rows = np.repeat(rows, view.list_lengths(*path).lengths)
    return _without_missing(rows, texts.codes.astype(np.int64), texts.categories)


def _scan_occurrences(snapshot: Snapshot, column: Column) -> Iterator[_ClassOccurrences]:
    size = len(snapshot.index)
    for start in range(0, size, _BATCH_SIZE):
        batch_rows = np.arange(start, min(start + _BATCH_SIZE, size))
        array = snapshot.take(batch_rows, [column.name]).column(0).combine_chunks()
        encoded = _class_values(column, array).dictionary_encode()
        rows = batch_rows if column.kind is Kind.LABEL else np.repeat(batch_rows, list_lengths(array))
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        yield _without_missing(rows, codes.astype(np.int64), to_list(encoded.dictionary))


def _without_missing(rows: Rows, codes: IntArray, class_names: list[str]) -> _ClassOccurrences:
    is_present = codes >= 0
    return _ClassOccurrences(rows[is_present], codes[is_present], class_names)


def rows_with_classes(snapshot: Snapshot, column: Column, class_names: Collection[str]) -> Rows:
    """Return the rows that have any of some classes in a column."""
    rows = [np.empty(0, np.int64)]
    for occurrences in _occurrences(snapshot, column):
        is_requested = np.array([name in class_names for name in occurrences.class_names], bool)
        if len(occurrences.codes):
            rows.append(np.unique(occurrences.rows[is_requested[occurrences.codes]]))
    return np.concatenate(rows)


def _renamed_batches(head: Snapshot, plan: ClassPlan, rows: Rows) -> Iterator[pa.RecordBatch]:
    for table in head.batches([KEY, *plan.names], rows, _BATCH_SIZE):
        yield from rename_classes(table, head.schema, plan.names).combine_chunks().to_batches()


def rename_classes(rows: pa.Table, schema: Schema, names: Mapping[str, Mapping[str, str | None]]) -> pa.Table:
    """Rename the classes in some rows.

    Args:
        rows: rows with any columns of the schema.
        schema: the schema of the rows.
        names: for each column the new name of each changed class; None removes its objects or labels.
    """
    for column, column_names in names.items():
        index = rows.schema.get_field_index(column)
        if index >= 0:
            values = _rename_column(schema[column], rows.column(index).combine_chunks(), column_names)
            rows = rows.set_column(index, rows.schema.field(index), values)
    return rows


def _rename_column(column: Column, array: pa.Array, names: Mapping[str, str | None]) -> pa.Array:
    """Rename the classes in a column. Drops removed classes, and labels that become duplicates."""
    texts = _rename_values(_class_values(column, array), names)
    if column.kind is Kind.LABEL:
        return texts
    list_indices = np.repeat(np.arange(len(array)), list_lengths(array))
    is_retained = np.asarray(texts.is_valid())
    if column.kind is Kind.LABELS:
        new_names = {name for name in names.values() if name is not None}
        is_retained &= ~_duplicates(list_indices, texts, new_names)
        values = texts
    else:
        structs = array.flatten()
        fields = [texts if field.name == "class" else structs.field(field.name) for field in structs.type]
        values = pa.StructArray.from_arrays(fields, fields=list(structs.type))
    lengths = np.bincount(list_indices[is_retained], minlength=len(array))
    is_null = np.asarray(array.is_null())
    return pa.ListArray.from_arrays(
        pa.array(list_offsets(lengths.tolist(), len(array)), pa.int32()),
        values.filter(pa.array(is_retained)),
        mask=pa.array(is_null) if is_null.any() else None,
    )


def _class_values(column: Column, array: pa.Array) -> pa.Array:
    """Return the class names in a column, of lists concatenated."""
    if column.kind is Kind.LABEL:
        return array
    elements = array.flatten()
    return elements if column.kind is Kind.LABELS else elements.field("class")


def _rename_values(texts: pa.Array, names: Mapping[str, str | None]) -> pa.Array:
    encoded = texts.dictionary_encode()
    new_names = pa.array([names.get(name, name) for name in to_list(encoded.dictionary)], pa.string())
    return pc.take(new_names, encoded.indices)


def _duplicates(list_indices: IntArray, texts: pa.Array, names: Collection[str]) -> npt.NDArray[np.bool_]:
    """Return for each text whether it is one of some names and occurs earlier in the same list.

    Args:
        list_indices: int64 (N,), the list of each text.
        texts: the concatenated texts of all lists.
        names: the names to check.
    """
    encoded = texts.dictionary_encode()
    categories = to_list(encoded.dictionary)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    _, first = np.unique(list_indices * (len(categories) + 1) + codes + 1, return_index=True)
    is_checked = np.array([*(category in names for category in categories), False], bool)  # the last one is for code -1
    is_duplicate: npt.NDArray[np.bool_] = is_checked[codes]
    is_duplicate[first] = False
    return is_duplicate
