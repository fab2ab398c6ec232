"""Files that are sent bit by bit, one or several as a ZIP archive that is made meanwhile."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_PIECE = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pieces_of(stream: BinaryIO) -> Iterator[bytes]:
    """A file bit by bit: it may be larger than the memory."""
    with stream:
        while piece := stream.read(_PIECE):
            yield piece


class _Sink(io.RawIOBase):
    """Where an archive is written to; what is there is taken away bit by bit."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        found, self._pieces = b"".join(self._pieces), []
        return found


def zipped(files: Mapping[str, Callable[[], BinaryIO]]) -> Iterator[bytes]:
    """The archive in pieces; each file is opened when its turn comes, and never held as a whole."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as packed:
        for name, opened in files.items():
            with opened() as source, packed.open(zipfile.ZipInfo(name, _EPOCH), "w", force_zip64=True) as target:
                while piece := source.read(_PIECE):
                    target.write(piece)
                    yield sink.taken()
    yield sink.taken()
