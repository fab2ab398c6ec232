"""Which items of two snapshots differ. Rows that share their data need no look at all."""

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

_CHUNK = 2048


def differing(before: pa.Array, after: pa.Array) -> npt.NDArray[np.bool_]:
    """Where two arrays of one type and length differ, as bool (N,)."""
    if before.equals(after):
        return np.zeros(len(after), bool)
    return np.fromiter((not a.equals(b) for a, b in zip(before, after, strict=True)), bool, len(after))


def column_of(rows: pa.Table, name: str, like: pa.DataType) -> pa.Array:
    """A column as one array; null everywhere where it is not there or of another type."""
    if name not in rows.schema.names:
        return pa.nulls(len(rows), like)
    there = rows.schema.field(name).type
    if there == like:
        return rows.column(name).combine_chunks()
    if pa.types.is_struct(there) and pa.types.is_struct(like):
        return _with_fields(rows.column(name).combine_chunks(), like, name)
    return pa.nulls(len(rows), like)


def _with_fields(values: pa.StructArray, like: pa.StructType, name: str) -> pa.StructArray:
    """Structs with the fields of another type, as tables of an earlier Saccade have fewer; new ones are null."""
    names = {field.name for field in like}
    for field in values.type:
        if field.name not in names and values.field(field.name).null_count < len(values):
            raise InvalidValueError(
                f"The dataset was made by an earlier Saccade: column '{name}' has no place for '{field.name}'.",
                hint="Import the new items as a dataset of their own.",
            )
    nulls = pa.nulls(len(values), pa.null())
    children = [
        values.field(field.name) if values.type.get_field_index(field.name) >= 0 else nulls.cast(field.type)
        for field in like
    ]
    return pa.StructArray.from_arrays(children, fields=list(like), mask=values.is_null())


def _not_among(rows: Rows, size: int) -> npt.NDArray[np.bool_]:
    """Which of so many rows are not among those that are named, as bool (N,); -1 names none."""
    found = np.ones(size, bool)
    found[rows[rows >= 0]] = False
    return found


def _keys(side: Snapshot, chosen: npt.NDArray[np.bool_]) -> list[str]:
    return to_list(side.index.keys_of(side.index.in_order(np.flatnonzero(chosen))))


@dataclass(frozen=True)
class Changed:
    """Rows that both snapshots have and that differ: keys, rows on either side, and for each column where."""

    keys: list[str]
    rows_before: Rows
    rows_after: Rows
    columns: Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Comparison:
    """From one snapshot to another; everything is worked out when it is first asked for."""

    before: Snapshot
    after: Snapshot

    @cached_property
    def _before(self) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """For each row after, the row before with the same key, or -1; and whether it is the same row of the same data.

        Keys are read of the rows alone that are not.
        """
        found = self.after.index.rows_in(self.before.index)
        is_same = found >= 0
        new, old = np.flatnonzero(~is_same), np.flatnonzero(_not_among(found, len(self.before.index)))
        if len(new) and len(old):
            places = pc.index_in(self.after.index.keys_of(new), value_set=self.before.index.keys_of(old))
            at = np.asarray(pc.fill_null(places, -1))
            found[new] = np.where(at < 0, -1, old[at])
        return found, is_same

    @cached_property
    def added(self) -> list[str]:
        return _keys(self.after, self._before[0] < 0)

    @cached_property
    def removed(self) -> list[str]:
        return _keys(self.before, _not_among(self._before[0], len(self.before.index)))

    def _suspects(self) -> tuple[Rows, Rows]:
        """Rows of both whose data is not the same data, in the order of the items after."""
        row_before, is_same = self._before
        after = self.after.index.in_order(np.flatnonzero((row_before >= 0) & ~is_same))
        return row_before[after], after

    @cached_property
    def changed(self) -> Changed:
        parts = list(self._compare())
        names = self.column_names
        return Changed(
            [key for part in parts for key in part.keys],
            np.concatenate([np.empty(0, np.int64), *(part.rows_before for part in parts)]),
            np.concatenate([np.empty(0, np.int64), *(part.rows_after for part in parts)]),
            {name: np.concatenate([np.empty(0, bool), *(part.columns[name] for part in parts)]) for name in names},
        )

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.before.schema.names, *self.after.schema.names)))

    def _compare(self) -> Iterator[Changed]:
        before, after = self._suspects()
        for start in range(0, len(after), _CHUNK):
            yield self._compare_rows(before[start : start + _CHUNK], after[start : start + _CHUNK])

    def _compare_rows(self, before: Rows, after: Rows) -> Changed:
        old = self.before.take(before, [KEY, *self.before.schema.names])
        new = self.after.take(after, [KEY, *self.after.schema.names])
        masks = {name: _differs(old, new, name) for name in self.column_names}
        any_column = np.any([np.zeros(len(after), bool), *masks.values()], axis=0)
        keys = new.column(KEY).filter(pa.array(any_column)).to_pylist()
        return Changed(
            keys, before[any_column], after[any_column], {name: mask[any_column] for name, mask in masks.items()}
        )

    def counts(self) -> dict[str, int]:
        return {"added": len(self.added), "removed": len(self.removed), "changed": len(self.changed.keys)}


def _differs(old: pa.Table, new: pa.Table, name: str) -> npt.NDArray[np.bool_]:
    types = [rows.schema.field(name).type for rows in (new, old) if name in rows.schema.names]
    found = np.zeros(len(new), bool)
    for like in types:
        found |= differing(column_of(old, name, like), column_of(new, name, like))
    return found
