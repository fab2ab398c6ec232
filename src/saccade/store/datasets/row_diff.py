"""Row-level diff of two snapshots. Rows that both share in the same data file are not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.errors import InvalidValueError
from saccade.core.schema import KEY
from saccade.store.arrow.columns import to_list
from saccade.store.table.row_index import Rows
from saccade.store.table.snapshot import Snapshot

_CHUNK_SIZE = 2048


def unequal_mask(before: pa.Array, after: pa.Array) -> npt.NDArray[np.bool_]:
    """Compare two arrays of the same type and length. Returns bool (N,), true where they differ."""
    if before.equals(after):
        return np.zeros(len(after), bool)
    return np.fromiter((not a.equals(b) for a, b in zip(before, after, strict=True)), bool, len(after))


def column_as(rows: pa.Table, name: str, like: pa.DataType) -> pa.Array:
    """Return a column with a given type.

    Args:
        rows: the rows.
        name: name of the column.
        like: the type to return. Structs get additional fields as nulls.

    Returns:
        One array; all null if the column is missing or has another type.

    Raises:
        InvalidValueError: if a struct has values in a field that ``like`` does not have.
    """
    if name not in rows.schema.names:
        return pa.nulls(len(rows), like)
    stored_type = rows.schema.field(name).type
    if stored_type == like:
        return rows.column(name).combine_chunks()
    if pa.types.is_struct(stored_type) and pa.types.is_struct(like):
        return _conform_struct(rows.column(name).combine_chunks(), like, name)
    return pa.nulls(len(rows), like)


def _conform_struct(values: pa.StructArray, like: pa.StructType, name: str) -> pa.StructArray:
    # Tables written by an earlier version of Saccade have fewer fields.
    names = {field.name for field in like}
    for field in values.type:
        if field.name not in names and values.field(field.name).null_count < len(values):
            raise InvalidValueError(
                f"The dataset was created by an earlier version of Saccade: column '{name}' has no field "
                f"'{field.name}'.",
                hint="Import the new items as a new dataset.",
            )
    nulls = pa.nulls(len(values), pa.null())
    children = [
        values.field(field.name) if values.type.get_field_index(field.name) >= 0 else nulls.cast(field.type)
        for field in like
    ]
    return pa.StructArray.from_arrays(children, fields=list(like), mask=values.is_null())


def _complement(rows: Rows, size: int) -> npt.NDArray[np.bool_]:
    """Return bool (size,), true for row numbers that are not in ``rows``. Negative row numbers are ignored."""
    mask = np.ones(size, bool)
    mask[rows[rows >= 0]] = False
    return mask


def _keys(snapshot: Snapshot, mask: npt.NDArray[np.bool_]) -> list[str]:
    return to_list(snapshot.index.keys_at(snapshot.index.sort_by_position(np.flatnonzero(mask))))


@dataclass(frozen=True)
class ChangedRows:
    """Items that exist in both snapshots and differ.

    Attributes:
        keys: key of each item.
        rows_before, rows_after: row of each item in either snapshot.
        columns: for each column bool (N,), whether it differs.
    """

    keys: list[str]
    rows_before: Rows
    rows_after: Rows
    columns: Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Comparison:
    """Comparison of two snapshots, computed lazily."""

    before: Snapshot
    after: Snapshot

    @cached_property
    def _row_mapping(self) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """For each row after: the row before with the same key (-1 if none), and whether both are stored as one row.

        Keys are read only for rows that the snapshots do not share.
        """
        mapping = self.after.index.map_rows_to(self.before.index)
        is_shared = mapping >= 0
        new = np.flatnonzero(~is_shared)
        old = np.flatnonzero(_complement(mapping, len(self.before.index)))
        if len(new) and len(old):
            matches = pc.index_in(self.after.index.keys_at(new), value_set=self.before.index.keys_at(old))
            indices = np.asarray(pc.fill_null(matches, -1))
            mapping[new] = np.where(indices < 0, -1, old[indices])
        return mapping, is_shared

    @cached_property
    def added(self) -> list[str]:
        """Keys of the items that only the snapshot after has."""
        return _keys(self.after, self._row_mapping[0] < 0)

    @cached_property
    def removed(self) -> list[str]:
        """Keys of the items that only the snapshot before has."""
        return _keys(self.before, _complement(self._row_mapping[0], len(self.before.index)))

    def _candidate_rows(self) -> tuple[Rows, Rows]:
        """Return the rows, before and after, of items that are stored twice, in the order of the items after."""
        row_before, is_shared = self._row_mapping
        after = self.after.index.sort_by_position(np.flatnonzero((row_before >= 0) & ~is_shared))
        return row_before[after], after

    @cached_property
    def changed(self) -> ChangedRows:
        parts = list(self._compare())
        names = self.column_names
        return ChangedRows(
            [key for part in parts for key in part.keys],
            np.concatenate([np.empty(0, np.int64), *(part.rows_before for part in parts)]),
            np.concatenate([np.empty(0, np.int64), *(part.rows_after for part in parts)]),
            {name: np.concatenate([np.empty(0, bool), *(part.columns[name] for part in parts)]) for name in names},
        )

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.before.schema.names, *self.after.schema.names)))

    def _compare(self) -> Iterator[ChangedRows]:
        before, after = self._candidate_rows()
        for start in range(0, len(after), _CHUNK_SIZE):
            yield self._compare_rows(before[start : start + _CHUNK_SIZE], after[start : start + _CHUNK_SIZE])

    def _compare_rows(self, before: Rows, after: Rows) -> ChangedRows:
        old = self.before.take(before, [KEY, *self.before.schema.names])
        new = self.after.take(after, [KEY, *self.after.schema.names])
        masks = {name: _column_differs(old, new, name) for name in self.column_names}
        is_changed = np.any([np.zeros(len(after), bool), *masks.values()], axis=0)
        keys = new.column(KEY).filter(pa.array(is_changed)).to_pylist()
        return ChangedRows(
            keys, before[is_changed], after[is_changed], {name: mask[is_changed] for name, mask in masks.items()}
        )

    def counts(self) -> dict[str, int]:
        return {"added": len(self.added), "removed": len(self.removed), "changed": len(self.changed.keys)}


def _column_differs(old: pa.Table, new: pa.Table, name: str) -> npt.NDArray[np.bool_]:
    # A column may have another type on each side; a value must be equal in both.
    types = [rows.schema.field(name).type for rows in (new, old) if name in rows.schema.names]
    differs = np.zeros(len(new), bool)
    for like in types:
        differs |= unequal_mask(column_as(old, name, like), column_as(new, name, like))
    return differs
