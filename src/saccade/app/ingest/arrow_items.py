"""Items that a client uploaded as Arrow IPC streams. They are untrusted: every value is validated."""

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

MAX_FILE_BYTES = 1 << 30
MAX_SCHEMA_BYTES = 16 << 20
MAX_BATCH_ROWS = 65_536
MAX_COLUMNS = 1000
MAX_KEY_LENGTH = 2000
_MAX_FRAMES = 1 << 40
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REFS = {Kind.IMAGE: ImageRef, Kind.VIDEO: VideoRef, Kind.FILE: FileRef}
# Whatever Arrow and the codec raise for malformed input: a hostile file must be an invalid value, not a crash.
_DECODE_ERRORS = (
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


class UploadedItems:
    """Iterates over the items of Arrow IPC stream files. All have the schema in the metadata of the first file.

    Args:
        files: The files, in order.

    Raises:
        InvalidValueError: A file is malformed, or a value is not valid in a dataset. Also raised while iterating.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        if not files:
            raise InvalidValueError("The upload has no items.", hint="Send files called items-….arrow.")
        self._files = list(files)
        self.schema = self._file_schema(self._files[0])

    def __iter__(self) -> Iterator[Item]:
        for file in self._files:
            yield from self._file_items(file)

    def _file_schema(self, file: Path) -> Schema:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise InvalidValueError(
                f"'{file.name}' has more than {MAX_FILE_BYTES:,} bytes.", hint="Send several files."
            )
        try:
            with pa.OSFile(str(file)) as source, pa.ipc.open_stream(source) as stream:
                file_schema = stream.schema
            schema = _read_schema(file_schema)
        except InvalidValueError:
            raise
        except _DECODE_ERRORS as error:
            raise _unreadable_error(file, error) from error
        if not file_schema.equals(arrow_schema(schema, position=False)):
            raise InvalidValueError(f"The columns of '{file.name}' do not match the schema in its metadata.")
        return schema

    def _file_items(self, file: Path) -> Iterator[Item]:
        if self._file_schema(file) != self.schema:
            raise InvalidValueError(f"The schema of '{file.name}' differs from that of '{self._files[0].name}'.")
        with pa.OSFile(str(file)) as source, pa.ipc.open_stream(source) as stream:
            while True:
                try:
                    batch = stream.read_next_batch()
                except StopIteration:
                    return
                except _DECODE_ERRORS as error:
                    raise _unreadable_error(file, error) from error
                yield from self._decode_batch(file, batch)

    def _decode_batch(self, file: Path, batch: pa.RecordBatch) -> list[Item]:
        try:
            batch.validate(full=True)  # before any value is read: Arrow trusts the offsets in a file
            if len(batch) > MAX_BATCH_ROWS or batch.nbytes > MAX_FILE_BYTES:
                raise InvalidValueError(f"A batch of '{file.name}' is too large: {len(batch):,} rows.")
            if batch.column(KEY).null_count:
                raise InvalidValueError(f"An item of '{file.name}' has no key.")
            items = decode_batch(batch, self.schema.columns)
        except InvalidValueError:
            raise
        except _DECODE_ERRORS as error:
            raise _unreadable_error(file, error) from error
        return [self._validate_item(item) for item in items]

    def _validate_item(self, item: Item) -> Item:
        if not item.key or len(item.key) > MAX_KEY_LENGTH:
            raise InvalidValueError(f"A key must have 1 to {MAX_KEY_LENGTH} characters, not {len(item.key):,}.")
        values = {column.name: _validate_value(item.key, column, item[column.name]) for column in self.schema.columns}
        return Item(item.key, values)


def _unreadable_error(file: Path, error: BaseException) -> InvalidValueError:
    return InvalidValueError(f"'{file.name}' cannot be read: {str(error)[:500] or type(error).__name__}.")


def _read_schema(file_schema: pa.Schema) -> Schema:
    text = (file_schema.metadata or {}).get(SCHEMA_METADATA)
    if text is None or len(text) > MAX_SCHEMA_BYTES:
        raise InvalidValueError(
            f"The Arrow schema needs metadata '{SCHEMA_METADATA.decode()}' of at most {MAX_SCHEMA_BYTES:,} bytes."
        )
    schema = Schema.from_json(json.loads(text))
    if len(schema.columns) > MAX_COLUMNS:
        raise InvalidValueError(f"A dataset has at most {MAX_COLUMNS} columns, not {len(schema.columns):,}.")
    for column in schema.columns:
        if not all(_is_valid_class(info.to_json()) for info in column.classes):
            raise InvalidValueError(f"The column '{column.name}' has invalid classes.")
    return schema


def _is_valid_class(info: dict[str, Any]) -> bool:
    optional = (info[name] for name in ("parent", "color") if info[name] is not None)
    texts = (info["name"], *optional, *info["keypoints"])
    return all(isinstance(text, str) and len(text) <= MAX_KEY_LENGTH for text in texts)


def _validate_value(key: str, column: Column, value: Value) -> Value:
    if value is None:
        return None
    try:
        if column.kind is Kind.OBJECTS:
            return tuple(_revalidate(obj) for obj in value)
        if column.kind in _REFS:
            return _validate_ref(value)
        if column.kind is Kind.LABELS and any(label is None for label in value):
            raise InvalidValueError("a label is missing")
    except SaccadeError as error:
        raise InvalidValueError(f"Column '{column.name}' of item '{key}': {error.message}") from error
    except _DECODE_ERRORS as error:
        raise InvalidValueError(f"Column '{column.name}' of item '{key}': {str(error)[:300]}.") from error
    return value


def _revalidate(obj: Object) -> Object:
    """Copy an object through the constructors, which check every number; the codec skips them for speed."""
    return replace(obj, geometry=replace(obj.geometry))


def _validate_ref(ref: Any) -> Any:
    if not isinstance(ref.digest, str) or not _DIGEST.fullmatch(ref.digest):
        raise InvalidValueError("The digest of a file must be a SHA-256 in lower-case hexadecimal.")
    if type(ref.size) is not int or ref.size < 0:
        raise InvalidValueError(f"Invalid file size {ref.size!r}.")
    if not isinstance(ref.name, str) or len(ref.name) > MAX_KEY_LENGTH:
        raise InvalidValueError(f"The name of a file must have at most {MAX_KEY_LENGTH} characters.")
    if ref.uri is not None:
        # A URI would let a client read any file that the server can reach.
        raise InvalidValueError("An uploaded file cannot have a URI.", hint="Send the content of the file.")
    if isinstance(ref, ImageRef) and ref.frame is not None and not 0 <= ref.frame < _MAX_FRAMES:
        raise InvalidValueError(f"There is no frame {ref.frame}.")
    return ref
