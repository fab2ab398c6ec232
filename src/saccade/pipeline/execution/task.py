"""Runs a per-item operation on batches of items, in any process."""

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
from saccade.pipeline.cache.segments import SegmentBatch
from saccade.pipeline.definition.loader import load_operation
from saccade.pipeline.execution.context import StepContext
from saccade.pipeline.hashing.columns import Digests, digest_array
from saccade.store.arrow.codec import decode_column, encode_column
from saccade.store.arrow.columns import to_list
from saccade.store.blobs.blob_store import BlobStore

_LENGTHS = struct.Struct("<4Q")


@dataclass(frozen=True)
class StepSpec:
    """Everything that an engine or worker needs to run a per-item step.

    Attributes:
        operation: the name of a registered operation, or ``FILE.py:NAME``.
        parameters: the parameters as JSON.
        input_columns: the columns that the operation reads.
        output_columns: the columns that it writes.
        seed: the seed for random numbers.
        store: the URL and the scratch folder of the blob store.
        inputs: models (reference and digest) and values at the other ports, by port name.
        workspace: the location of the workspace and the project, if the operation needs it.
        isolated: the code is not trusted and must run in a process of its own.
        seconds: the time limit per item in seconds, for isolated code.
        memory: the memory limit in bytes, for isolated code.
    """

    operation: str
    parameters: Mapping[str, Any]
    input_columns: Schema
    output_columns: Schema
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
            "input_columns": self.input_columns.to_json(),
            "output_columns": self.output_columns.to_json(),
            "seed": self.seed,
            "store": list(self.store),
            "inputs": dict(self.inputs),
            "workspace": self.workspace,
            "memory": self.memory,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StepSpec:
        workspace = data["workspace"] and (data["workspace"][0], data["workspace"][1])
        return cls(
            data["operation"],
            data["parameters"],
            Schema.from_json(data["input_columns"]),
            Schema.from_json(data["output_columns"]),
            data["seed"],
            (data["store"][0], data["store"][1]),
            data["inputs"],
            workspace,
            memory=data["memory"],
        )


@dataclass(frozen=True)
class TaskBatch:
    """A batch of input items (or groups) of a step.

    Attributes:
        digests: the digest of each item or group, uint64 (N, 2).
        items: the key and input columns of the items; for groups, of the members, group by group.
        counts: the number of members of each group; None if the items are not grouped.
        group_keys: the key of the item that each group belongs to, if groups belong to items.
    """

    digests: Digests
    items: pa.RecordBatch
    counts: npt.NDArray[np.int64] | None = None
    group_keys: pa.RecordBatch | None = None

    def __len__(self) -> int:
        return len(self.digests)

    def serialize(self) -> bytes:
        parts = [
            np.ascontiguousarray(self.digests, "<u8").tobytes(),
            b"" if self.counts is None else self.counts.astype("<i8").tobytes(),
            _serialize_record_batch(self.items),
            b"" if self.group_keys is None else _serialize_record_batch(self.group_keys),
        ]
        return _LENGTHS.pack(*map(len, parts)) + b"".join(parts)

    @classmethod
    def deserialize(cls, data: bytes) -> TaskBatch:
        lengths = _LENGTHS.unpack_from(data)
        offsets = list(accumulate(lengths, initial=_LENGTHS.size))
        digests, counts, items, group_keys = (data[begin:end] for begin, end in pairwise(offsets))
        return cls(
            np.frombuffer(digests, "<u8").reshape(-1, 2),
            _deserialize_record_batch(items),
            np.frombuffer(counts, "<i8") if counts else (np.empty(0, np.int64) if group_keys else None),
            _deserialize_record_batch(group_keys) if group_keys else None,
        )

    def split(self) -> list[TaskBatch]:
        """Split the batch into batches of one item or group."""
        if self.counts is None:
            return [
                TaskBatch(self.digests[index : index + 1], self.items.slice(index, 1)) for index in range(len(self))
            ]
        starts = np.cumsum(self.counts) - self.counts
        return [
            TaskBatch(
                self.digests[index : index + 1],
                self.items.slice(int(starts[index]), int(self.counts[index])),
                self.counts[index : index + 1],
                None if self.group_keys is None else self.group_keys.slice(index, 1),
            )
            for index in range(len(self))
        ]

    def failed_result(self, error: str, output_columns: Schema) -> SegmentBatch:
        """Return the result if every item failed with the same error."""
        rows = _encode_rows([], [], output_columns, with_key=False)
        failures = dict.fromkeys(range(len(self)), error)
        return SegmentBatch(self.digests, np.zeros(len(self), np.int32), failures, rows)


