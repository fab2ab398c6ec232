"""Writes new values of a step to the cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from saccade.core.errors import PipelineError
from saccade.core.schema import KEY, Column, Kind, Schema
from saccade.pipeline.cache.column import LazyColumn
from saccade.pipeline.cache.segments import SegmentBatch
from saccade.pipeline.data.results import CachedResult, add_observed_classes, first_duplicate, put_columns
from saccade.pipeline.execution.bound_step import FILE_KINDS, BoundStep, stored_digests
from saccade.pipeline.hashing.columns import digest_array
from saccade.store.arrow.codec import ARROW_TYPES, encode_column
from saccade.store.arrow.columns import to_list


def store_values(
    step: BoundStep, values: Mapping[str, list[Any]], schema: Schema, result: CachedResult | None = None
) -> dict[str, tuple[str, int]]:
    """Store new values of a dataset operation in a segment of their own.

    Args:
        step: the step.
        values: for each column name (or the key's) the values of all rows.
        schema: the schema of these columns.
        result: the result to which the segment and observed classes are added, if any.

    Returns:
        The id and length of each column, by name.
    """
    if not values:
        return {}
    row_names = [f"{number}" for number in range(len(next(iter(values.values()))))]
    arrays: dict[str, pa.Array] = {}
    for name, column_values in values.items():
        column = Column("text", Kind.TEXT) if name == KEY else schema[name]
        array = encode_column(column, column_values, row_names)
        digests = digest_array(array)
        arrays |= {
            name: array,
            f"#0{name}": pa.array(digests[:, 0].copy()),
            f"#1{name}": pa.array(digests[:, 1].copy()),
        }
    rows = pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
    count = len(row_names)
    environment = step.environment
    memo = environment.cache.memo(f"whole-{step.key[:32]}")
    # No item digests: the rows are found through their locations, never looked up by item.
    memo.add(SegmentBatch(np.zeros((0, 2), np.uint64), np.zeros(0, np.int32), {}, rows))
    segment_indices = np.full(count, len(memo.segments) - 1, np.int32)
    locations = {name: memo.column(name, segment_indices, np.arange(count)) for name in values}
    if result is not None:
        result.segments = (*result.segments, f"segment:{memo.name}/{memo.segments[-1].path.name}")
        result.schema = Schema(
            tuple(
                add_observed_classes(column, environment.loader, locations[column.name])
                for column in result.schema.columns
            )
        )
    columns = {name: LazyColumn.from_locations(part) for name, part in locations.items()}
    record_file_digests(step, schema, columns)
    return put_columns(environment.cache, columns)


def check_unique_keys(step: BoundStep, keys: LazyColumn) -> None:
    """Check that the output keys of a step are unique.

    Raises:
        PipelineError: a key occurs more than once.
    """
    duplicate = first_duplicate(keys.digests)
    if duplicate is not None:
        key = to_list(step.environment.loader.load_column(keys, pa.string(), np.array([duplicate])))[0]
        raise PipelineError(
            f"the output key '{key}' is not unique.",
            step=step.step.name,
            hint="Give each item a different key.",
        )


def record_file_digests(step: BoundStep, schema: Schema, columns: Mapping[str, LazyColumn]) -> None:
    """Record the media files that new columns refer to, so that garbage collection keeps them."""
    environment = step.environment
    for column in schema.columns_of_kind(*FILE_KINDS):
        values = environment.loader.load_column(columns[column.name], ARROW_TYPES[column.kind])
        environment.cache.put_file_digests(columns[column.name].id, stored_digests(values))
