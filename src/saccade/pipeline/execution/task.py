"""The work of a step on some of its items, in whatever process it is done."""

from __future__ import annotations

import struct
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from saccade.core.errors import InvalidValueError, SaccadeError
from saccade.core.reader import Item
from saccade.core.schema import KEY, Column, Schema
from saccade.operations.base import Granularity, ModelInput, Operation
from saccade.pipeline.cache.segments import Batch
from saccade.pipeline.definition.loader import find_operation
from saccade.pipeline.execution.context import StepContext
from saccade.pipeline.hashing.columns import Digests, digest_array
from saccade.store.arrow.codec import decode_column, encode_column
from saccade.store.arrow.columns import to_list
from saccade.store.blobs.blob_store import ObjectStore

_LENGTHS = struct.Struct("<4Q")


@dataclass(frozen=True)
class Work:
    """What is to be done with each item of a step.

    Attributes:
        operation: the name of one that is registered, or ``FILE.py:NAME``.
        columns: those that the operation reads.
        writes: those that it gives.
        store: URL and scratch folder of the objects.
        inputs: models (by reference and digest) and values that come in at other ports.
        workspace: where it lies and the project, for an operation that needs it.
        seconds, memory: the limits of an operation that is not to be trusted, for one item and in bytes.
    """

    operation: str
    parameters: Mapping[str, Any]
    columns: Schema
    writes: Schema
    seed: int
    store: tuple[str, str]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    workspace: tuple[str, str] | None = None
    isolated: bool = False
    seconds: float | None = None
    memory: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "operation": self.operation,
            "parameters": dict(self.parameters),
            "columns": self.columns.to_json(),
            "writes": self.writes.to_json(),
            "seed": self.seed,
            "store": list(self.store),
            "inputs": dict(self.inputs),
            "workspace": self.workspace,
            "memory": self.memory,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Work:
        workspace = data["workspace"] and (data["workspace"][0], data["workspace"][1])
        return cls(
            data["operation"],
            data["parameters"],
            Schema.from_json(data["columns"]),
            Schema.from_json(data["writes"]),
            data["seed"],
            (data["store"][0], data["store"][1]),
            data["inputs"],
            workspace,
            memory=data["memory"],
        )


@dataclass(frozen=True)
class Task:
    """Some items of a step.

    Attributes:
        digests: of each item (or group), uint64 (N, 2).
        items: their key and columns; for groups the members, one group after another.
        counts: the number of members of each group; None where items are on their own.
        whole: for groups, the key of the item that each belongs to, where they belong to items.
    """

    digests: Digests
    items: pa.RecordBatch
    counts: npt.NDArray[np.int64] | None = None
    whole: pa.RecordBatch | None = None

    def __len__(self) -> int:
        return len(self.digests)

    def pack(self) -> bytes:
        parts = [
            np.ascontiguousarray(self.digests, "<u8").tobytes(),
            b"" if self.counts is None else self.counts.astype("<i8").tobytes(),
            _stream(self.items),
            b"" if self.whole is None else _stream(self.whole),
        ]
        return _LENGTHS.pack(*map(len, parts)) + b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes) -> Task:
        lengths = _LENGTHS.unpack_from(data)
        ends = list(accumulate(lengths, initial=_LENGTHS.size))
        digests, counts, items, whole = (data[a:b] for a, b in pairwise(ends))
        return cls(
            np.frombuffer(digests, "<u8").reshape(-1, 2),
            _batch(items),
            np.frombuffer(counts, "<i8") if counts else (np.empty(0, np.int64) if whole else None),
            _batch(whole) if whole else None,
        )

    def singles(self) -> list[Task]:
        """Each item as a task of its own."""
        if self.counts is None:
            return [Task(self.digests[at : at + 1], self.items.slice(at, 1)) for at in range(len(self))]
        starts = np.cumsum(self.counts) - self.counts
        return [
            Task(
                self.digests[at : at + 1],
                self.items.slice(int(starts[at]), int(self.counts[at])),
                self.counts[at : at + 1],
                None if self.whole is None else self.whole.slice(at, 1),
            )
            for at in range(len(self))
        ]

    def failed(self, why: str, writes: Schema) -> Batch:
        """The result where every item failed for the same reason."""
        rows = _encoded([], [], writes, with_key=False)
        return Batch(self.digests, np.zeros(len(self), np.int32), dict.fromkeys(range(len(self)), why), rows)


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _batch(data: bytes) -> pa.RecordBatch:
    with pa.ipc.open_stream(pa.py_buffer(data)) as stream:
        return stream.read_next_batch()


