"""The classes of a version: how often each occurs, and the same version with other names for them.

Names are looked up on arrays in memory, so that only the rows that have one that changes are read and written.
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
from saccade.store.arrow.columns import offsets_of, to_list
from saccade.store.datasets.mutations import Change, combined
from saccade.store.query.column_cache import Counts, Part, UnfitError, parts_of
from saccade.store.table.row_index import Rows
from saccade.store.table.snapshot import Snapshot

_STEPS: Mapping[Kind, tuple[str, ...]] = {Kind.OBJECTS: ("item", "class"), Kind.LABELS: ("item",), Kind.LABEL: ()}
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How many objects or labels are of a class, and in how many items."""

    objects: int = 0
    items: int = 0


@dataclass(frozen=True, slots=True)
class _Names:
    """Class names, as numbers in ``words``, and the row of each."""

    rows: Rows
    codes: npt.NDArray[np.int64]
    words: list[str]


def class_counts(snapshot: Snapshot) -> dict[str, dict[str, ClassCount]]:
    """For each column with classes its classes in order, those that do not occur too."""
    found = {}
    for column in snapshot.schema.of_kind(*LABEL_KINDS):
        objects, items = Counter(dict.fromkeys(column.class_names, 0)), Counter[str]()
        for names in _names_of(snapshot, column):
            _, first = np.unique(names.rows * (len(names.words) + 1) + names.codes, return_index=True)
            for counter, codes in ((objects, names.codes), (items, names.codes[first])):
                counts = np.bincount(codes, minlength=len(names.words)).tolist()
                # Rows that were removed since may have been the only ones with a word.
                counter.update({word: count for word, count in zip(names.words, counts, strict=True) if count})
        found[column.name] = {name: ClassCount(count, items[name]) for name, count in objects.items()}
    return found


def relabelled(head: Snapshot, plan: ClassPlan, folder: Path, progress: Progress) -> Change:
    """The snapshot with the classes of a plan; ConflictError where something is of a class that was to be empty."""
    _refuse_what_is_kept(head, plan)
    rows = [rows_with(head, head.schema[name], names) for name, names in plan.names.items()]
    changed = np.unique(np.concatenate([np.empty(0, np.int64), *rows]))
    progress.start("Changing items", len(changed))
    return combined(head, plan.schema, _renamed(head, plan, changed), (), folder, progress)


def _refuse_what_is_kept(head: Snapshot, plan: ClassPlan) -> None:
    for column, kept in plan.kept.items():
        counts = class_counts(head)[column]
        for old, name in kept.items():
            found = counts.get(old, ClassCount())
            if found.objects:
                raise ConflictError(
                    f"The class '{name}' cannot be removed: {found.objects:,} in {found.items:,} items are of it "
                    f"(column '{column}').",
                    hint="Merge it into another class, or remove it with what is of it (--with-objects).",
                )


def _names_of(snapshot: Snapshot, column: Column) -> list[_Names]:
    """All class names of a column, part by part."""
    try:
        at, found = 0, []
        for part in parts_of(snapshot):
            found.append(_names_in(part, column, at))
            at += part.size
        return found
    except UnfitError:  # too many different ones to be held
        return list(_names_by_reading(snapshot, column))


def _names_in(part: Part, column: Column, at: int) -> _Names:
    steps = (column.name, *_STEPS[column.kind])
    texts, rows = part.texts(*steps), np.arange(at, at + part.size)
    if column.kind is not Kind.LABEL:
        rows = np.repeat(rows, part.lists(*steps).counts)
    return _present(rows, texts.codes.astype(np.int64), texts.words)


def _names_by_reading(snapshot: Snapshot, column: Column) -> Iterator[_Names]:
    size = len(snapshot.index)
    for start in range(0, size, _BATCH):
        rows = np.arange(start, min(start + _BATCH, size))
        array = snapshot.take(rows, [column.name]).column(0).combine_chunks()
        coded = _texts_of(column, array).dictionary_encode()
        owners = rows if column.kind is Kind.LABEL else np.repeat(rows, _lengths(array))
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        yield _present(owners, codes.astype(np.int64), to_list(coded.dictionary))


