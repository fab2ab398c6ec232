"""Streamed downloads: one file in chunks, or several as a ZIP archive that is created on the fly."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CHUNK_BYTES = 1 << 20
# The earliest date that ZIP can hold; a fixed one makes equal files give equal archives.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def iter_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Read a file in chunks, since it may be larger than the memory, and close it."""
    with stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


class _Buffer(io.RawIOBase):
    """Write-only file that holds what was written since the last :meth:`drain`."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        self._chunks.append(bytes(data))
        return len(self._chunks[-1])

    def drain(self) -> bytes:
        content = b"".join(self._chunks)
        self._chunks.clear()
        return content


def stream_zip(files: Mapping[str, Callable[[], BinaryIO]]) -> Iterator[bytes]:
    """Create an uncompressed ZIP archive in chunks.

    Args:
        files: Functions that open the files, by name in the archive. Each is called when the archive reaches it.
    """
    buffer = _Buffer()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, open_file in files.items():
            # force_zip64: the size is not known in advance and may exceed 2 GiB.
            with (
                open_file() as source,
                archive.open(zipfile.ZipInfo(name, _ZIP_EPOCH), "w", force_zip64=True) as target,
            ):
                while chunk := source.read(_CHUNK_BYTES):
                    target.write(chunk)
                    yield buffer.drain()
    yield buffer.drain()
