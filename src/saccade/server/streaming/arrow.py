"""Items as a stream of Arrow record batches."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pyarrow as pa

from saccade.core.schema import KEY, Kind
from saccade.store.arrow.codec import SCHEMA_METADATA, arrow_schema
from saccade.store.datasets.version import DatasetVersion
from saccade.store.table.row_index import Rows

_BATCH = 1024
_MEDIA = (Kind.IMAGE, Kind.VIDEO, Kind.FILE)


def arrow_stream(version: DatasetVersion, columns: Sequence[str], rows: Rows) -> Iterator[bytes]:
    """Rows of a version in Arrow's format for streams, with the whole schema of the version as JSON in the metadata.

    Where linked files lie on the server is its own affair, and is left out.
    """
    schema = arrow_schema(version.schema.select(columns), position=False)
    schema = schema.with_metadata({SCHEMA_METADATA: version.snapshot.table.schema.metadata[SCHEMA_METADATA]})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        yield _taken(sink)
        for table in version.snapshot.batches([KEY, *columns], rows, _BATCH):
            arrays = [_told(version, name, table.column(name)) for name in (KEY, *columns)]
            for batch in pa.Table.from_arrays(arrays, names=[KEY, *columns]).cast(schema).combine_chunks().to_batches():
                writer.write_batch(batch)
            yield _taken(sink)
    yield _taken(sink)


def _told(version: DatasetVersion, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if name == KEY or version.schema[name].kind not in _MEDIA:
        return column
    whole = column.combine_chunks()
    fields = list(whole.type)
    children = [
        pa.nulls(len(whole), field.type) if field.name == "uri" else whole.field(field.name) for field in fields
    ]
    return pa.chunked_array([pa.StructArray.from_arrays(children, fields=fields, mask=whole.is_null())])


def _taken(sink: io.BytesIO) -> bytes:
    found = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return found
