"""Items as Arrow record batches and back, a column at a time.

Where a value is missing, the Arrow value is null. ``Schema`` travels as JSON in the Arrow schema's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import chain, repeat
from typing import Any

import numpy as np
import pyarrow as pa

from saccade.core.digest import canonical_json
from saccade.core.errors import InvalidValueError
from saccade.core.reader import Item
from saccade.core.schema import KEY, Column, FileRef, ImageRef, Kind, Schema, Value, VideoRef
from saccade.runtime.gc_control import collector_paused
from saccade.store.arrow.codec_objects import OBJECTS, decode_objects, encode_objects
from saccade.store.arrow.columns import build, cut, lists_from, to_list, to_list_of_few

POSITION = "#position"
"""A hidden column: the place of an item in the dataset's order. No column of a user can have this name."""

SCHEMA_METADATA = b"saccade.schema"

FILE = pa.struct([("digest", pa.string()), ("size", pa.int64()), ("name", pa.string()), ("uri", pa.string())])
IMAGE = pa.struct(
    [
        ("digest", pa.string()),
        ("size", pa.int64()),
        ("name", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("format", pa.string()),
        ("mode", pa.string()),
        ("orientation", pa.int64()),
        ("uri", pa.string()),
        ("frame", pa.int64()),
    ]
)
VIDEO = pa.struct(
    [
        ("digest", pa.string()),
        ("size", pa.int64()),
        ("name", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("frames", pa.int64()),
        ("duration", pa.float64()),
        ("rate", pa.float64()),
        ("format", pa.string()),
        ("codec", pa.string()),
        ("orientation", pa.int64()),
        ("uri", pa.string()),
    ]
)
ARROW_TYPES: Mapping[Kind, pa.DataType] = {
    Kind.IMAGE: IMAGE,
    Kind.VIDEO: VIDEO,
    Kind.OBJECTS: OBJECTS,
    Kind.LABEL: pa.string(),
    Kind.LABELS: pa.list_(pa.string()),
    Kind.EMBEDDING: pa.list_(pa.float32()),
    Kind.TEXT: pa.string(),
    Kind.NUMBER: pa.float64(),
    Kind.TABLE: pa.string(),
    Kind.FILE: FILE,
}
_RESERVED = {"_rowid", "_rowaddr", "_rowoffset", "_row_created_at_version", "_row_last_updated_at_version"}


def arrow_schema(schema: Schema, *, position: bool = True) -> pa.Schema:
    """The Arrow schema: key, the place in the order where asked for, and the columns."""
    if taken := _RESERVED & {name.lower() for name in schema.names}:
        raise InvalidValueError(f"A column may not be called '{min(taken)}': the store uses that name.")
    return pa.schema(
        [
            pa.field(KEY, pa.string(), nullable=False),
            *([pa.field(POSITION, pa.int64(), nullable=False)] if position else []),
            *(pa.field(column.name, ARROW_TYPES[column.kind]) for column in schema.columns),
        ],
        metadata={SCHEMA_METADATA: canonical_json(schema.to_json())},
    )


def _structs(values: Sequence[Any], cls: type, struct: pa.StructType) -> pa.Array:
    for value in values:
        if value is not None and type(value) is not cls:
            raise TypeError(f"not {cls.__name__}")
    children = [
        pa.array([None if value is None else getattr(value, field.name) for value in values], field.type)
        for field in struct
    ]
    missing = pa.array([value is None for value in values], pa.bool_())
    return pa.StructArray.from_arrays(children, fields=list(struct), mask=missing)


def _strings(values: Sequence[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


def _string_lists(values: Sequence[Sequence[str] | None]) -> pa.Array:
    if any(isinstance(value, str) for value in values):
        raise TypeError("a string where a sequence of strings is needed")
    return lists_from(values, _strings(list(chain.from_iterable(value for value in values if value))))


def _embeddings(values: Sequence[Sequence[float] | None]) -> pa.Array:
    rows = [None if value is None else np.asarray(value, np.float32) for value in values]
    if any(row is not None and row.ndim != 1 for row in rows):
        raise TypeError("an embedding of more than one dimension")
    flat = [row for row in rows if row is not None]
    return lists_from(rows, pa.array(np.concatenate(flat) if flat else np.empty(0, np.float32)))


def _json_texts(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())


_ENCODE: Mapping[Kind, Callable[[Any], pa.Array]] = {
    Kind.IMAGE: lambda values: _structs(values, ImageRef, IMAGE),
    Kind.VIDEO: lambda values: _structs(values, VideoRef, VIDEO),
    Kind.OBJECTS: encode_objects,
    Kind.LABEL: _strings,
    Kind.LABELS: _string_lists,
    Kind.EMBEDDING: _embeddings,
    Kind.TEXT: _strings,
    Kind.NUMBER: lambda values: pa.array(values, pa.float64()),
    Kind.TABLE: _json_texts,
    Kind.FILE: lambda values: _structs(values, FileRef, FILE),
}


def _read_structs(array: pa.StructArray, cls: type) -> list[Any]:
    few = {"format", "mode", "codec"}
    columns: dict[str, Iterable[Any]] = {
        field.name: (to_list_of_few if field.name in few else to_list)(array.field(field.name))
        if array.type.get_field_index(field.name) >= 0
        else repeat(field.default)  # a field that an earlier Saccade did not have
        for field in fields(cls)
    }
    made: list[Any] = build(cls, len(array), **columns)
    if not array.null_count:
        return made
    return [value if valid else None for value, valid in zip(made, to_list(array.is_valid()), strict=True)]


def _read_lists(array: pa.Array) -> list[tuple[Any, ...] | None]:
    return [None if part is None else tuple(part) for part in cut(to_list(array.flatten()), array)]


_DECODE: Mapping[Kind, Callable[[pa.Array], list[Any]]] = {
    Kind.IMAGE: lambda array: _read_structs(array, ImageRef),
    Kind.VIDEO: lambda array: _read_structs(array, VideoRef),
    Kind.OBJECTS: decode_objects,
    Kind.LABEL: to_list_of_few,
    Kind.LABELS: _read_lists,
    Kind.EMBEDDING: _read_lists,
    Kind.TEXT: to_list,
    Kind.NUMBER: to_list,
    Kind.TABLE: lambda array: [None if text is None else json.loads(text) for text in to_list(array)],
    Kind.FILE: lambda array: _read_structs(array, FileRef),
}
_WRONG = (TypeError, ValueError, AttributeError, KeyError, OverflowError, pa.ArrowException)


def encode_column(column: Column, values: Sequence[Value], keys: Sequence[str]) -> pa.Array:
    """One column of items as Arrow; InvalidValueError names the item whose value is not of the column's kind."""
    try:
        return _ENCODE[column.kind](values)
    except _WRONG as error:
        raise _culprit(column, values, keys, error) from error


def _culprit(column: Column, values: Sequence[Value], keys: Sequence[str], whole: Exception) -> InvalidValueError:
    for key, value in zip(keys, values, strict=True):
        try:
            _ENCODE[column.kind]([value])
        except _WRONG as error:
            shown = repr(value)
            return InvalidValueError(
                f"Column '{column.name}' of item '{key}' needs a value of kind {column.kind}, "
                f"not {shown[:200]}{'…' if len(shown) > 200 else ''}: {error}"
            )
    return InvalidValueError(f"Column '{column.name}' cannot be stored: {whole}")


def encode_items(items: Sequence[Item], schema: Schema) -> pa.RecordBatch:
    """Items as a record batch: key and columns. A value that an item does not have is null.

    A value for a column that the schema does not have raises InvalidValueError.
    """
    known = set(schema.names)
    for item in items:
        if extra := item.values.keys() - known:
            raise InvalidValueError(
                f"Item '{item.key}' has values for columns that the schema has not: {sorted(extra)}.",
                hint=f"Columns: {', '.join(schema.names)}.",
            )
    keys = [item.key for item in items]
    if not all(isinstance(key, str) and key for key in keys):
        raise InvalidValueError("The key of an item must be a string that is not empty.")
    arrays = [
        encode_column(column, [item.values.get(column.name) for item in items], keys) for column in schema.columns
    ]
    return pa.record_batch([_strings(keys), *arrays], schema=arrow_schema(schema, position=False))


def decode_batch(batch: pa.RecordBatch | pa.Table, columns: Sequence[Column]) -> list[Item]:
    """The items of a record batch that has the key and these columns."""
    with collector_paused():
        keys = to_list(_whole(batch.column(KEY)))
        names = [column.name for column in columns]
        values = [decode_column(column, batch.column(column.name)) for column in columns]
        rows: Iterable[tuple[Value, ...]] = zip(*values, strict=True) if values else repeat((), len(keys))
        return [Item(key, dict(zip(names, row, strict=True))) for key, row in zip(keys, rows, strict=True)]


def decode_column(column: Column, array: pa.Array | pa.ChunkedArray) -> list[Value]:
    """The values of one column."""
    return _DECODE[column.kind](_whole(array))


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
