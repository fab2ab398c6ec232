"""Operations on whole sets of items: sample, split, put together, find doubles, count."""

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
    Chosen,
    Context,
    Inputs,
    NoParameters,
    Parameters,
    Port,
    PortType,
    column_of,
    on_whole,
    the_dataset,
)
from saccade.operations.tiles import TILE_OF

_SEVERAL = Port("data", several=True, help="The items, of any number of steps.")


def _keys(reader: Reader) -> list[str]:
    return [item.key for item in reader.items([])]


def _nothing(parameters: Any, schema: Schema) -> Sequence[str]:
    return []


def _chance(seed: int, key: str) -> bytes:
    """A number for a key that seems random, and is the same wherever the key turns up."""
    return hashlib.sha256(f"{seed}/{key}".encode()).digest()


class SampleParameters(Parameters):
    count: int | None = Field(None, ge=0, description="So many items.")
    share: float | None = Field(None, ge=0, le=1, description="So large a share of the items.")
    keys: list[str] | None = Field(None, description="The items of these keys.")

    @model_validator(mode="after")
    def _check(self) -> SampleParameters:
        if sum(one is not None for one in (self.count, self.share, self.keys)) != 1:
            raise ValueError("give one of 'count', 'share' and 'keys'")
        return self


@on_whole("sample", parameters=SampleParameters, reads=_nothing)
def sample(inputs: Inputs, parameters: SampleParameters, context: Context) -> Chosen:
    """Some of the items, at random by the seed, or by their keys; they stay in order.

    Which items are chosen depends on their keys alone: with one more item at most one other goes.
    """
    keys = _keys(the_dataset(inputs))
    if parameters.keys is not None:
        known = {key: row for row, key in enumerate(keys)}
        if missing := [key for key in parameters.keys if key not in known]:
            raise InvalidValueError(
                f"There is no item '{missing[0]}'.", hint=f"{len(missing)} of the keys are unknown."
            )
        return Chosen(np.array(sorted({known[key] for key in parameters.keys}), np.int64))
    count = parameters.count
    if count is None:
        assert parameters.share is not None
        count = round(parameters.share * len(keys))
    order = sorted(range(len(keys)), key=lambda row: _chance(context.seed, keys[row]))
    return Chosen(np.array(sorted(order[:count]), np.int64))


class ResampleParameters(Parameters):
    factor: float = Field(gt=0, le=1000, description="How many items come out for each that goes in.")


@on_whole("resample", parameters=ResampleParameters, reads=_nothing)
def resample(inputs: Inputs, parameters: ResampleParameters, context: Context) -> Chosen:
    """A fraction or a multiple of the items; copies get a number after their key."""
    keys = _keys(the_dataset(inputs))
    whole, rest = int(parameters.factor), parameters.factor % 1
    order = sorted(range(len(keys)), key=lambda row: _chance(context.seed, keys[row]))
    more = set(order[: round(rest * len(keys))])
    pairs = [(row, copy) for row in range(len(keys)) for copy in range(whole + (row in more))]
    named = [keys[row] if copy == 0 else f"{keys[row]}~{copy + 1}" for row, copy in pairs]
    return Chosen(np.array([row for row, _ in pairs], np.int64), keys=named)


class SplitParameters(Parameters):
    shares: dict[str, float] = Field(
        {"train": 0.8, "val": 0.1, "test": 0.1}, description="The share of each split; they add up to 1."
    )
    by: str | None = Field(
        None, description="A text column: items of one value stay together. Tiles of one image do without being told."
    )
    like: str | None = Field(
        None, description="A column of labels or objects whose classes every split is to have in its share."
    )
    column: str = Field("split", description="The column for the result.")


def _reads_split(parameters: SplitParameters, schema: Schema) -> Sequence[str]:
    return [name for name in (_group_column(parameters, schema), parameters.like) if name is not None]


def _group_column(parameters: SplitParameters, schema: Schema) -> str | None:
    if parameters.by is not None:
        return column_of(schema, parameters.by, Kind.TEXT, Kind.LABEL).name
    return TILE_OF if TILE_OF in schema else None


def _with_split(parameters: SplitParameters, schemas: Sequence[Schema]) -> Schema:
    if parameters.like is not None:
        column_of(schemas[0], parameters.like, Kind.LABEL, Kind.LABELS, Kind.OBJECTS)
    return schemas[0].with_columns(Column(parameters.column, Kind.TEXT))


@on_whole("split", parameters=SplitParameters, reads=_reads_split, makes=_with_split)
def split(inputs: Inputs, parameters: SplitParameters, context: Context) -> Chosen:
    """Say of each item in which split it is; a group never stands on two sides."""
    reader = the_dataset(inputs)
    shares = parameters.shares
    if not shares or abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) < 0:
        raise InvalidValueError(f"The shares {shares} must be positive and add up to 1.")
    group, like = _group_column(parameters, reader.schema), parameters.like
    items = list(reader.items([name for name in (group, like) if name is not None]))
    groups = {item.key: (item[group] or item.key) if group else item.key for item in items}
    if like is None:
        chosen = split_by_group(groups, shares, context.seed)
    else:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for item in items:
            counts[groups[item.key]].update(_classes(item[like]))
        by_group = stratified(counts, shares, context.seed)
        chosen = {key: by_group[name] for key, name in groups.items()}
    return Chosen(np.arange(len(items)), columns={parameters.column: [chosen[item.key] for item in items]})


