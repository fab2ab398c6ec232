"""A step with its inputs at hand: what it depends on, what is known of its result, and the making of the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from saccade.core.digest import digest_json
from saccade.core.errors import NotFoundError, PipelineError, SaccadeError
from saccade.core.schema import Kind, Schema
from saccade.operations.base import (
    Granularity,
    Operation,
    Parameters,
    PortType,
)
from saccade.pipeline.cache.column import Cells, Rows, difference
from saccade.pipeline.cache.key import ENGINE, code_digests, library_version, plain_parameters
from saccade.pipeline.cache.memo import Memo
from saccade.pipeline.data.results import Record, Result, stacked
from saccade.pipeline.data.table import Table
from saccade.pipeline.definition.graph import Step
from saccade.pipeline.execution.environment import House
from saccade.pipeline.hashing.code_fingerprint import Code
from saccade.pipeline.hashing.columns import Digests, combined, digest_array
from saccade.store.arrow.codec import ARROW_TYPES
from saccade.store.arrow.columns import to_list

_SHOWN_FAILURES = 100
FILES = (Kind.IMAGE, Kind.VIDEO, Kind.FILE)
"""Kinds whose values refer to files."""


@dataclass(frozen=True)
class Change:
    """What came of a step before, and the rows in which its items are others by now."""

    record: Record
    rows: Rows


class ReadyStep:
    """A step whose inputs are there.

    Args:
        inputs: results by port.
        before: what the step depended on when it last ran.
    """

    def __init__(
        self,
        house: House,
        step: Step,
        operation: Operation,
        parameters: Parameters,
        inputs: Mapping[str, Sequence[Result]],
        before: Mapping[str, Any] | None = None,
    ) -> None:
        self.house, self.step, self.inputs, self.before = house, step, inputs, before
        self.operation, self.parameters = operation, parameters
        try:
            self._check_columns()
        except (SaccadeError, ValueError) as error:
            hint = error.hint if isinstance(error, SaccadeError) else ""
            message = error.message if isinstance(error, SaccadeError) else str(error)
            raise PipelineError(message, step=step.name, hint=hint) from None

    @cached_property
    def tables(self) -> list[Table]:
        """The datasets that come in, in the order of the ports."""
        found = [result.table for port in self.operation.inputs for result in self.inputs.get(port.name, ())]
        return [table for table in found if table is not None]

    def _check_columns(self) -> None:
        self.read: list[tuple[str, ...]] = [
            self.operation.read_columns(self.parameters, table.schema) for table in self._read_tables()
        ]
        self.schema = self.operation.result_schema(self.parameters, [table.schema for table in self.tables])
        if self.operation.group_by is not None:
            column = self.tables[0].schema[self.operation.group_by(self.parameters)]
            if column.kind not in (Kind.TEXT, Kind.LABEL):
                raise PipelineError(f"items are grouped by a text, and '{column.name}' is of kind {column.kind}.")

    def _read_tables(self) -> list[Table]:
        return self.tables[:1] if self.operation.granularity is Granularity.GROUP else self.tables

    # What it depends on

    @cached_property
    def code(self) -> Code:
        return code_digests(self.house.cache, self.operation)

    @cached_property
    def ingredients(self) -> dict[str, Any]:
        """All that the result depends on, in parts that can be compared."""
        outside = self.operation.fingerprint
        made: dict[str, Any] = {
            "operation": self.operation.name,
            "parameters": plain_parameters(self.parameters),
            "code": dict(self.code.parts),
            "libraries": {name: library_version(name) for name in self.operation.libraries},
            "seed": self.step.seed,
            "outside": None if outside is None else self._outside(outside),
            "inputs": {port.name: self._of_port(port.name) for port in self.operation.inputs},
        }
        return made

    def _outside(self, ask: Callable[[Any, Any], str]) -> str:
        try:
            return ask(self.parameters, self.house.workspace)
        except SaccadeError as error:
            raise PipelineError(error.message, step=self.step.name, hint=error.hint) from None

    def _of_port(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for result in self.inputs.get(name, ()):
            if result.table is None:
                found.append({"value": result.identity()})
                continue
            is_whole = self.operation.granularity is Granularity.GROUP and result.table is not self.tables[0]
            read = () if is_whole else self.operation.read_columns(self.parameters, result.table.schema)
            facts: dict[str, Any] = {
                "schema": result.table.schema.select(read).to_json(),
                "columns": {column: result.table.columns[column].id for column in read},
                "items": len(result.table),
            }
            if self._sees_keys:
                facts["keys"] = result.table.keys.id
            found.append(facts)
        return found

    @property
    def _sees_keys(self) -> bool:
        return self.operation.reads_key or self.operation.granularity not in (Granularity.ITEM, Granularity.FILTER)

    @cached_property
    def key(self) -> str:
        """The key under which the step's result is kept."""
        return self._key_of(self.ingredients)

    def _key_of(self, ingredients: Mapping[str, Any]) -> str:
        """That key, where these are what the step depends on, with the code that it has."""
        return digest_json([ENGINE, {**ingredients, "code": self.code.digest}, self.step.failures])

    @cached_property
    def memo(self) -> Memo:
        """The results by item, under all that is the same for every item."""
        columns = [self.tables[0].schema.select(self.read[0]).to_json()] if self.tables else []
        same = {name: value for name, value in self.ingredients.items() if name not in ("inputs", "code")}
        others = {
            port: facts for port, facts in self.ingredients["inputs"].items() if any("value" in one for one in facts)
        }
        writes = self.work_columns.to_json()
        return self.house.cache.memo(digest_json([ENGINE, same, self.code.digest, columns, others, writes])[:32])

    @cached_property
    def work_columns(self) -> Schema:
        writes = self.operation.writes
        return Schema() if writes is None else Schema(tuple(writes(self.parameters, self.tables[0].schema)))

    # What is known

    def kept(self) -> Record | None:
        """The record of the result, where it and everything it refers to is there."""
        noted = self.house.cache.record("steps", self.key)
        if noted is None:
            return None
        record = Record.from_json(noted)
        if not record.is_held(self.house.cache) or not self.has_files(record):
            return None
        if record.ref is not None and not self._has_version(record.ref):
            return None
        there = self.operation.is_there
        if there is not None and not there(self.house.workspace, record.value):
            return None
        return record

    def has_files(self, record: Record) -> bool:
        """Whether the images that were made are in the store; results that refer to one that is gone are dropped."""
        cache, objects = self.house.cache, self.house.workspace.objects
        missing: set[str] = set()
        for column in record.schema.of_kind(*FILES):
            files = cache.files_of(record.columns[column.name][0])
            if files is None:
                return False
            missing |= {digest for digest in files if not objects.exists(digest)}
        if missing:
            for name in {source.partition(":")[2].partition("/")[0] for source in record.segments}:
                memo = cache.memo(name)
                memo.drop([one for one in memo.segments if missing & set(files_in(one.batch.rows))])
            cache.repair()
            self.__dict__.pop("memo", None)
        return not missing

    def _has_version(self, ref: str) -> bool:
        try:
            self.house.workspace.datasets.open(ref)
        except NotFoundError:
            return False
        return True

    def result(self, record: Record) -> Result:
        """The result that a record stands for."""
        if record.ref is not None:
            return Result(PortType.DATASET, self.house.origins.table(self.house.workspace.datasets.open(record.ref)))
        return record.result(self.house.cache, self._base())

    def _base(self) -> Table | None:
        """The table of which items and columns may go along."""
        if not self.tables:
            return None
        if self.operation.granularity is Granularity.GROUP:
            return self.tables[1] if len(self.tables) > 1 else None
        return stacked(self.house.cache, self.tables)

    def __len__(self) -> int:
        """How many items (or groups) go in."""
        return len(self.groups[0]) if self.operation.granularity is Granularity.GROUP else len(self.tables[0])

    @cached_property
    def item_digests(self) -> Digests:
        """The digest of each item, as the operation sees it."""
        parts = [cells.digests for cells in self._read_cells()]
        if self.operation.granularity is Granularity.GROUP:
            return self._group_digests(parts)
        return combined(parts) if parts else np.zeros((len(self.tables[0]), 2), np.uint64)

    def digests_at(self, rows: Rows) -> Digests:
        """Those of some items; no more is looked into where items are not grouped."""
        if "item_digests" in self.__dict__ or self.operation.granularity is Granularity.GROUP:
            return self.item_digests[rows]
        parts = [cells.at(rows).digests for cells in self._read_cells()]
        return combined(parts) if parts else np.zeros((len(rows), 2), np.uint64)

    def _read_cells(self) -> list[Cells]:
        table = self.tables[0]
        return [table.columns[name] for name in self.read[0]] + ([table.keys] if self._sees_keys else [])

    @cached_property
    def change(self) -> Change | None:
        """What came of the step when it last ran, where its items differ from those of then in few rows only.

        None where that is not so, or where it takes all items to say what comes of it: files, failures, classes that
        only the items tell.
        """
        if self.before is None or len(self.tables) != 1:
            return None
        if self.operation.granularity not in (Granularity.ITEM, Granularity.FILTER):
            return None
        rows = self._changed_rows(self.before)
        noted = None if rows is None else self.house.cache.record("steps", self._key_of(self.before))
        if rows is None or noted is None:
            return None
        record = Record.from_json(noted)
        is_plain = not record.failed and record.schema == self.work_columns and not record.schema.of_kind(*FILES)
        return Change(record, rows) if is_plain and record.is_held(self.house.cache) else None

    def _changed_rows(self, before: Mapping[str, Any]) -> Rows | None:
        """The rows in which what is read differs from what it was; None where more is different, or much."""
        if _without_columns(before) != _without_columns(self.ingredients):
            return None
        port = next(name for name, facts in before["inputs"].items() if any("columns" in one for one in facts))
        earlier, now = before["inputs"][port][0], self.ingredients["inputs"][port][0]
        table = self.tables[0]
        pairs = [(table.columns[name], id) for name, id in earlier["columns"].items() if id != now["columns"][name]]
        if earlier.get("keys") != now.get("keys"):
            pairs.append((table.keys, earlier["keys"]))
        rows: Rows = np.empty(0, np.int64)
        cache = self.house.cache
        for cells, id in pairs:
            found = difference(cells, cache.cells(id, len(table))) if cache.has_column(id) else None
            if found is None:
                return None
            rows = np.union1d(rows, found)
        return rows

    def missing(self) -> Rows:
        """The numbers of the items (or groups) whose results are not known."""
        if self.change is not None:
            rows = self.change.rows
            return rows[self.memo.find(self.digests_at(rows)) < 0]
        return np.flatnonzero(self.memo.find(self.item_digests) < 0)

    # Groups

    @cached_property
    def groups(self) -> tuple[list[str], Rows, npt.NDArray[np.int64]]:
        """The name of each group, the rows of the members, group by group, and their numbers."""
        assert self.operation.group_by is not None
        table = self.tables[0]
        name = self.operation.group_by(self.parameters)
        column = table.schema[name]
        names = self.house.values.of(table.columns[name], ARROW_TYPES[column.kind])
        if len(self.tables) > 1:
            groups = self.house.reader(self.tables[1]).keys()
            codes = np.asarray(
                pa.compute.fill_null(pa.compute.index_in(names, value_set=pa.array(groups)), -1), np.int64
            )
        else:
            encoded = names.dictionary_encode()
            groups = to_list(encoded.dictionary)
            codes = np.asarray(encoded.indices.fill_null(-1), np.int64)
        order = np.argsort(codes, kind="stable")
        order = order[codes[order] >= 0]
        return groups, order, np.bincount(codes[order], minlength=len(groups)).astype(np.int64)

    def _group_digests(self, parts: list[Digests]) -> Digests:
        groups, order, counts = self.groups
        members = combined(parts)[order]
        listed = pa.ListArray.from_arrays(
            pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)),
            pa.StructArray.from_arrays(
                [pa.array(members[:, 0].view(np.int64)), pa.array(members[:, 1].view(np.int64))], names=["a", "b"]
            ),
        )
        found = [digest_array(listed)]
        if len(self.tables) > 1:
            found.append(self.tables[1].keys.digests)
        else:
            found.append(digest_array(pa.array(groups, pa.string())))
        return combined(found)


def _without_columns(ingredients: Mapping[str, Any]) -> dict[str, Any]:
    """What a step depends on, but for what the columns hold."""
    inputs = {
        port: [
            {**one, "columns": list(one["columns"]), "keys": "keys" in one} if "columns" in one else one
            for one in facts
        ]
        for port, facts in ingredients["inputs"].items()
    }
    return {**ingredients, "inputs": inputs}


def copies(values: pa.StructArray) -> list[str]:
    """The digests of files that are kept in the workspace, not linked."""
    digests, uris = values.field("digest"), values.field("uri")
    return [one for one in digests.filter(uris.is_null()).to_pylist() if one is not None]


def files_in(rows: pa.RecordBatch) -> list[str]:
    """The files that any column of a segment refers to."""
    structs = [rows.column(at) for at, field in enumerate(rows.schema) if pa.types.is_struct(field.type)]
    return [digest for values in structs for digest in copies(values)]
