"""New values of a step on their way into the cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from saccade.core.errors import PipelineError
from saccade.core.schema import KEY, Column, Kind, Schema
from saccade.pipeline.cache.column import Cells
from saccade.pipeline.cache.segments import Batch
from saccade.pipeline.data.results import Record, first_repeated, keep_all, with_classes
from saccade.pipeline.execution.bound_step import FILES, ReadyStep, copies
from saccade.pipeline.hashing.columns import digest_array
from saccade.store.arrow.codec import ARROW_TYPES, encode_column
from saccade.store.arrow.columns import to_list


def new_values(
    ready: ReadyStep, given: Mapping[str, list[Any]], schema: Schema, record: Record | None = None
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
    memo = ready.house.cache.memo(f"whole-{ready.key[:32]}")
    memo.add(Batch(np.zeros((0, 2), np.uint64), np.zeros(0, np.int32), {}, rows))
    last = np.full(count, len(memo.segments) - 1, np.int32)
    places = {name: memo.column(name, last, np.arange(count)) for name in given}
    if record is not None:
        record.segments = (*record.segments, f"segment:{memo.name}/{memo.segments[-1].path.name}")
        record.schema = Schema(
            tuple(with_classes(one, ready.house.values, places[one.name]) for one in record.schema.columns)
        )
    cells = {name: Cells.of(one) for name, one in places.items()}
    note_files(ready, schema, cells)
    return keep_all(ready.house.cache, cells)


def refuse_repeated(ready: ReadyStep, keys: Cells) -> None:
    """PipelineError where a key comes out more than once."""
    twice = first_repeated(keys.digests)
    if twice is not None:
        name = to_list(ready.house.values.of(keys, pa.string(), np.array([twice])))[0]
        raise PipelineError(
            f"the key '{name}' comes out more than once.",
            step=ready.step.name,
            hint="Give every item a key of its own.",
        )


def note_files(ready: ReadyStep, schema: Schema, cells: Mapping[str, Cells]) -> None:
    """Note the files of the store that new columns refer to."""
    for column in schema.of_kind(*FILES):
        values = ready.house.values.of(cells[column.name], ARROW_TYPES[column.kind])
        ready.house.cache.note_files(cells[column.name].id, copies(values))