class Doer:
    """Does the work of a step."""

    def __init__(self, work: Work, operation: Operation | None = None) -> None:
        self.work = work
        self.operation = operation or find_operation(work.operation)
        self.parameters = self.operation.parameters.model_validate(dict(work.parameters))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        store = ObjectStore.at(*self.work.store)
        self._kept = self._stack.enter_context(store.batch())
        workspace = None
        if self.work.workspace is not None:
            from saccade.store.workspace import Workspace  # takes a while; few operations need it

            workspace = self._stack.enter_context(Workspace.open(*self.work.workspace))
        inputs = {name: _given(value) for name, value in self.work.inputs.items()}
        self._context = StepContext(store, self._kept, self.work.seed, workspace=workspace, inputs=inputs)
        self._call = self._ready_function()
        return self

    def _ready_function(self) -> Callable[..., Any]:
        """The function of what comes in and the context."""
        function, parameters = self.operation.function, self.parameters
        if self.operation.bound:
            ready: Callable[..., Any] = function(parameters, self.work.columns)
            return ready
        return lambda *given: function(*given[:-1], parameters, given[-1])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def do(self, task: Task) -> Batch:
        """The results of some items; images that were made are in the store, durably, before it returns."""
        outcomes = self._outcomes(task)
        with_key = self.operation.granularity is Granularity.MANY
        rows, counts, failures = _checked(outcomes, self.work.writes, with_key=with_key)
        batch = _encoded(*rows, self.work.writes, with_key=with_key)
        self._kept.finish()
        return Batch(task.digests, counts, failures, batch)

    def _outcomes(self, task: Task) -> list[list[tuple[str, Mapping[str, Any]]] | str]:
        """For each item its rows as keys and values, or why it failed."""
        items = _items(task.items, self.work.columns)
        call = self._call
        granularity = self.operation.granularity
        if granularity is Granularity.GROUP:
            return self._groups(task, items)
        made: list[list[tuple[str, Mapping[str, Any]]] | str] = []
        for item in items:
            try:
                result = call(item, self._context)
                if granularity is Granularity.ITEM:
                    made.append([(item.key, _values(result))])
                elif granularity is Granularity.FILTER:
                    made.append([(item.key, {})] if _truth(result) else [])
                else:
                    made.append([(one.key, one.values) for one in _made_items(result)])
            except Exception as error:
                made.append(why(error))
        return made

    def _groups(self, task: Task, items: list[Item]) -> list[list[tuple[str, Mapping[str, Any]]] | str]:
        assert task.counts is not None
        wholes: Sequence[Item | None] = [None] * len(task)
        if task.whole is not None:
            wholes = _items(task.whole, Schema())
        made: list[list[tuple[str, Mapping[str, Any]]] | str] = []
        start = 0
        for whole, count in zip(wholes, task.counts.tolist(), strict=True):
            members, start = items[start : start + count], start + count
            try:
                result = self._call(whole, members, self._context)
                made.append([("", _values(result))])
            except Exception as error:
                made.append(why(error))
        return made


def _given(value: Any) -> Any:
    is_model = isinstance(value, Mapping) and value.keys() == {"ref", "digest"}
    return ModelInput(value["ref"], value["digest"]) if is_model else value


