"""Codec between items and Arrow record batches, one column at a time.

A missing value is null in Arrow. The ``Schema`` is stored as JSON in the metadata of the Arrow schema.
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
from saccade.runtime.gc_control import gc_paused
from saccade.store.arrow.codec_objects import OBJECTS, decode_objects, encode_objects
from saccade.store.arrow.columns import (
    fast_init,
    list_array,
    single_chunk,
    split_by_offsets,
    to_list,
    to_list_dictionary,
)

POSITION = "#position"
"""Hidden column with the position of an item in the order of the dataset. Users cannot name a column like this."""

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
# Lance adds these columns to scans, so a column of the same name could not be read.
_RESERVED = {"_rowid", "_rowaddr", "_rowoffset", "_row_created_at_version", "_row_last_updated_at_version"}


def arrow_schema(schema: Schema, *, position: bool = True) -> pa.Schema:
    """Return the Arrow schema: key, position (if requested), and the columns.

    Raises:
        InvalidValueError: if a column has a name that the storage format uses.
    """
    if reserved := _RESERVED & {name.lower() for name in schema.names}:
        raise InvalidValueError(f"The column name '{min(reserved)}' is reserved.", hint="Rename the column.")
    return pa.schema(
        [
            pa.field(KEY, pa.string(), nullable=False),
            *([pa.field(POSITION, pa.int64(), nullable=False)] if position else []),
            *(pa.field(column.name, ARROW_TYPES[column.kind]) for column in schema.columns),
        ],
        metadata={SCHEMA_METADATA: canonical_json(schema.to_json())},
    )


def _encode_structs(values: Sequence[Any], cls: type, struct: pa.StructType) -> pa.Array:
    for value in values:
        if value is not None and type(value) is not cls:
            raise TypeError(f"expected {cls.__name__}")
    children = [
        pa.array([None if value is None else getattr(value, field.name) for value in values], field.type)
        for field in struct
    ]
    missing = pa.array([value is None for value in values], pa.bool_())
    return pa.StructArray.from_arrays(children, fields=list(struct), mask=missing)


def _encode_strings(values: Sequence[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


def _encode_string_lists(values: Sequence[Sequence[str] | None]) -> pa.Array:
    if any(isinstance(value, str) for value in values):
        raise TypeError("expected a sequence of strings, got one string")
    return list_array(values, _encode_strings(list(chain.from_iterable(value for value in values if value))))


def _encode_embeddings(values: Sequence[Sequence[float] | None]) -> pa.Array:
    rows = [None if value is None else np.asarray(value, np.float32) for value in values]
    if any(row is not None and row.ndim != 1 for row in rows):
        raise TypeError("an embedding must be one-dimensional")
    flat = [row for row in rows if row is not None]
    return list_array(rows, pa.array(np.concatenate(flat) if flat else np.empty(0, np.float32)))


def _encode_json(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())


_ENCODERS: Mapping[Kind, Callable[[Any], pa.Array]] = {
    Kind.IMAGE: lambda values: _encode_structs(values, ImageRef, IMAGE),
    Kind.VIDEO: lambda values: _encode_structs(values, VideoRef, VIDEO),
    Kind.OBJECTS: encode_objects,
    Kind.LABEL: _encode_strings,
    Kind.LABELS: _encode_string_lists,
    Kind.EMBEDDING: _encode_embeddings,
    Kind.TEXT: _encode_strings,
    Kind.NUMBER: lambda values: pa.array(values, pa.float64()),
    Kind.TABLE: _encode_json,
    Kind.FILE: lambda values: _encode_structs(values, FileRef, FILE),
}


def _decode_structs(array: pa.StructArray, cls: type) -> list[Any]:
    low_cardinality = {"format", "mode", "codec"}
    columns: dict[str, Iterable[Any]] = {
        field.name: (to_list_dictionary if field.name in low_cardinality else to_list)(array.field(field.name))
        if array.type.get_field_index(field.name) >= 0
        else repeat(field.default)  # written by an earlier version of Saccade, without this field
        for field in fields(cls)
    }
    values: list[Any] = fast_init(cls, len(array), **columns)
    if not array.null_count:
        return values
    return [value if is_valid else None for value, is_valid in zip(values, to_list(array.is_valid()), strict=True)]


def _decode_lists(array: pa.Array) -> list[tuple[Any, ...] | None]:
    lists = split_by_offsets(to_list(array.flatten()), array)
    return [None if values is None else tuple(values) for values in lists]


_DECODERS: Mapping[Kind, Callable[[pa.Array], list[Any]]] = {
    Kind.IMAGE: lambda array: _decode_structs(array, ImageRef),
    Kind.VIDEO: lambda array: _decode_structs(array, VideoRef),
    Kind.OBJECTS: decode_objects,
    Kind.LABEL: to_list_dictionary,
    Kind.LABELS: _decode_lists,
    Kind.EMBEDDING: _decode_lists,
    Kind.TEXT: to_list,
    Kind.NUMBER: to_list,
    Kind.TABLE: lambda array: [None if text is None else json.loads(text) for text in to_list(array)],
    Kind.FILE: lambda array: _decode_structs(array, FileRef),
}
_ENCODING_ERRORS = (TypeError, ValueError, AttributeError, KeyError, OverflowError, pa.ArrowException)


def encode_column(column: Column, values: Sequence[Value], keys: Sequence[str]) -> pa.Array:
    """Encode one column of items.

    Args:
        column: the column.
        values: the value of each item, None if missing.
        keys: the key of each item, for error messages.

    Raises:
        InvalidValueError: if a value does not have the kind of the column; names the item.
    """
    try:
        return _ENCODERS[column.kind](values)
    except _ENCODING_ERRORS as error:
        raise _find_invalid(column, values, keys, error) from error


def _find_invalid(
    column: Column, values: Sequence[Value], keys: Sequence[str], column_error: Exception
) -> InvalidValueError:
    """Encode the values one by one to find the first that fails."""
    for key, value in zip(keys, values, strict=True):
        try:
            _ENCODERS[column.kind]([value])
        except _ENCODING_ERRORS as error:
            text = repr(value)
            return InvalidValueError(
                f"Column '{column.name}' of item '{key}' needs a value of kind {column.kind}, "
                f"not {text[:200]}{'…' if len(text) > 200 else ''}: {error}"
            )
    return InvalidValueError(f"Column '{column.name}' cannot be stored: {column_error}")


def encode_items(items: Sequence[Item], schema: Schema) -> pa.RecordBatch:
    """Encode items as a record batch of key and columns. Missing values become null.

    Raises:
        InvalidValueError: if a key is empty, or an item has an invalid value or one for a column not in the schema.
    """
    names = set(schema.names)
    for item in items:
        if extra := item.values.keys() - names:
            raise InvalidValueError(
                f"Item '{item.key}' has values for columns that are not in the schema: {sorted(extra)}.",
                hint=f"Columns: {', '.join(schema.names)}.",
            )
    keys = [item.key for item in items]
    if not all(isinstance(key, str) and key for key in keys):
        raise InvalidValueError("The key of an item must be a non-empty string.")
    arrays = [
        encode_column(column, [item.values.get(column.name) for item in items], keys) for column in schema.columns
    ]
    return pa.record_batch([_encode_strings(keys), *arrays], schema=arrow_schema(schema, position=False))


def decode_batch(batch: pa.RecordBatch | pa.Table, columns: Sequence[Column]) -> list[Item]:
    """Decode the items of a record batch that has the key and these columns."""
    with gc_paused():
        keys = to_list(single_chunk(batch.column(KEY)))
        names = [column.name for column in columns]
        values = [decode_column(column, batch.column(column.name)) for column in columns]
        rows: Iterable[tuple[Value, ...]] = zip(*values, strict=True) if values else repeat((), len(keys))
        return [Item(key, dict(zip(names, row, strict=True))) for key, row in zip(keys, rows, strict=True)]


def decode_column(column: Column, array: pa.Array | pa.ChunkedArray) -> list[Value]:
    """Decode the values of one column, None if missing."""
    return _DECODERS[column.kind](single_chunk(array))
