"""Items that somebody sent as Arrow: nothing of them is believed before it was looked at."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from saccade.core.errors import InvalidValueError, SaccadeError
from saccade.core.objects import Object
from saccade.core.reader import Item
from saccade.core.schema import KEY, Column, FileRef, ImageRef, Kind, Schema, Value, VideoRef
from saccade.store.arrow.codec import SCHEMA_METADATA, arrow_schema, decode_batch

LARGEST_PART, LARGEST_SCHEMA = 1 << 30, 16 << 20
"""Bytes of a file of items, and of a schema as JSON."""
MOST_ROWS, MOST_COLUMNS, LONGEST_KEY = 65_536, 1000, 2000
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REFS = {Kind.IMAGE: ImageRef, Kind.VIDEO: VideoRef, Kind.FILE: FileRef}
_WRONG = (
    TypeError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
    StopIteration,
    RuntimeError,
    MemoryError,
    OSError,
    pa.ArrowException,
)


class SentItems:
    """The items of files in Arrow's format for streams, all of one schema, which stands in their metadata.

    Raises:
        InvalidValueError: what is in them is not what it says, or not what a dataset holds.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        if not files:
            raise InvalidValueError("No items were sent.", hint="Send files called items-….arrow.")
        self._files = list(files)
        self.schema = self._schema_of(self._files[0])

    def __iter__(self) -> Iterator[Item]:
        for file in self._files:
            yield from self._items_of(file)

    def _schema_of(self, file: Path) -> Schema:
        if file.stat().st_size > LARGEST_PART:
            raise InvalidValueError(f"'{file.name}' has more than {LARGEST_PART:,} bytes.", hint="Send several files.")
        try:
            with pa.OSFile(str(file)) as source, pa.ipc.open_stream(source) as stream:
                told = stream.schema
            schema = _read_schema(told)
        except InvalidValueError:
            raise
        except _WRONG as error:
            raise _unreadable(file, error) from error
        if not told.equals(arrow_schema(schema, position=False)):
            raise InvalidValueError(f"The columns of '{file.name}' are not those of the schema in its metadata.")
        return schema

    def _items_of(self, file: Path) -> Iterator[Item]:
        if self._schema_of(file) != self.schema:
            raise InvalidValueError(f"'{file.name}' has another schema than '{self._files[0].name}'.")
        with pa.OSFile(str(file)) as source, pa.ipc.open_stream(source) as stream:
            while True:
                try:
                    batch = stream.read_next_batch()
                except StopIteration:
                    return
                except _WRONG as error:
                    raise _unreadable(file, error) from error
                yield from self._checked(file, batch)

    def _checked(self, file: Path, batch: pa.RecordBatch) -> list[Item]:
        """The items of a batch, each value made anew by what makes values of its kind."""
        try:
            batch.validate(full=True)  # before anything looks into it: Arrow itself believes offsets
            if len(batch) > MOST_ROWS or batch.nbytes > LARGEST_PART:
                raise InvalidValueError(f"A batch of '{file.name}' is too large: {len(batch):,} rows.")
            if batch.column(KEY).null_count:
                raise InvalidValueError(f"An item of '{file.name}' has no key.")
            items = decode_batch(batch, self.schema.columns)
        except InvalidValueError:
            raise
        except _WRONG as error:
            raise _unreadable(file, error) from error
        return [self._item(item) for item in items]

    def _item(self, item: Item) -> Item:
        if not item.key or len(item.key) > LONGEST_KEY:
            raise InvalidValueError(f"A key has 1 to {LONGEST_KEY} characters, not {len(item.key):,}.")
        values = {column.name: _checked_value(item.key, column, item[column.name]) for column in self.schema.columns}
        return Item(item.key, values)


def _unreadable(file: Path, error: BaseException) -> InvalidValueError:
    return InvalidValueError(f"'{file.name}' cannot be read: {str(error)[:500] or type(error).__name__}.")


def _read_schema(told: pa.Schema) -> Schema:
    text = (told.metadata or {}).get(SCHEMA_METADATA)
    if text is None or len(text) > LARGEST_SCHEMA:
        raise InvalidValueError(f"The Arrow schema has no metadata '{SCHEMA_METADATA.decode()}' of a sensible size.")
    schema = Schema.from_json(json.loads(text))
    if len(schema.columns) > MOST_COLUMNS:
        raise InvalidValueError(f"A dataset has at most {MOST_COLUMNS} columns, not {len(schema.columns):,}.")
    for column in schema.columns:
        if not all(_is_class(info.to_json()) for info in column.classes):
            raise InvalidValueError(f"The classes of the column '{column.name}' are not as they are to be.")
    return schema


def _is_class(told: dict[str, Any]) -> bool:
    texts = (told["name"], *(told[name] for name in ("parent", "color") if told[name] is not None), *told["keypoints"])
    return all(isinstance(text, str) and len(text) <= LONGEST_KEY for text in texts)


def _checked_value(key: str, column: Column, value: Value) -> Value:
    if value is None:
        return None
    try:
        if column.kind is Kind.OBJECTS:
            return tuple(_remade(one) for one in value)
        if column.kind in _REFS:
            return _checked_ref(value)
        if column.kind is Kind.LABELS and any(one is None for one in value):
            raise InvalidValueError("a label is missing")
    except SaccadeError as error:
        raise InvalidValueError(f"Column '{column.name}' of item '{key}': {error.message}") from error
    except _WRONG as error:
        raise InvalidValueError(f"Column '{column.name}' of item '{key}': {str(error)[:300]}.") from error
    return value


def _remade(one: Object) -> Object:
    """An object by way of the constructors, which look at every number; those of the store were skipped over."""
    return replace(one, geometry=replace(one.geometry))


def _checked_ref(ref: Any) -> Any:
    """A reference to a file by its digest; of the rest only its name and frame are taken as they are given."""
    if not isinstance(ref.digest, str) or not _DIGEST.fullmatch(ref.digest):
        raise InvalidValueError("A file is named by its SHA-256 digest, in small hexadecimal digits.")
    if type(ref.size) is not int or ref.size < 0:
        raise InvalidValueError("A file has a size.")
    if not isinstance(ref.name, str) or len(ref.name) > LONGEST_KEY:
        raise InvalidValueError(f"A file has a name of at most {LONGEST_KEY} characters.")
    if ref.uri is not None:
        raise InvalidValueError("Files are sent, not named by where they lie.")
    if isinstance(ref, ImageRef) and ref.frame is not None and not 0 <= ref.frame < 1 << 40:
        raise InvalidValueError(f"There is no frame {ref.frame}.")
    return ref
