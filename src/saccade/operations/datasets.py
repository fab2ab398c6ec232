"""Operations on whole datasets: sample, split, combine, find duplicates, compute statistics."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from saccade.core.errors import ConflictError, InvalidValueError
from saccade.core.objects import Object
from saccade.core.reader import Reader
from saccade.core.schema import Column, Kind, Schema
from saccade.core.splits import split_by_group
from saccade.operations.base import (
    Context,
    Inputs,
    NoParameters,
    Parameters,
    Port,
    PortType,
    Selection,
    dataset_op,
    resolve_column,
    single_dataset,
)
from saccade.operations.tiles import TILE_SOURCE_COLUMN

_DATASETS_PORT = Port("data", multiple=True, help="The items of any number of steps.")


def _keys(reader: Reader) -> list[str]:
    return [item.key for item in reader.items([])]


def _no_columns(parameters: Any, schema: Schema) -> Sequence[str]:
    return []


def _hash_order(seed: int, key: str) -> bytes:
    """Return a pseudo-random sort key that depends on the seed and the item's key only."""
    return hashlib.sha256(f"{seed}/{key}".encode()).digest()


class SampleParameters(Parameters):
    count: int | None = Field(None, ge=0, description="The number of items.")
    share: float | None = Field(None, ge=0, le=1, description="The share of the items, from 0 to 1.")
    keys: list[str] | None = Field(None, description="The keys of the items.")

    @model_validator(mode="after")
    def _check(self) -> SampleParameters:
        if sum(value is not None for value in (self.count, self.share, self.keys)) != 1:
            raise ValueError("set exactly one of 'count', 'share' and 'keys'")
        return self


@dataset_op("sample", parameters=SampleParameters, input_columns=_no_columns)
def sample(inputs: Inputs, parameters: SampleParameters, context: Context) -> Selection:
    """Select items at random (with the step's seed) or by key; they keep their order.

    The choice depends on the keys only, so adding an item changes at most one item of the sample.
    """
    keys = _keys(single_dataset(inputs))
    if parameters.keys is not None:
        row_of = {key: row for row, key in enumerate(keys)}
        if missing := [key for key in parameters.keys if key not in row_of]:
            raise InvalidValueError(
                f"There is no item '{missing[0]}'.", hint=f"{len(missing)} of the keys are unknown."
            )
        return Selection(np.array(sorted({row_of[key] for key in parameters.keys}), np.int64))
    # Ordering by a hash of the key makes the choice of an item independent of the other items.
    count = parameters.count
    if count is None:
        assert parameters.share is not None
        count = round(parameters.share * len(keys))
    order = sorted(range(len(keys)), key=lambda row: _hash_order(context.seed, keys[row]))
    return Selection(np.array(sorted(order[:count]), np.int64))


class ResampleParameters(Parameters):
    factor: float = Field(gt=0, le=1000, description="The number of output items for each input item.")


@dataset_op("resample", parameters=ResampleParameters, input_columns=_no_columns)
def resample(inputs: Inputs, parameters: ResampleParameters, context: Context) -> Selection:
    """Under- or oversample the items by a factor; copies get a numbered key."""
    keys = _keys(single_dataset(inputs))
    copies = int(parameters.factor)
    fraction = parameters.factor % 1
    order = sorted(range(len(keys)), key=lambda row: _hash_order(context.seed, keys[row]))
    extra = set(order[: round(fraction * len(keys))])
    pairs = [(row, copy) for row in range(len(keys)) for copy in range(copies + (row in extra))]
    new_keys = [keys[row] if copy == 0 else f"{keys[row]}~{copy + 1}" for row, copy in pairs]
    return Selection(np.array([row for row, _ in pairs], np.int64), keys=new_keys)


class SplitParameters(Parameters):
    shares: dict[str, float] = Field(
        {"train": 0.8, "val": 0.1, "test": 0.1}, description="The share of each split; the shares add up to 1."
    )
    by: str | None = Field(
        None,
        description="A text column: items with the same value go to the same split. By default tiles of one image stay"
        " together.",
    )
    like: str | None = Field(
        None, description="A column of labels or objects: stratify, so that every split gets its share of each class."
    )
    column: str = Field("split", description="The output column.")


def _split_columns(parameters: SplitParameters, schema: Schema) -> Sequence[str]:
    return [name for name in (_split_group_column(parameters, schema), parameters.like) if name is not None]


