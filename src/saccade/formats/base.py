"""What every format implements, and the registry of formats."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from saccade.core.registry import Registry
from saccade.core.report import Report
from saccade.core.schema import Schema, Value


class MediaSource(Protocol):
    """Where the bytes of an item's image come from or are kept."""

    @property
    def name(self) -> str:
        """The file's name, with its extension."""
        ...

    @property
    def path(self) -> Path | None:
        """The file on this machine, where there is one."""
        ...

    def read(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A media source that is a file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def read(self) -> bytes:
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            pieces = [os.read(descriptor, os.fstat(descriptor).st_size + 1)]
            while piece := os.read(descriptor, 1 << 20):
                pieces.append(piece)
        finally:
            os.close(descriptor)
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Record:
    """One item on its way in or out.

    Attributes:
        values: every column but that of the media.
        size_wh: the image's width and height in pixels after EXIF orientation: on reading what the source states (or
            None), on writing what is true.
        frame: which frame of the media the image is, on reading; None where it is the whole.
        group: what must not be torn apart by a split, such as the video or sequence that it is a frame of; "" where it
            stands alone.
    """

    key: str
    media: MediaSource | None
    values: Mapping[str, Value] = field(default_factory=dict)
    size_wh: tuple[int, int] | None = None
    frame: int | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """A source being read, or a dataset being written: its columns, and its records as a stream.

    ``schema`` has an ``image`` column of kind image first, or a ``video`` column of kind video; then those of the
    labels (``objects``, ``label`` …) and ``split`` (text) where the source has splits. ``total`` is the number of
    records where it is known.
    """

    schema: Schema
    records: Iterator[Record]
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """Whether a source is of a format, and the reason in words for either answer."""

    matches: bool
    reason: str


class Format(Protocol):
    """An outside format. ``holds`` says in words which labels it can hold."""

    name: ClassVar[str]
    title: ClassVar[str]
    holds: ClassVar[str]

    def detect(self, source: Path) -> Detection:
        """Whether ``source`` (a folder or file) is of this format; reads no more than it must."""
        ...

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open ``source``; FormatError where it cannot be read at all. Single bad entries go to the report."""
        ...

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        """Write records, with their media, into the folder ``destination``, which is there and empty."""
        ...


FORMATS: Registry[Format] = Registry("format", "saccade.formats")