def _serialize_record_batch(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _deserialize_record_batch(data: bytes) -> pa.RecordBatch:
    with pa.ipc.open_stream(pa.py_buffer(data)) as stream:
        return stream.read_next_batch()


ItemOutcome = list[tuple[str, Mapping[str, Any]]] | str
"""The output rows of an item as keys and values, or the error text if the item failed."""


class TaskRunner:
    """Runs the operation of a step on batches of items; use it as a context manager.

    Args:
        spec: the step.
        operation: its operation, if it is loaded already.
    """

    def __init__(self, spec: StepSpec, operation: Operation | None = None) -> None:
        self.spec = spec
        self.operation = operation or load_operation(spec.operation)
        self.parameters = self.operation.parameters.model_validate(dict(spec.parameters))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        store = BlobStore.reopen(*self.spec.store)
        self._blobs = self._stack.enter_context(store.batch())
        workspace = None
        if self.spec.workspace is not None:
            from saccade.store.workspace import Workspace  # slow to import, and few operations need it

            workspace = self._stack.enter_context(Workspace.open(*self.spec.workspace))
        inputs = {name: _decode_input(value) for name, value in self.spec.inputs.items()}
        self._context = StepContext(store, self._blobs, self.spec.seed, workspace=workspace, inputs=inputs)
        self._call = self._bind_function()
        return self

    def _bind_function(self) -> Callable[..., Any]:
        """Return the function of the item (or group) and the context."""
        function = self.operation.function
        parameters = self.parameters
        if self.operation.prepared:
            prepared: Callable[..., Any] = function(parameters, self.spec.input_columns)
            return prepared
        return lambda *arguments: function(*arguments[:-1], parameters, arguments[-1])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self, task: TaskBatch) -> SegmentBatch:
        """Run the operation on a batch; new images are stored durably before it returns."""
        outcomes = self._run_items(task)
        with_key = self.operation.granularity is Granularity.MANY
        rows, counts, failures = _validate_outcomes(outcomes, self.spec.output_columns)
        batch = _encode_rows(*rows, self.spec.output_columns, with_key=with_key)
        self._blobs.finish()
        return SegmentBatch(task.digests, counts, failures, batch)

    def _run_items(self, task: TaskBatch) -> list[ItemOutcome]:
        items = _decode_items(task.items, self.spec.input_columns)
        granularity = self.operation.granularity
        if granularity is Granularity.GROUP:
            return self._run_groups(task, items)
        outcomes: list[ItemOutcome] = []
        for item in items:
            try:
                result = self._call(item, self._context)
                if granularity is Granularity.ITEM:
                    outcomes.append([(item.key, _check_values(result))])
                elif granularity is Granularity.FILTER:
                    outcomes.append([(item.key, {})] if _check_bool(result) else [])
                else:
                    outcomes.append([(new_item.key, new_item.values) for new_item in _check_items(result)])
            except Exception as error:
                outcomes.append(format_error(error))
        return outcomes

    def _run_groups(self, task: TaskBatch, items: list[Item]) -> list[ItemOutcome]:
        assert task.counts is not None
        targets: Sequence[Item | None] = [None] * len(task)
        if task.group_keys is not None:
            targets = _decode_items(task.group_keys, Schema())
        outcomes: list[ItemOutcome] = []
        start = 0
        for target, count in zip(targets, task.counts.tolist(), strict=True):
            members = items[start : start + count]
            start += count
            try:
                result = self._call(target, members, self._context)
                outcomes.append([("", _check_values(result))])
            except Exception as error:
                outcomes.append(format_error(error))
        return outcomes


def _decode_input(value: Any) -> Any:
    is_model = isinstance(value, Mapping) and value.keys() == {"ref", "digest"}
    return ModelInput(value["ref"], value["digest"]) if is_model else value