def _split_group_column(parameters: SplitParameters, schema: Schema) -> str | None:
    if parameters.by is not None:
        return resolve_column(schema, parameters.by, Kind.TEXT, Kind.LABEL).name
    return TILE_SOURCE_COLUMN if TILE_SOURCE_COLUMN in schema else None


def _split_schema(parameters: SplitParameters, schemas: Sequence[Schema]) -> Schema:
    if parameters.like is not None:
        resolve_column(schemas[0], parameters.like, Kind.LABEL, Kind.LABELS, Kind.OBJECTS)
    return schemas[0].with_columns(Column(parameters.column, Kind.TEXT))


@dataset_op("split", parameters=SplitParameters, input_columns=_split_columns, output_schema=_split_schema)
def split(inputs: Inputs, parameters: SplitParameters, context: Context) -> Selection:
    """Assign each item to a split; the items of a group go to the same split."""
    reader = single_dataset(inputs)
    shares = parameters.shares
    if not shares or abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) < 0:
        raise InvalidValueError(f"The shares {shares} must be positive and add up to 1.")
    group_column = _split_group_column(parameters, reader.schema)
    class_column = parameters.like
    items = list(reader.items([name for name in (group_column, class_column) if name is not None]))
    groups = {item.key: (item[group_column] or item.key) if group_column else item.key for item in items}
    if class_column is None:
        splits = split_by_group(groups, shares, context.seed)
    else:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for item in items:
            counts[groups[item.key]].update(_class_names(item[class_column]))
        split_of_group = stratified_split(counts, shares, context.seed)
        splits = {key: split_of_group[name] for key, name in groups.items()}
    return Selection(np.arange(len(items)), columns={parameters.column: [splits[item.key] for item in items]})


