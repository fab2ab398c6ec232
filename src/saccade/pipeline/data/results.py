"""Results of steps: a table, a model or another value, in memory and as a cache entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.digest import digest_json
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.operations.base import PortType
from saccade.pipeline.cache.cache import Cache, row_column
from saccade.pipeline.cache.column import LazyColumn, Rows, ValueLocations, concat_locations
from saccade.pipeline.data.table import Table, ValueLoader
from saccade.pipeline.hashing.columns import digest_array
from saccade.store.arrow.codec import ARROW_TYPES


@dataclass(frozen=True)
class Result:
    """The result of a step.

    Attributes:
        type: the type of the output.
        table: the items, if the output is a dataset.
        value: otherwise a JSON value; for a model its reference and digest.
        failures: keys and error texts of the first failed items.
        failed: the number of failed items.
        parents: for a table that is derived from the concatenated input tables, the input row of each row, or None if
            the rows are the same.
        is_new: the rows are not derived from input rows.
    """

    type: PortType
    table: Table | None = None
    value: Any = None
    failures: tuple[tuple[str, str], ...] = ()
    failed: int = 0
    parents: LazyColumn | None = None
    is_new: bool = False

    @property
    def items(self) -> int | None:
        return None if self.table is None else len(self.table)

    def identity(self) -> str:
        """Return a digest of the content."""
        if self.table is not None:
            return self.table.id
        if self.type is PortType.MODEL:
            return str(self.value["digest"])
        return digest_json(self.value)


@dataclass
class CachedResult:
    """The cache entry of a result: the new columns, and which parts of the input are passed through.

    Attributes:
        type: the type of the output.
        schema: the schema of the new columns.
        columns: the id and length of each new column, by name.
        keys: the id and length of the new keys, or None to keep the keys of the input.
        rows: the id and length of the column of input row numbers that are passed through; None: all rows.
        is_standalone: nothing of the input is passed through.
        value: the value, if the output is not a dataset.
        failures: keys and error texts of the first failed items.
        failed: the number of failed items.
        segments: the segments that hold new values.
        ref: the reference of an existing dataset version that is the result.
    """

    type: PortType
    schema: Schema = field(default_factory=Schema)
    columns: dict[str, tuple[str, int]] = field(default_factory=dict)
    keys: tuple[str, int] | None = None
    rows: tuple[str, int] | None = None
    is_standalone: bool = False
    value: Any = None
    failures: tuple[tuple[str, str], ...] = ()
    failed: int = 0
    segments: tuple[str, ...] = ()
    ref: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "type": str(self.type),
            "schema": self.schema.to_json(),
            "columns": {name: list(column) for name, column in self.columns.items()},
            "keys": None if self.keys is None else list(self.keys),
            "rows": None if self.rows is None else list(self.rows),
            "whole": self.is_standalone,
            "value": self.value,
            "failures": [list(failure) for failure in self.failures],
            "failed": self.failed,
            "segments": list(self.segments),
            "ref": self.ref,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CachedResult:
        return cls(
            PortType(data["type"]),
            Schema.from_json(data["schema"]),
            {name: (column[0], column[1]) for name, column in data["columns"].items()},
            None if data["keys"] is None else (data["keys"][0], data["keys"][1]),
            None if data["rows"] is None else (data["rows"][0], data["rows"][1]),
            data["whole"],
            data["value"],
            tuple((key, text) for key, text in data["failures"]),
            data["failed"],
            tuple(data["segments"]),
            data["ref"],
        )

    def is_available(self, cache: Cache) -> bool:
        """Whether everything that the entry refers to is in the cache."""
        ids = [id for id, _ in self.columns.values()]
        ids += [column[0] for column in (self.keys, self.rows) if column is not None]
        return all(map(cache.has_column, ids)) and cache.has_sources(self.segments)

    def result(self, cache: Cache, base: Table | None) -> Result:
        """Return the result.

        Args:
            cache: the cache with its columns.
            base: the input table whose rows and columns are passed through, if any.
        """
        if self.type is not PortType.DATASET:
            return Result(self.type, value=self.value, failures=self.failures, failed=self.failed)
        rows = None if self.rows is None else cache.column(*self.rows)
        columns = {name: cache.column(*column) for name, column in self.columns.items()}
        schema = self.schema
        if not self.is_standalone and base is not None:
            passed = base if rows is None else take_rows(cache, base, rows)
            schema = base.schema.with_columns(*self.schema.columns)
            # New columns replace input columns of the same name.
            available = {**passed.columns, **columns}
            columns = {name: available[name] for name in schema.names}
            keys = passed.keys if self.keys is None else cache.column(*self.keys)
        else:
            assert self.keys is not None
            keys = cache.column(*self.keys)
        return Result(
            PortType.DATASET, Table(schema, keys, columns), None, self.failures, self.failed, rows, self.is_standalone
        )


def take_rows(cache: Cache, table: Table, rows: LazyColumn) -> Table:
    """Return rows of a table, given by a column of row numbers."""
    return Table(
        table.schema,
        cache.take_rows(table.keys, rows),
        {name: cache.take_rows(column, rows) for name, column in table.columns.items()},
    )


def select_rows(cache: Cache, table: Table, rows: Rows) -> Table:
    """Return rows of a table, given by their numbers."""
    if len(rows) == len(table) and bool(np.array_equal(rows, np.arange(len(table)))):
        return table
    return take_rows(cache, table, row_column(rows))


def put_columns(cache: Cache, columns: Mapping[str, LazyColumn]) -> dict[str, tuple[str, int]]:
    """Store columns, and return the id and length of each."""
    for column in columns.values():
        cache.put_column(column)
    return {name: (column.id, len(column)) for name, column in columns.items()}


def concat_tables(cache: Cache, tables: Sequence[Table]) -> Table:
    """Concatenate tables; a column that a table lacks is null there."""
    if len(tables) == 1:
        return tables[0]
    schema = tables[0].schema
    for table in tables[1:]:
        schema = schema.union(table.schema)
    columns = {
        name: _concat_columns(
            cache, [table.columns.get(name) or _null_column(schema[name], len(table)) for table in tables]
        )
        for name in schema.names
    }
    return Table(schema, _concat_columns(cache, [table.keys for table in tables]), columns)


def _concat_columns(cache: Cache, parts: Sequence[LazyColumn]) -> LazyColumn:
    key = digest_json(["join", *([part.id, len(part)] for part in parts)])
    entry = cache.get_entry("taken", key)
    if entry is not None and cache.has_column(entry["id"]):
        return cache.column(entry["id"], entry["length"])
    column = LazyColumn.from_locations(concat_locations([part.locations for part in parts]))
    cache.put_column(column)
    cache.put_entry("taken", key, {"id": column.id, "length": len(column)})
    return column


def _null_column(column: Column, count: int) -> LazyColumn:
    digest = digest_array(pa.nulls(1, ARROW_TYPES[column.kind]))
    locations = ValueLocations(
        np.repeat(digest, count, axis=0), ("nothing:",), np.zeros(count, np.int32), np.zeros(count, np.int64)
    )
    return LazyColumn.from_locations(locations)


def add_observed_classes(column: Column, loader: ValueLoader, values: ValueLocations) -> Column:
    """Add the classes that occur in the values but are not declared, sorted by name, after the declared ones.

    Args:
        column: the declared column; other kinds than label, labels and objects are returned unchanged.
        loader: loads the values.
        values: the values of the column.
    """
    if column.kind not in (Kind.LABEL, Kind.LABELS, Kind.OBJECTS):
        return column
    observed: set[str] = set()
    for start in range(0, len(values), 65_536):
        part = values.take(np.arange(start, min(start + 65_536, len(values))))
        observed |= set(_observed_classes(loader.load(part, ARROW_TYPES[column.kind]), column.kind))
    new = tuple(ClassInfo(name) for name in sorted(observed - set(column.class_names)))
    return replace(column, classes=(*column.classes, *new)) if new else column


def _observed_classes(array: pa.Array, kind: Kind) -> list[str]:
    if kind is Kind.LABELS:
        array = array.flatten()
    elif kind is Kind.OBJECTS:
        array = array.flatten().field("class")
    return [name for name in pc.unique(array).to_pylist() if name is not None]


def first_duplicate(digests: npt.NDArray[np.uint64]) -> int | None:
    """Return the index of the first digest that repeats an earlier one, or None if all are unique."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))
    ordered = digests[order]
    same = np.flatnonzero(np.all(ordered[1:] == ordered[:-1], axis=1))
    return int(np.maximum(order[same], order[same + 1]).min()) if len(same) else None