def _decode_items(batch: pa.RecordBatch, schema: Schema) -> list[Item]:
    columns = [decode_column(column, batch.column(column.name)) for column in schema.columns]
    keys = to_list(batch.column(KEY)) if KEY in batch.schema.names else [""] * len(batch)
    names = schema.names
    if not names:
        return [Item(key, {}) for key in keys]
    return [
        Item(key, dict(zip(names, row, strict=True))) for key, row in zip(keys, zip(*columns, strict=True), strict=True)
    ]


def _check_values(result: Any) -> Mapping[str, Any]:
    if not isinstance(result, Mapping):
        raise InvalidValueError(f"The operation must return values by column, not {type(result).__name__}.")
    return result


def _check_bool(result: Any) -> bool:
    if not isinstance(result, bool | np.bool_):
        raise InvalidValueError(f"The operation must return True or False, not {type(result).__name__}.")
    return bool(result)


def _check_items(result: Any) -> list[Item]:
    items = list(result)
    for item in items:
        if not isinstance(item, Item) or not isinstance(item.key, str) or not item.key:
            raise InvalidValueError(f"The operation must return items with keys, not {type(item).__name__}.")
    return items


def format_error(error: Exception) -> str:
    """Format an exception for a report; one that is not ours comes with the end of its traceback."""
    if isinstance(error, SaccadeError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)[1:]
    location = "".join(traceback.format_list(frames[-3:]))
    return f"{type(error).__name__}: {error}\n{location}".rstrip()


def _validate_outcomes(
    outcomes: list[ItemOutcome], output_columns: Schema
) -> tuple[tuple[list[str], list[Mapping[str, Any]]], npt.NDArray[np.int32], dict[int, str]]:
    """Check the output rows against the declared columns.

    Args:
        outcomes: the outcome of each item.
        output_columns: the declared columns.

    Returns:
        The keys and values of the valid rows, the number of rows of each item (int32), and the error text of each
        failed item by its index.
    """
    failures = {index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, str)}
    rows_of_items = [outcome if not isinstance(outcome, str) else [] for outcome in outcomes]
    declared = set(output_columns.names)
    for index, rows in enumerate(rows_of_items):
        for _, values in rows:
            if extra := values.keys() - declared:
                failures[index] = f"The operation returned a column that it does not declare: '{min(extra)}'."
    try:
        _encode_columns(rows_of_items, failures, output_columns)
    except InvalidValueError:
        # Encode item by item to find the ones with invalid values.
        for index, rows in enumerate(rows_of_items):
            try:
                _encode_columns([rows], {}, output_columns)
            except InvalidValueError as error:
                failures.setdefault(index, str(error))
    valid = [[] if index in failures else rows for index, rows in enumerate(rows_of_items)]
    counts = np.array([len(rows) for rows in valid], np.int32)
    keys = [key for rows in valid for key, _ in rows]
    values_of_rows = [values for rows in valid for _, values in rows]
    return (keys, values_of_rows), counts, failures


def _encode_columns(
    rows_of_items: Sequence[Sequence[tuple[str, Mapping[str, Any]]]], failures: Mapping[int, str], columns: Schema
) -> None:
    rows = [row for index, rows in enumerate(rows_of_items) if index not in failures for row in rows]
    for column in columns.columns:
        _encode_values(column, rows)


def _encode_values(column: Column, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> pa.Array:
    return encode_column(column, [values.get(column.name) for _, values in rows], [key for key, _ in rows])


def _encode_rows(
    keys: list[str], values: list[Mapping[str, Any]], output_columns: Schema, *, with_key: bool
) -> pa.RecordBatch:
    """Encode rows as a record batch, with the two lanes of each value's digest in columns ``#0NAME`` and ``#1NAME``."""
    rows = list(zip(keys, values, strict=True))
    arrays = {column.name: _encode_values(column, rows) for column in output_columns.columns}
    if with_key:
        arrays[KEY] = pa.array(keys, pa.string())
    for name in list(arrays):
        digests = digest_array(arrays[name])
        arrays[f"#0{name}"] = pa.array(np.ascontiguousarray(digests[:, 0]))
        arrays[f"#1{name}"] = pa.array(np.ascontiguousarray(digests[:, 1]))
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


TaskSupplier = Callable[[int], TaskBatch | None]
"""Returns the next batch of at most the given number of items, or None if no items remain."""