def _present(rows: Rows, codes: npt.NDArray[np.int64], words: list[str]) -> _Names:
    there = codes >= 0
    return _Names(rows[there], codes[there], words)


def rows_with(snapshot: Snapshot, column: Column, wanted: Collection[str]) -> Rows:
    """The rows that have one of some classes."""
    found = [np.empty(0, np.int64)]
    for names in _names_of(snapshot, column):
        is_wanted = np.array([word in wanted for word in names.words], bool)
        found.append(np.unique(names.rows[is_wanted[names.codes]]) if len(names.codes) else found[0])
    return np.concatenate(found)


def _renamed(head: Snapshot, plan: ClassPlan, rows: Rows) -> Iterator[pa.RecordBatch]:
    for table in head.batches([KEY, *plan.names], rows, _BATCH):
        yield from renamed(table, head.schema, plan.names).combine_chunks().to_batches()


def renamed(rows: pa.Table, schema: Schema, names: Mapping[str, Mapping[str, str | None]]) -> pa.Table:
    """Rows with other names for the classes of some columns; names are by column, and columns may be missing."""
    for column, others in names.items():
        at = rows.schema.get_field_index(column)
        if at >= 0:
            values = _with_names(schema[column], rows.column(at).combine_chunks(), others)
            rows = rows.set_column(at, rows.schema.field(at), values)
    return rows


def _with_names(column: Column, array: pa.Array, names: Mapping[str, str | None]) -> pa.Array:
    """Values of a column with other names; what has none any more is left out, and a changed label occurs once."""
    texts = _other(_texts_of(column, array), names)
    if column.kind is Kind.LABEL:
        return texts
    lengths = _lengths(array)
    owners = np.repeat(np.arange(len(array)), lengths)
    stays = np.asarray(texts.is_valid())
    if column.kind is Kind.LABELS:
        stays &= ~_repeated(owners, texts, {name for name in names.values() if name is not None})
        values = texts
    else:
        inner = array.flatten()
        parts = [texts if field.name == "class" else inner.field(field.name) for field in inner.type]
        values = pa.StructArray.from_arrays(parts, fields=list(inner.type))
    counts = np.bincount(owners[stays], minlength=len(array))
    missing = np.asarray(array.is_null())
    return pa.ListArray.from_arrays(
        pa.array(offsets_of(counts.tolist(), len(array)), pa.int32()),
        values.filter(pa.array(stays)),
        mask=pa.array(missing) if missing.any() else None,
    )


def _texts_of(column: Column, array: pa.Array) -> pa.Array:
    if column.kind is Kind.LABEL:
        return array
    inner = array.flatten()
    return inner if column.kind is Kind.LABELS else inner.field("class")


def _lengths(array: pa.Array) -> Counts:
    return np.asarray(array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), np.int64)


def _other(texts: pa.Array, names: Mapping[str, str | None]) -> pa.Array:
    coded = texts.dictionary_encode()
    words = pa.array([names.get(word, word) for word in to_list(coded.dictionary)], pa.string())
    return pc.take(words, coded.indices)


def _repeated(owners: npt.NDArray[np.int64], texts: pa.Array, names: Collection[str]) -> npt.NDArray[np.bool_]:
    """Where one of some names is in a list that has it already."""
    coded = texts.dictionary_encode()
    words = to_list(coded.dictionary)
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    _, first = np.unique(owners * (len(words) + 1) + codes + 1, return_index=True)
    is_named = np.array([*(word in names for word in words), False], bool)
    again: npt.NDArray[np.bool_] = is_named[codes]  # -1 is the last one
    again[first] = False
    return again