def _items(batch: pa.RecordBatch, schema: Schema) -> list[Item]:
    columns = [decode_column(column, batch.column(column.name)) for column in schema.columns]
    keys = to_list(batch.column(KEY)) if KEY in batch.schema.names else [""] * len(batch)
    names = schema.names
    if not names:
        return [Item(key, {}) for key in keys]
    return [
        Item(key, dict(zip(names, row, strict=True))) for key, row in zip(keys, zip(*columns, strict=True), strict=True)
    ]


def _values(result: Any) -> Mapping[str, Any]:
    if not isinstance(result, Mapping):
        raise InvalidValueError(f"The operation is to give values by column, not {type(result).__name__}.")
    return result


def _truth(result: Any) -> bool:
    if not isinstance(result, bool | np.bool_):
        raise InvalidValueError(f"The operation is to give True or False, not {type(result).__name__}.")
    return bool(result)


def _made_items(result: Any) -> list[Item]:
    made = list(result)
    for one in made:
        if not isinstance(one, Item) or not isinstance(one.key, str) or not one.key:
            raise InvalidValueError(f"The operation is to give items with keys, not {type(one).__name__}.")
    return made


def why(error: Exception) -> str:
    """What an error says; for one of strange code, with where it was raised."""
    if isinstance(error, SaccadeError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)[1:]
    where = "".join(traceback.format_list(frames[-3:]))
    return f"{type(error).__name__}: {error}\n{where}".rstrip()


Outcome = list[tuple[str, Mapping[str, Any]]] | str


def _checked(
    outcomes: list[Outcome], writes: Schema, *, with_key: bool
) -> tuple[tuple[list[str], list[Mapping[str, Any]]], npt.NDArray[np.int32], dict[int, str]]:
    """The rows of all outcomes that are what was declared, the number of each, and why others are not."""
    failures = {at: one for at, one in enumerate(outcomes) if isinstance(one, str)}
    good = [one if not isinstance(one, str) else [] for one in outcomes]
    known = set(writes.names)
    for at, rows in enumerate(good):
        for _, values in rows:
            if extra := values.keys() - known:
                failures[at] = f"The operation gave a column that it does not declare: '{min(extra)}'."
    try:
        _encoded_all(good, failures, writes)
    except InvalidValueError:
        for at, rows in enumerate(good):  # find out whose values they are
            try:
                _encoded_all([rows], {}, writes)
            except InvalidValueError as error:
                failures.setdefault(at, str(error))
    good = [[] if at in failures else rows for at, rows in enumerate(good)]
    counts = np.array([len(rows) for rows in good], np.int32)
    keys = [key for rows in good for key, _ in rows]
    return (keys, [values for rows in good for _, values in rows]), counts, failures


def _encoded_all(
    good: Sequence[Sequence[tuple[str, Mapping[str, Any]]]], failures: Mapping[int, str], writes: Schema
) -> None:
    rows = [pair for at, rows in enumerate(good) if at not in failures for pair in rows]
    for column in writes.columns:
        _column(column, rows)


def _column(column: Column, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> pa.Array:
    return encode_column(column, [values.get(column.name) for _, values in rows], [key for key, _ in rows])


def _encoded(keys: list[str], values: list[Mapping[str, Any]], writes: Schema, *, with_key: bool) -> pa.RecordBatch:
    """Rows with the digests of their values beside them."""
    rows = list(zip(keys, values, strict=True))
    arrays = {column.name: _column(column, rows) for column in writes.columns}
    if with_key:
        arrays[KEY] = pa.array(keys, pa.string())
    for name in list(arrays):
        digests = digest_array(arrays[name])
        arrays[f"#0{name}"] = pa.array(np.ascontiguousarray(digests[:, 0]))
        arrays[f"#1{name}"] = pa.array(np.ascontiguousarray(digests[:, 1]))
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


Supply = Callable[[int], Task | None]
"""Gives the next task of at most so many items; None when there are no more."""
