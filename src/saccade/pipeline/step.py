"""A step with its inputs at hand: what it depends on, what is known of its result, and the making of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from saccade.core.digest import digest_json
from saccade.core.errors import NotFoundError, PipelineError, SaccadeError
from saccade.core.progress import Progress
from saccade.core.reader import Item
from saccade.core.schema import KEY, Column, Kind, Schema
from saccade.operations.base import (
    Chosen,
    Granularity,
    Kept,
    Made,
    ModelInput,
    Operation,
    Parameters,
    PortType,
)
from saccade.pipeline.cache import Cache, Memo, selection
from saccade.pipeline.cells import Cells, Rows
from saccade.pipeline.code import Code
from saccade.pipeline.context import StepContext
from saccade.pipeline.digests import Digests, combined, digest_array
from saccade.pipeline.engine import Engine
from saccade.pipeline.graph import Step
from saccade.pipeline.keys import ENGINE, code_digests, library_version, plain_parameters
from saccade.pipeline.origin import Origins
from saccade.pipeline.results import Record, Result, first_repeated, keep_all, stacked, with_classes
from saccade.pipeline.segments import Batch
from saccade.pipeline.table import Table, TableReader, Values
from saccade.pipeline.work import Task, Work, why
from saccade.store.codec import ARROW_TYPES, encode_column
from saccade.store.columns import to_list
from saccade.store.workspace import Workspace

_SHOWN_FAILURES = 100
FILES = (Kind.IMAGE, Kind.VIDEO, Kind.FILE)
"""Kinds whose values refer to files."""


@dataclass(frozen=True)
class House:
    """What every step works with."""

    workspace: Workspace
    cache: Cache
    values: Values
    origins: Origins

    def reader(self, table: Table) -> TableReader:
        return TableReader(table, self.values, self.workspace.objects)


class ReadyStep:
    """A step whose inputs are there.

    Args:
        inputs: results by port.
    """

    def __init__(
        self,
        house: House,
        step: Step,
        operation: Operation,
        parameters: Parameters,
        inputs: Mapping[str, Sequence[Result]],
    ) -> None:
        self.house, self.step, self.inputs = house, step, inputs
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
        without_parts = {**self.ingredients, "code": self.code.digest}
        return digest_json([ENGINE, without_parts, self.step.failures])

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
        if not record.is_held(self.house.cache) or not self._has_files(record):
            return None
        if record.ref is not None and not self._has_version(record.ref):
            return None
        there = self.operation.is_there
        if there is not None and not there(self.house.workspace, record.value):
            return None
        return record

    def _has_files(self, record: Record) -> bool:
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
                memo.drop([one for one in memo.segments if missing & set(_files_in(one.batch.rows))])
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

    @cached_property
    def item_digests(self) -> Digests:
        """The digest of each item, as the operation sees it."""
        table = self.tables[0]
        parts = [table.columns[name].digests for name in self.read[0]]
        if self._sees_keys:
            parts.append(table.keys.digests)
        if self.operation.granularity is Granularity.GROUP:
            return self._group_digests(parts)
        if not parts:
            return np.zeros((len(table), 2), np.uint64)
        return combined(parts)

    def missing(self) -> Rows:
        """The numbers of the items (or groups) whose results are not known."""
        return np.flatnonzero(self.memo.find(self.item_digests) < 0)

    # Groups

    @cached_property
    def groups(self) -> tuple[list[str], Rows, npt.NDArray[np.int64]]:
        """The name of each group, the rows of the members, group by group, and their numbers."""
        assert self.operation.group_by is not None
        table = self.tables[0]
        name = self.operation.group_by(self.parameters)
        column = table.schema[name]
        names = self.house.values.of(table.columns[name].places, ARROW_TYPES[column.kind])
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
            pa.StructArray.from_arrays([pa.array(members[:, 0].view(np.int64)), pa.array(members[:, 1].view(np.int64))],
                                       names=["a", "b"]),
        )  # fmt: skip
        found = [digest_array(listed)]
        if len(self.tables) > 1:
            found.append(self.tables[1].keys.digests)
        else:
            found.append(digest_array(pa.array(groups, pa.string())))
        return combined(found)

    # Making it

    def make(self, engine: Engine, progress: Progress, *, retry: bool, folder: Path) -> tuple[Record, int]:
        """Make the result; returns its record and how many items were worked on."""
        if self.operation.is_by_item:
            record, worked = self._make_items(engine, progress, retry=retry)
            if not self._has_files(record):  # of results that a run which did not end has left, and gc has cleared
                record, more = self._make_items(engine, progress, retry=False)
                worked += more
            return record, worked
        if self.operation.isolated:
            return make_alone(self, folder), 0
        return self.make_whole(progress, folder), 0

    def _make_items(self, engine: Engine, progress: Progress, *, retry: bool) -> tuple[Record, int]:
        known = self.memo.find(self.item_digests)
        todo = known < 0
        if retry:
            todo[np.flatnonzero(~todo)[list(self.memo.failures(known[~todo]))]] = True
        missing, before = np.flatnonzero(todo), len(self.memo)
        if len(missing):
            self._work_on(missing, engine, progress)
            known[missing] = self.memo.find(self.item_digests[missing], since=before)
        return self._gathered(known), len(missing)

    def _work_on(self, missing: Rows, engine: Engine, progress: Progress) -> None:
        _, first = np.unique(self.item_digests[missing], axis=0, return_index=True)
        todo = missing[np.sort(first)]  # items that are alike are worked on once
        supply = _Supply(self, todo)
        progress.start(self.step.name, len(todo))
        results = engine.run(self._work(), self.operation, supply.take, len(todo))
        try:
            for content in results:
                batch = self.memo.add_packed(content)
                progress.advance(len(batch.items))
        finally:
            close = getattr(results, "close", None)
            if close is not None:
                close()
            progress.finish()

    def _work(self) -> Work:
        objects = self.house.workspace.objects
        table = self.tables[0]
        parameters = self.parameters.model_dump(mode="json")
        return Work(
            self.step.operation, parameters, table.schema.select(self.read[0]), self.work_columns,
            self.step.seed, (objects.url, objects.scratch_root), self._other_inputs(),
            str(self.house.workspace.location) if self.operation.needs_workspace else None, self.operation.isolated,
            *((self.step.seconds, self.step.memory) if self.operation.isolated else (None, None)),
        )  # fmt: skip

    def _other_inputs(self) -> dict[str, Any]:
        """What comes in that is no dataset, by port."""
        return {port: results[0].value for port, results in self.inputs.items() if results and results[0].table is None}

    def _gathered(self, known: Rows) -> Record:
        """The record of the results of all items, once they are known."""
        cache = self.house.cache
        failures = self.memo.failures(known)
        self._check_failures(failures, len(known))
        which, rows, items = self.memo.rows(known)
        places = {column.name: self.memo.column(column.name, which, rows) for column in self.work_columns.columns}
        schema = Schema(
            tuple(with_classes(one, self.house.values, places[one.name]) for one in self.work_columns.columns)
        )
        cells = {name: Cells.of(one) for name, one in places.items()}
        record = Record(PortType.DATASET, schema, keep_all(cache, cells))
        self._note_files(schema, cells)
        if self.operation.granularity is Granularity.MANY:
            keys = Cells.of(self.memo.column(KEY, which, rows))
            self._refuse_repeated(keys)
            record.keys = keep_all(cache, {KEY: keys})[KEY]
        if self.operation.granularity is Granularity.GROUP and len(self.tables) < 2:
            record.whole = True
            groups = self.groups[0]
            record.keys = self._new_values({KEY: [groups[at] for at in items.tolist()]}, Schema())[KEY]
        elif len(items) != len(known) or bool(np.any(items != np.arange(len(known)))):
            record.rows = keep_all(cache, {"rows": selection(items)})["rows"]
        record.failed = len(failures)
        names = self._names_of(list(failures)[:_SHOWN_FAILURES])
        record.failures = tuple(zip(names, list(failures.values())[:_SHOWN_FAILURES], strict=True))
        record.segments = tuple(f"segment:{self.memo.name}/{one.path.name}" for one in self.memo.segments)
        return record

    def _names_of(self, rows: Sequence[int]) -> list[str]:
        if not rows:
            return []
        if self.operation.granularity is Granularity.GROUP:
            return [self.groups[0][row] for row in rows]
        return to_list(self.house.values.of(self.tables[0].keys.places, pa.string(), np.array(rows)))

    def _check_failures(self, failures: Mapping[int, str], count: int) -> None:
        most = self.step.failures * count if self.step.failures < 1 else self.step.failures
        if not failures or (len(failures) <= most and len(failures) < count):
            return
        first = next(iter(failures))
        name = self._names_of([first])[0]
        raise PipelineError(
            f"{len(failures)} of {count} items failed; the first, '{name}': {failures[first]}",
            step=self.step.name,
            hint="Once the cause is gone: run it with --retry. 'failures:' of the step says how many are let pass.",
        )

    def _refuse_repeated(self, keys: Cells) -> None:
        twice = first_repeated(keys.digests)
        if twice is not None:
            name = to_list(self.house.values.of(keys.places, pa.string(), np.array([twice])))[0]
            raise PipelineError(f"the key '{name}' comes out more than once.", step=self.step.name,
                                hint="Give every item a key of its own.")  # fmt: skip

    # On the whole

    def make_whole(self, progress: Progress, folder: Path) -> Record:
        workspace = self.house.workspace
        given = {port.name: self._given(port.name, several=port.several) for port in self.operation.inputs}
        with workspace.objects.batch() as kept:
            context = StepContext(
                workspace.objects, kept, self.step.seed, folder=folder, progress=progress,
                workspace=workspace if self.operation.needs_workspace else None,
            )  # fmt: skip
            try:
                made = self.operation.function(given, self.parameters, context)
                record = self._recorded(made)
            except SaccadeError as error:
                raise PipelineError(error.message, step=self.step.name, hint=error.hint) from error
            except (KeyboardInterrupt, SystemExit):
                raise
            except Exception as error:
                raise PipelineError(why(error), step=self.step.name) from error
            kept.finish()
        return record

    def _given(self, port: str, *, several: bool) -> Any:
        found = [self._one_given(result) for result in self.inputs.get(port, ())]
        if several:
            return found
        return found[0] if found else None

    def _one_given(self, result: Result) -> Any:
        if result.table is not None:
            return self.house.reader(result.table)
        if result.type is PortType.MODEL:
            return ModelInput(result.value["ref"], result.value["digest"])
        return result.value

    def _recorded(self, made: Any) -> Record:
        output = self.operation.output
        if output is not PortType.DATASET:
            if isinstance(made, ModelInput):
                made = {"ref": made.ref, "digest": made.digest}
            digest_json(made)  # it is to be JSON
            return Record(output, value=made)
        if isinstance(made, Kept):
            return Record(output, ref=made.ref)
        if isinstance(made, Chosen):
            return self._of_chosen(made)
        if isinstance(made, Made):
            return self._of_made(made)
        raise PipelineError(f"it is to give items, not {type(made).__name__}.")

    def _of_chosen(self, made: Chosen) -> Record:
        cache = self.house.cache
        starts = np.cumsum([0, *map(len, self.tables)])
        rows = np.asarray(made.rows, np.int64)
        if made.tables is not None:
            rows = rows + starts[np.asarray(made.tables, np.int64)]
        columns = tuple(column for column in self.schema.columns if column.name in made.columns)
        given = {name: list(values) for name, values in made.columns.items()}
        record = Record(PortType.DATASET, Schema(columns))
        record.columns = self._new_values(given, record.schema, record)
        if len(rows) != starts[-1] or bool(np.any(rows != np.arange(len(rows)))):
            record.rows = keep_all(cache, {"rows": selection(rows)})["rows"]
        if made.keys is not None:
            record.keys = self._new_values({KEY: list(made.keys)}, Schema(), record)[KEY]
        keys = self.result(record).table
        assert keys is not None
        self._refuse_repeated(keys.keys)
        return record

    def _of_made(self, made: Made) -> Record:
        schema = made.schema or self.schema
        items: list[Item] = list(made.items)
        record = Record(PortType.DATASET, schema, whole=True)
        values = {column.name: [item.values.get(column.name) for item in items] for column in schema.columns}
        record.columns = self._new_values({KEY: [item.key for item in items], **values}, schema, record)
        record.keys = record.columns.pop(KEY)
        self._refuse_repeated(self.house.cache.cells(*record.keys))
        return record

    def _new_values(
        self, given: Mapping[str, list[Any]], schema: Schema, record: Record | None = None
    ) -> dict[str, tuple[str, int]]:
        """Keep new values in a segment of their own."""
        if not given:
            return {}
        names = [f"{number}" for number in range(len(next(iter(given.values()))))]
        arrays: dict[str, pa.Array] = {}
        for name, values in given.items():
            column = Column("text", Kind.TEXT) if name == KEY else schema[name]
            array = encode_column(column, values, names)
            digests = digest_array(array)
            arrays |= {
                name: array,
                f"#0{name}": pa.array(digests[:, 0].copy()),
                f"#1{name}": pa.array(digests[:, 1].copy()),
            }
        rows = pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
        count = len(names)
        memo = self.house.cache.memo(f"whole-{self.key[:32]}")
        memo.add(Batch(np.zeros((0, 2), np.uint64), np.zeros(0, np.int32), {}, rows))
        last = np.full(count, len(memo.segments) - 1, np.int32)
        places = {name: memo.column(name, last, np.arange(count)) for name in given}
        if record is not None:
            record.segments = (*record.segments, f"segment:{memo.name}/{memo.segments[-1].path.name}")
            record.schema = Schema(
                tuple(with_classes(one, self.house.values, places[one.name]) for one in record.schema.columns)
            )
        cells = {name: Cells.of(one) for name, one in places.items()}
        self._note_files(schema, cells)
        return keep_all(self.house.cache, cells)

    def _note_files(self, schema: Schema, cells: Mapping[str, Cells]) -> None:
        for column in schema.of_kind(*FILES):
            values = self.house.values.of(cells[column.name].places, ARROW_TYPES[column.kind])
            self.house.cache.note_files(cells[column.name].id, _copies(values))


def _copies(values: pa.StructArray) -> list[str]:
    """The digests of files that are kept in the workspace, not linked."""
    digests, uris = values.field("digest"), values.field("uri")
    return [one for one in digests.filter(uris.is_null()).to_pylist() if one is not None]


def _files_in(rows: pa.RecordBatch) -> list[str]:
    """The files that any column of a segment refers to."""
    structs = [rows.column(at) for at, field in enumerate(rows.schema) if pa.types.is_struct(field.type)]
    return [digest for values in structs for digest in _copies(values)]


class _Supply:
    """Gives out items as tasks, from first to last."""

    def __init__(self, step: ReadyStep, rows: Rows) -> None:
        self._step, self._rows = step, rows
        self._at = 0
        self._parts: Iterator[Task] | None = None

    def take(self, count: int) -> Task | None:
        """The next task of up to so many items."""
        rows = self._rows[self._at : self._at + count]
        if not len(rows):
            return None
        self._at += len(rows)
        step = self._step
        digests = step.item_digests[rows]
        columns = step.tables[0].schema.select(step.read[0]).columns
        reader = step.house.reader(step.tables[0])
        if step.operation.granularity is not Granularity.GROUP:
            return Task(digests, reader.batch(columns, rows))
        _, order, counts = step.groups
        starts = np.cumsum(counts) - counts
        members = np.concatenate([order[starts[row] : starts[row] + counts[row]] for row in rows.tolist()])
        whole = None
        if len(step.tables) > 1:
            whole = step.house.reader(step.tables[1]).batch((), rows)
        return Task(digests, reader.batch(columns, members), counts[rows], whole)


def make_alone(step: ReadyStep, folder: Path) -> Record:
    """The record of a step on the whole whose code is strange: made by a process of its own, within limits."""
    from saccade.pipeline.alone import make

    return make(step, folder)