def _class_names(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    return [entry.class_name if isinstance(entry, Object) else str(entry) for entry in value]


def stratified_split(counts: Mapping[str, Counter[str]], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Assign groups to splits so that every split gets its share of each class, as nearly as possible.

    The iterative stratification of Sechidis, Tsoumakas and Vlahavas (2011): the rarest remaining class comes first, and
    each of its groups goes to the split that lacks most of that class.

    Args:
        counts: the number of labels per class, by group.
        shares: the share of each split; they add up to 1.
        seed: the seed for the order of the groups.

    Returns:
        The split of each group.
    """
    group_quota = {name: share * len(counts) for name, share in shares.items()}
    total: Counter[str] = Counter()
    for group_counts in counts.values():
        total.update(group_counts)
    class_quota = {
        name: {class_name: share * total[class_name] for class_name in total} for name, share in shares.items()
    }
    remaining = dict(sorted(counts.items(), key=lambda pair: _hash_order(seed, pair[0])))
    split_of_group: dict[str, str] = {}

    def assign(group: str, class_name: str | None) -> None:
        best = max(
            shares,
            key=lambda name: (class_quota[name][class_name] if class_name else group_quota[name], group_quota[name]),
        )
        split_of_group[group] = best
        group_quota[best] -= 1
        for name, count in remaining.pop(group).items():
            class_quota[best][name] -= count

    while class_totals := sum(remaining.values(), Counter()):
        rarest = min(class_totals, key=lambda name: (class_totals[name], name))
        for group in [name for name, group_counts in remaining.items() if group_counts[rarest]]:
            assign(group, rarest)
    for group in list(remaining):  # groups without any label
        assign(group, None)
    return split_of_group


def _union_schema(parameters: Any, schemas: Sequence[Schema]) -> Schema:
    if not schemas:
        return Schema()
    union_schema = schemas[0]
    for schema in schemas[1:]:
        union_schema = union_schema.union(schema)
    return union_schema


def _all_rows(readers: Sequence[Reader]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the row number and the table index of every row of all readers."""
    rows = [np.arange(len(reader)) for reader in readers]
    tables = [np.full(len(reader), number, np.int64) for number, reader in enumerate(readers)]
    return np.concatenate([np.empty(0, np.int64), *rows]), np.concatenate([np.empty(0, np.int64), *tables])


@dataset_op(
    "concatenate",
    parameters=NoParameters,
    inputs=(_DATASETS_PORT,),
    input_columns=_no_columns,
    output_schema=_union_schema,
)
def concatenate(inputs: Inputs, parameters: NoParameters, context: Context) -> Selection:
    """Concatenate the items of several steps; duplicate keys are an error (use 'union' to resolve them)."""
    readers: list[Reader] = inputs["data"]
    table_of_key: dict[str, int] = {}
    for number, reader in enumerate(readers):
        for key in _keys(reader):
            if key in table_of_key:
                raise ConflictError(
                    f"The key '{key}' is in input {table_of_key[key] + 1} and in input {number + 1}.",
                    hint="Use 'union' and its parameter 'duplicates'.",
                )
            table_of_key[key] = number
    rows, tables = _all_rows(readers)
    return Selection(rows, tables)


class UnionParameters(Parameters):
    duplicates: Literal["error", "rename", "first", "merge"] = Field(
        "error",
        description="Items with the same key: fail, add a number to the later keys, keep the first item, or merge their"
        " objects into the first item.",
    )


def _union_columns(parameters: UnionParameters, schema: Schema) -> Sequence[str]:
    if parameters.duplicates != "merge":
        return []
    return [column.name for column in schema.columns_of_kind(Kind.OBJECTS)]


@dataset_op(
    "union",
    parameters=UnionParameters,
    inputs=(_DATASETS_PORT,),
    input_columns=_union_columns,
    output_schema=_union_schema,
)
def union(inputs: Inputs, parameters: UnionParameters, context: Context) -> Selection:
    """Combine the items of several steps and resolve duplicate keys."""
    readers: list[Reader] = inputs["data"]
    if parameters.duplicates == "error":
        concatenated: Selection = concatenate.function(inputs, NoParameters(), context)
        return concatenated
    rows, tables = _all_rows(readers)
    keys = [key for reader in readers for key in _keys(reader)]
    if parameters.duplicates == "rename":
        return Selection(rows, tables, keys=_unique_keys(keys))
    positions_of_key: dict[str, list[int]] = {}
    for position, key in enumerate(keys):
        positions_of_key.setdefault(key, []).append(position)
    first = np.array([positions[0] for positions in positions_of_key.values()], np.int64)
    if parameters.duplicates == "first":
        return Selection(rows[first], tables[first])
    columns = {}
    schema = _union_schema(parameters, [reader.schema for reader in readers])
    for column in schema.columns_of_kind(Kind.OBJECTS):
        values = [value for reader in readers for value in _column_values(reader, column.name)]
        columns[column.name] = [
            _merge_objects([values[position] for position in positions]) for positions in positions_of_key.values()
        ]
    return Selection(rows[first], tables[first], columns=columns)


def _column_values(reader: Reader, name: str) -> list[Any]:
    if name not in reader.schema:
        return [None] * len(reader)
    return [item[name] for item in reader.items([name])]


def _merge_objects(values: Sequence[Any]) -> Any:
    """Merge the objects of several items; identical objects count once, and duplicate ids get a number."""
    labelled = [value for value in values if value is not None]
    if not labelled:
        return None
    merged: dict[str, Object] = {}
    seen = set()
    for objects in labelled:
        for obj in objects:
            identity = (obj.class_name, obj.geometry, obj.score, obj.track)
            if identity in seen:
                continue
            seen.add(identity)
            object_id = obj.id
            number = 2
            while object_id in merged:
                object_id = f"{obj.id}-{number}"
                number += 1
            merged[object_id] = replace(obj, id=object_id)
    return tuple(merged.values())


def _unique_keys(keys: Sequence[str]) -> list[str]:
    """Append a number to repeated keys; a new key never equals one of the given keys."""
    original = set(keys)
    used: set[str] = set()
    unique = []
    for key in keys:
        name = key
        number = 2
        while name in used or (name != key and name in original):
            name = f"{key}~{number}"
            number += 1
        used.add(name)
        unique.append(name)
    return unique


class DuplicatesParameters(Parameters):
    column: str = Field("phash", description="A text column with hashes, as computed by 'phash'.")
    distance: int = Field(4, ge=0, le=32, description="The largest Hamming distance between duplicates, in bits.")
    keep: Literal["first", "all"] = Field(
        "first", description="first: keep the first item of each group; all: keep all items and mark the duplicates."
    )


def _duplicates_schema(parameters: DuplicatesParameters, schemas: Sequence[Schema]) -> Schema:
    resolve_column(schemas[0], parameters.column, Kind.TEXT)
    return schemas[0].with_columns(Column("duplicate_of", Kind.TEXT))


@dataset_op(
    "duplicates",
    parameters=DuplicatesParameters,
    input_columns=lambda parameters, schema: [parameters.column],
    output_schema=_duplicates_schema,
    libraries=("numpy",),
)
def duplicates(inputs: Inputs, parameters: DuplicatesParameters, context: Context) -> Selection:
    """Find near-duplicate images by their perceptual hashes; 'duplicate_of' names the first image of each group."""
    items = list(single_dataset(inputs).items([parameters.column]))
    texts = [item[parameters.column] for item in items]
    try:
        hashes = np.array([int(text, 16) if text else 0 for text in texts], np.uint64)
    except (ValueError, OverflowError):
        raise InvalidValueError(
            f"The column '{parameters.column}' contains no hashes of 64 bits.", hint="Add a 'phash' step before."
        ) from None
    first = _match_duplicates(hashes, np.array([bool(text) for text in texts], bool), parameters.distance)
    duplicate_of = [items[match].key if match != row else None for row, match in enumerate(first)]
    rows = (
        np.arange(len(items))
        if parameters.keep == "all"
        else np.array([row for row, match in enumerate(first) if match == row], np.int64)
    )
    return Selection(rows, columns={"duplicate_of": [duplicate_of[row] for row in rows.tolist()]})


def _match_duplicates(hashes: npt.NDArray[np.uint64], has_hash: npt.NDArray[np.bool_], distance: int) -> list[int]:
    """Return for each hash the row that represents it: the first earlier representative within reach, or itself."""
    matches = list(range(len(hashes)))
    representatives: list[int] = []
    representative_hashes = np.empty(len(hashes), np.uint64)
    for row in range(len(hashes)):
        if not has_hash[row]:
            continue
        distances = np.bitwise_count(representative_hashes[: len(representatives)] ^ hashes[row])
        near = np.flatnonzero(distances <= distance)
        if len(near):
            matches[row] = representatives[int(near[0])]
        else:
            representative_hashes[len(representatives)] = hashes[row]
            representatives.append(row)
    return matches


class StatisticsParameters(Parameters):
    columns: list[str] | None = Field(None, description="Only these columns; default: all of them.")


def _counted_columns(parameters: StatisticsParameters, schema: Schema) -> Sequence[str]:
    names = schema.names if parameters.columns is None else parameters.columns
    kinds = (Kind.OBJECTS, Kind.LABEL, Kind.LABELS, Kind.NUMBER, Kind.IMAGE)
    return [name for name in names if schema[name].kind in kinds]


@dataset_op("statistics", parameters=StatisticsParameters, input_columns=_counted_columns, output=PortType.VALUE)
def statistics(inputs: Inputs, parameters: StatisticsParameters, context: Context) -> Mapping[str, Any]:
    """Count items, classes and objects, and summarize numbers and image sizes; the result is JSON."""
    reader = single_dataset(inputs)
    result: dict[str, Any] = {"items": len(reader)}
    for name in _counted_columns(parameters, reader.schema):
        values = [item[name] for item in reader.items([name])]
        present = [value for value in values if value is not None]
        summary: dict[str, Any] = {"missing": len(values) - len(present)}
        kind = reader.schema[name].kind
        if kind is Kind.NUMBER:
            summary |= _number_summary([float(value) for value in present])
        elif kind is Kind.IMAGE:
            summary["width"] = _number_summary([value.width for value in present])
            summary["height"] = _number_summary([value.height for value in present])
        else:
            class_names = [class_name for value in present for class_name in _class_names(value)]
            summary["classes"] = dict(Counter(class_names).most_common())
            if kind is Kind.OBJECTS:
                summary["objects"] = sum(len(value) for value in present)
                summary["empty"] = sum(not value for value in present)
        result[name] = summary
    return result


def _number_summary(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, median, maximum and mean of the finite values, and the count of the infinite ones, if any."""
    finite = sorted(value for value in values if math.isfinite(value))
    count = len(finite)
    infinite = {} if count == len(values) else {"infinite": len(values) - count}
    if not finite:
        return {**infinite}
    # Divide before adding: sums of numbers near the largest float would overflow.
    median = finite[(count - 1) // 2] / 2 + finite[count // 2] / 2
    mean = math.fsum(value / count for value in finite)
    return {**infinite, "min": finite[0], "median": median, "max": finite[-1], "mean": mean}
