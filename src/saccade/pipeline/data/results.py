"""What a step gave: a table, a model or another value; as it is used, and as it is kept in the cache."""

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
from saccade.pipeline.cache.cache import Cache, selection
from saccade.pipeline.cache.column import Cells, Places, Rows, joined
from saccade.pipeline.data.table import Table, Values
from saccade.pipeline.hashing.columns import digest_array
from saccade.store.arrow.codec import ARROW_TYPES


@dataclass(frozen=True)
class Result:
    """What a step gave.

    Attributes:
        table: the items, where it gives a dataset.
        value: else JSON, or for a model its reference and digest.
        failures: the keys of items that are set aside, each with its reason (the first ones), and how many there are.
        parents: for a table made of others, one under another, the row there of each row; None where they are the
            same rows.
        is_new: the rows of the table are made of no rows of others.
    """

    type: PortType
    table: Table | None = None
    value: Any = None
    failures: tuple[tuple[str, str], ...] = ()
    failed: int = 0
    parents: Cells | None = None
    is_new: bool = False

    @property
    def items(self) -> int | None:
        return None if self.table is None else len(self.table)

    def identity(self) -> str:
        """A digest of the content."""
        if self.table is not None:
            return self.table.id
        if self.type is PortType.MODEL:
            return str(self.value["digest"])
        return digest_json(self.value)


@dataclass
class Record:
    """A result of a step as it is kept: what is new, and what of the input goes with it.

    Attributes:
        columns: the id and length of each new column.
        schema: the new columns.
        keys: the id and length of new keys, None where those of the input stay.
        rows: the id and length of the numbers of the input's rows that go along; None for all.
        whole: nothing of the input goes along.
    """

    type: PortType
    schema: Schema = field(default_factory=Schema)
    columns: dict[str, tuple[str, int]] = field(default_factory=dict)
    keys: tuple[str, int] | None = None
    rows: tuple[str, int] | None = None
    whole: bool = False
    value: Any = None
    failures: tuple[tuple[str, str], ...] = ()
    failed: int = 0
    segments: tuple[str, ...] = ()
    ref: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "type": str(self.type),
            "schema": self.schema.to_json(),
            "columns": {name: list(one) for name, one in self.columns.items()},
            "keys": None if self.keys is None else list(self.keys),
            "rows": None if self.rows is None else list(self.rows),
            "whole": self.whole,
            "value": self.value,
            "failures": [list(one) for one in self.failures],
            "failed": self.failed,
            "segments": list(self.segments),
            "ref": self.ref,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        return cls(
            PortType(data["type"]),
            Schema.from_json(data["schema"]),
            {name: (one[0], one[1]) for name, one in data["columns"].items()},
            None if data["keys"] is None else (data["keys"][0], data["keys"][1]),
            None if data["rows"] is None else (data["rows"][0], data["rows"][1]),
            data["whole"],
            data["value"],
            tuple((key, why) for key, why in data["failures"]),
            data["failed"],
            tuple(data["segments"]),
            data["ref"],
        )

    def is_held(self, cache: Cache) -> bool:
        """Whether everything that it refers to is in the cache."""
        ids = [id for id, _ in self.columns.values()]
        ids += [one[0] for one in (self.keys, self.rows) if one is not None]
        return all(map(cache.has_column, ids)) and cache.holds(self.segments)

    def result(self, cache: Cache, base: Table | None) -> Result:
        """The result, with what goes along of the input ``base``."""
        if self.type is not PortType.DATASET:
            return Result(self.type, value=self.value, failures=self.failures, failed=self.failed)
        rows = None if self.rows is None else cache.cells(*self.rows)
        columns = {name: cache.cells(*one) for name, one in self.columns.items()}
        schema = self.schema
        if not self.whole and base is not None:
            going = base if rows is None else take(cache, base, rows)
            schema = base.schema.with_columns(*self.schema.columns)
            columns = {name: columns.get(name) or going.columns[name] for name in schema.names}
            keys = going.keys if self.keys is None else cache.cells(*self.keys)
        else:
            assert self.keys is not None
            keys = cache.cells(*self.keys)
        return Result(
            PortType.DATASET, Table(schema, keys, columns), None, self.failures, self.failed, rows, self.whole
        )


def take(cache: Cache, table: Table, rows: Cells) -> Table:
    """Some rows of a table."""
    return Table(
        table.schema,
        cache.taken(table.keys, rows),
        {name: cache.taken(cells, rows) for name, cells in table.columns.items()},
    )


def take_numbers(cache: Cache, table: Table, rows: Rows) -> Table:
    """Some rows of a table, by their numbers."""
    if len(rows) == len(table) and bool(np.array_equal(rows, np.arange(len(table)))):
        return table
    return take(cache, table, selection(rows))


def keep_all(cache: Cache, cells: Mapping[str, Cells]) -> dict[str, tuple[str, int]]:
    """Keep columns, and how they are noted."""
    for one in cells.values():
        cache.keep(one)
    return {name: (one.id, len(one)) for name, one in cells.items()}


def stacked(cache: Cache, tables: Sequence[Table]) -> Table:
    """Tables one under another; a column that one of them has not is empty there."""
    if len(tables) == 1:
        return tables[0]
    schema = tables[0].schema
    for table in tables[1:]:
        schema = schema.merged(table.schema)
    columns = {
        name: _joined(cache, [table.columns.get(name) or _empty(schema[name], len(table)) for table in tables])
        for name in schema.names
    }
    return Table(schema, _joined(cache, [table.keys for table in tables]), columns)


def _joined(cache: Cache, parts: Sequence[Cells]) -> Cells:
    key = digest_json(["join", *([part.id, len(part)] for part in parts)])
    noted = cache.record("taken", key)
    if noted is not None and cache.has_column(noted["id"]):
        return cache.cells(noted["id"], noted["length"])
    made = Cells.of(joined([part.places for part in parts]))
    cache.keep(made)
    cache.note("taken", key, {"id": made.id, "length": len(made)})
    return made


def _empty(column: Column, count: int) -> Cells:
    digest = digest_array(pa.nulls(1, ARROW_TYPES[column.kind]))
    places = Places(
        np.repeat(digest, count, axis=0), ("nothing:",), np.zeros(count, np.int32), np.zeros(count, np.int64)
    )
    return Cells.of(places)


def with_classes(column: Column, values: Values, places: Places) -> Column:
    """The column with the classes that occur; those that were not declared come after the others, by name."""
    if column.kind not in (Kind.LABEL, Kind.LABELS, Kind.OBJECTS):
        return column
    seen: set[str] = set()
    for start in range(0, len(places), 65_536):
        part = places.take(np.arange(start, min(start + 65_536, len(places))))
        array = values.at(part, ARROW_TYPES[column.kind])
        seen |= set(_classes(array, column.kind))
    new = tuple(ClassInfo(name) for name in sorted(seen - set(column.class_names)))
    return replace(column, classes=(*column.classes, *new)) if new else column


def _classes(array: pa.Array, kind: Kind) -> list[str]:
    if kind is Kind.LABELS:
        array = array.flatten()
    elif kind is Kind.OBJECTS:
        array = array.flatten().field("class")
    return [name for name in pc.unique(array).to_pylist() if name is not None]


def first_repeated(keys: npt.NDArray[np.uint64]) -> int | None:
    """The number of the first digest that was there before; None where all differ."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    same = np.flatnonzero(np.all(ordered[1:] == ordered[:-1], axis=1))
    return int(np.maximum(order[same], order[same + 1]).min()) if len(same) else None
