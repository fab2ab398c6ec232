"""Items as a stream of Arrow record batches."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pyarrow as pa

from saccade.core.schema import KEY, Kind
from saccade.store.arrow.codec import SCHEMA_METADATA, arrow_schema
from saccade.store.datasets.version import DatasetVersion
from saccade.store.table.row_index import Rows

_BATCH_ROWS = 1024
_MEDIA_KINDS = (Kind.IMAGE, Kind.VIDEO, Kind.FILE)


def stream_arrow(version: DatasetVersion, columns: Sequence[str], rows: Rows) -> Iterator[bytes]:
    """Encode rows in the Arrow IPC streaming format.

    The metadata of the stream holds the full schema of the version as JSON. Values of media columns have no ``uri``:
    the location of linked files on the server is private.

    Args:
        version: The version to read.
        columns: Names of the columns, in addition to the key.
        rows: Row positions.

    Returns:
        Iterator over the bytes of the stream, one chunk per record batch.
    """
    schema = arrow_schema(version.schema.select(columns), position=False)
    schema = schema.with_metadata({SCHEMA_METADATA: version.snapshot.table.schema.metadata[SCHEMA_METADATA]})
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, schema) as writer:
        yield _drain(buffer)
        for table in version.snapshot.batches([KEY, *columns], rows, _BATCH_ROWS):
            arrays = [_without_uris(version, name, table.column(name)) for name in (KEY, *columns)]
            for batch in pa.Table.from_arrays(arrays, names=[KEY, *columns]).cast(schema).combine_chunks().to_batches():
                writer.write_batch(batch)
            yield _drain(buffer)
    yield _drain(buffer)


def _without_uris(version: DatasetVersion, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if name == KEY or version.schema[name].kind not in _MEDIA_KINDS:
        return column
    array = column.combine_chunks()
    fields = list(array.type)
    children = [
        pa.nulls(len(array), field.type) if field.name == "uri" else array.field(field.name) for field in fields
    ]
    return pa.chunked_array([pa.StructArray.from_arrays(children, fields=fields, mask=array.is_null())])


def _drain(buffer: io.BytesIO) -> bytes:
    content = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return content