def _classes(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    return [one.class_name if isinstance(one, Object) else str(one) for one in value]


def stratified(counts: Mapping[str, Counter[str]], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """A split for each group, so that every class has its share in each, as nearly as can be.

    The rarest class that is left is dealt out first, each group to where most of it is missing, as by Sechidis,
    Tsoumakas and Vlahavas (2011).
    """
    left = {name: share * len(counts) for name, share in shares.items()}
    total: Counter[str] = Counter()
    for one in counts.values():
        total.update(one)
    wanted = {name: {kind: share * total[kind] for kind in total} for name, share in shares.items()}
    rest = dict(sorted(counts.items(), key=lambda pair: _chance(seed, pair[0])))
    chosen: dict[str, str] = {}

    def deal(group: str, kind: str | None) -> None:
        best = max(shares, key=lambda name: (wanted[name][kind] if kind else left[name], left[name]))
        chosen[group] = best
        left[best] -= 1
        for each, count in rest.pop(group).items():
            wanted[best][each] -= count

    while remaining := sum(rest.values(), Counter()):
        rarest = min(remaining, key=lambda kind: (remaining[kind], kind))
        for group in [name for name, one in rest.items() if one[rarest]]:
            deal(group, rarest)
    for group in list(rest):
        deal(group, None)
    return chosen


def _together(parameters: Any, schemas: Sequence[Schema]) -> Schema:
    if not schemas:
        return Schema()
    made = schemas[0]
    for schema in schemas[1:]:
        made = made.merged(schema)
    return made


def _all_rows(readers: Sequence[Reader]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    rows = [np.arange(len(reader)) for reader in readers]
    tables = [np.full(len(reader), number, np.int64) for number, reader in enumerate(readers)]
    return np.concatenate([np.empty(0, np.int64), *rows]), np.concatenate([np.empty(0, np.int64), *tables])


@on_whole("concatenate", parameters=NoParameters, inputs=(_SEVERAL,), reads=_nothing, makes=_together)
def concatenate(inputs: Inputs, parameters: NoParameters, context: Context) -> Chosen:
    """The items of several steps, one after another; a key that two of them have is an error (see 'union')."""
    readers: list[Reader] = inputs["data"]
    seen: dict[str, int] = {}
    for number, reader in enumerate(readers):
        for key in _keys(reader):
            if key in seen:
                raise ConflictError(
                    f"The key '{key}' is in input {seen[key] + 1} and in input {number + 1}.",
                    hint="Use 'union', which says what is done about it.",
                )
            seen[key] = number
    rows, tables = _all_rows(readers)
    return Chosen(rows, tables)


class UnionParameters(Parameters):
    duplicates: Literal["error", "rename", "first", "merge"] = Field(
        "error",
        description="Of items of one key: refuse, give the later ones a number, keep the first, or put their objects"
        " together in the first.",
    )


def _reads_union(parameters: UnionParameters, schema: Schema) -> Sequence[str]:
    return [column.name for column in schema.of_kind(Kind.OBJECTS)] if parameters.duplicates == "merge" else []


@on_whole("union", parameters=UnionParameters, inputs=(_SEVERAL,), reads=_reads_union, makes=_together)
def union(inputs: Inputs, parameters: UnionParameters, context: Context) -> Chosen:
    """The items of several steps as one set."""
    readers: list[Reader] = inputs["data"]
    if parameters.duplicates == "error":
        found: Chosen = concatenate.function(inputs, NoParameters(), context)
        return found
    rows, tables = _all_rows(readers)
    keys = [key for reader in readers for key in _keys(reader)]
    if parameters.duplicates == "rename":
        return Chosen(rows, tables, keys=_apart(keys))
    places: dict[str, list[int]] = {}
    for at, key in enumerate(keys):
        places.setdefault(key, []).append(at)
    first = np.array([group[0] for group in places.values()], np.int64)
    if parameters.duplicates == "first":
        return Chosen(rows[first], tables[first])
    columns = {}
    for column in _together(parameters, [reader.schema for reader in readers]).of_kind(Kind.OBJECTS):
        values = [value for reader in readers for value in _values(reader, column.name)]
        columns[column.name] = [_objects_together([values[at] for at in group]) for group in places.values()]
    return Chosen(rows[first], tables[first], columns=columns)


def _values(reader: Reader, name: str) -> list[Any]:
    if name not in reader.schema:
        return [None] * len(reader)
    return [item[name] for item in reader.items([name])]


def _objects_together(values: Sequence[Any]) -> Any:
    """The objects of several items as of one; those that are alike count once, and ids are made unique."""
    labelled = [value for value in values if value is not None]
    if not labelled:
        return None
    found: dict[str, Object] = {}
    seen = set()
    for objects in labelled:
        for one in objects:
            alike = (one.class_name, one.geometry, one.score, one.track)
            if alike in seen:
                continue
            seen.add(alike)
            name, number = one.id, 2
            while name in found:
                name, number = f"{one.id}-{number}", number + 1
            found[name] = replace(one, id=name)
    return tuple(found.values())


def _apart(keys: Sequence[str]) -> list[str]:
    taken = set(keys)
    seen: set[str] = set()
    made = []
    for key in keys:
        name, number = key, 2
        while name in seen or (name != key and name in taken):
            name, number = f"{key}~{number}", number + 1
        seen.add(name)
        made.append(name)
    return made


class DuplicatesParameters(Parameters):
    column: str = Field("phash", description="A text column with hashes, as 'phash' makes it.")
    distance: int = Field(4, ge=0, le=32, description="In how many bits hashes of like images may differ.")
    keep: Literal["first", "all"] = Field("first", description="Of like items keep the first, or all with their group.")


def _with_group(parameters: DuplicatesParameters, schemas: Sequence[Schema]) -> Schema:
    column_of(schemas[0], parameters.column, Kind.TEXT)
    return schemas[0].with_columns(Column("duplicate_of", Kind.TEXT))


@on_whole(
    "duplicates",
    parameters=DuplicatesParameters,
    reads=lambda parameters, schema: [parameters.column],
    makes=_with_group,
    libraries=("numpy",),
)
def duplicates(inputs: Inputs, parameters: DuplicatesParameters, context: Context) -> Chosen:
    """Find images that look alike by their hashes; 'duplicate_of' names the first of each group of them."""
    items = list(the_dataset(inputs).items([parameters.column]))
    texts = [item[parameters.column] for item in items]
    try:
        bits = np.array([int(text, 16) if text else 0 for text in texts], np.uint64)
    except (ValueError, OverflowError):
        raise InvalidValueError(f"The column '{parameters.column}' holds no hashes of 64 bits.") from None
    first = _first_alike(bits, np.array([bool(text) for text in texts], bool), parameters.distance)
    names = [items[at].key if at != row else None for row, at in enumerate(first)]
    rows = (
        np.arange(len(items))
        if parameters.keep == "all"
        else np.array([row for row, at in enumerate(first) if at == row], np.int64)
    )
    return Chosen(rows, columns={"duplicate_of": [names[row] for row in rows.tolist()]})


def _first_alike(bits: npt.NDArray[np.uint64], there: npt.NDArray[np.bool_], distance: int) -> list[int]:
    """For each hash the number of the first that stands for it: itself, or an earlier one that is near."""
    found = list(range(len(bits)))
    leaders: list[int] = []
    values = np.empty(len(bits), np.uint64)
    for row in range(len(bits)):
        if not there[row]:
            continue
        apart = np.bitwise_count(values[: len(leaders)] ^ bits[row])
        near = np.flatnonzero(apart <= distance)
        if len(near):
            found[row] = leaders[int(near[0])]
        else:
            values[len(leaders)] = bits[row]
            leaders.append(row)
    return found


class StatisticsParameters(Parameters):
    columns: list[str] | None = Field(None, description="Only these columns.")


def _reads_counted(parameters: StatisticsParameters, schema: Schema) -> Sequence[str]:
    names = schema.names if parameters.columns is None else parameters.columns
    kinds = (Kind.OBJECTS, Kind.LABEL, Kind.LABELS, Kind.NUMBER, Kind.IMAGE)
    return [name for name in names if schema[name].kind in kinds]


@on_whole("statistics", parameters=StatisticsParameters, reads=_reads_counted, output=PortType.VALUE)
def statistics(inputs: Inputs, parameters: StatisticsParameters, context: Context) -> Mapping[str, Any]:
    """Count items, classes and objects, and say how numbers and sizes lie; the result is JSON."""
    reader = the_dataset(inputs)
    made: dict[str, Any] = {"items": len(reader)}
    for name in _reads_counted(parameters, reader.schema):
        values = [item[name] for item in reader.items([name])]
        there = [value for value in values if value is not None]
        facts: dict[str, Any] = {"missing": len(values) - len(there)}
        kind = reader.schema[name].kind
        if kind is Kind.NUMBER:
            facts |= _spread([float(value) for value in there])
        elif kind is Kind.IMAGE:
            facts["width"] = _spread([value.width for value in there])
            facts["height"] = _spread([value.height for value in there])
        else:
            facts["classes"] = dict(Counter(one for value in there for one in _classes(value)).most_common())
            if kind is Kind.OBJECTS:
                facts["objects"] = sum(len(value) for value in there)
                facts["empty"] = sum(not value for value in there)
        made[name] = facts
    return made


def _spread(values: Sequence[float]) -> dict[str, float]:
    found = sorted(value for value in values if math.isfinite(value))
    count, beyond = len(found), {} if len(found) == len(values) else {"infinite": len(values) - len(found)}
    if not found:
        return {**beyond}
    middle = found[(count - 1) // 2] / 2 + found[count // 2] / 2
    mean = math.fsum(value / count for value in found)
    return {**beyond, "min": found[0], "median": middle, "max": found[-1], "mean": mean}
