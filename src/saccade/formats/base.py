"""The interface of all formats, and their registry.

A :class:`Format` names a dataset format. Its reader opens a source as a :class:`RecordStream`: a schema, and one
:class:`Record` for each item, read while the caller iterates. Its writer takes a schema and then the records, one by
one, and writes what needs all of them when it is closed. Neither holds a dataset in memory: what grows with the number
of items spills to temporary files. Whatever a format cannot express goes to the conversion report, never lost silently.

    stream = FORMATS.get("coco").reader(source, report).open()
    with FORMATS.get("yolo").writer(stream.schema, destination, report) as writer:
        for record in stream.records:
            writer.add(record)

:meth:`Format.read` and :meth:`Format.write` are the short forms of the two.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from saccade.core.registry import Registry
from saccade.core.report import ConversionReport
from saccade.core.schema import Schema, Value

SizeWH = tuple[int, int]
"""Width and height in pixels."""


class MediaSource(Protocol):
    """The image or video of a record: a file, or bytes inside another file."""

    @property
    def name(self) -> str:
        """File name with extension."""
        ...

    @property
    def path(self) -> Path | None:
        """The local file, or None if the bytes have no file of their own."""
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
        # One read fetches the whole file; Path.read_bytes makes several more system calls, for every image.
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            pieces = [os.read(descriptor, os.fstat(descriptor).st_size + 1)]
            while piece := os.read(descriptor, 1 << 20):
                pieces.append(piece)
        finally:
            os.close(descriptor)
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class InMemoryFile:
    """A media source whose bytes were read from inside another file."""

    name: str
    data: bytes
    path: Path | None = None

    def read(self) -> bytes:
        return self.data


@dataclass(frozen=True, slots=True)
class Record:
    """One item, as it is read from or written to a format.

    Attributes:
        values: all columns except the image or video itself.
        size_wh: width and height after EXIF orientation. When reading: what the source states, or None.
            When writing: the true size.
        frame: index of the video frame or page that the image is; None if it is the whole file. Set when reading.
        group: items of one group must stay in the same split, such as the frames of a video; "" for an item on its own.
    """

    key: str
    media: MediaSource | None
    values: Mapping[str, Value] = field(default_factory=dict)
    size_wh: SizeWH | None = None
    frame: int | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class RecordStream:
    """A dataset as a stream of records.

    Attributes:
        schema: first the column ``image`` (kind image) or ``video`` (kind video), then the labels (``objects``,
            ``label``, …), then ``split`` (text) if the source has splits.
        records: may be iterated once.
        total: the number of records, or None if it is not known in advance.
    """

    schema: Schema
    records: Iterator[Record]
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """Whether a source is of a format, with the reason as a sentence part."""

    matches: bool
    reason: str


class Reader(ABC):
    """Reads one source."""

    @abstractmethod
    def open(self) -> RecordStream:
        """Return the schema and the stream of records. To be called once.

        Raises:
            FormatError: if the source as a whole cannot be read. Faulty entries only go to the report.
        """


class Writer(ABC):
    """Writes the records of one dataset, as a context manager.

    If the block fails, open files are closed and nothing more is written.
    """

    def __init__(self) -> None:
        self._open_files = ExitStack()

    @abstractmethod
    def add(self, record: Record) -> None:
        """Write one record with its media; what the format cannot express goes to the report."""

    @abstractmethod
    def _finish(self) -> None:
        """Write what needs all records, and report what was counted over all of them."""

    def close(self) -> None:
        """Finish the dataset and close all files."""
        # The files are closed even if the last step fails.
        with self._open_files:
            self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error_type is None:
            self.close()
        else:
            self._open_files.close()


class Format(ABC):
    """A dataset format.

    Attributes:
        name: identifier in the registry and on the command line.
        title: name for people.
        supports: which labels the format can express, for people.
        fallback: detected only if no other format matches.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    supports: ClassVar[str]
    fallback: ClassVar[bool] = False

    @abstractmethod
    def detect(self, source: Path) -> Detection:
        """Tell whether ``source`` (a folder or a file) is of this format; read as little as possible."""

    @abstractmethod
    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of ``source``.

        Raises:
            FormatError: if an option is unknown or invalid, or the source cannot be read.
        """

    @abstractmethod
    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        """Return a writer into ``destination``, an existing empty folder.

        Raises:
            FormatError: if an option is unknown or invalid, or the format cannot express the schema at all.
        """

    def read(self, source: Path, report: ConversionReport, **options: Any) -> RecordStream:
        """Open ``source``; see :meth:`reader` for the errors."""
        return self.reader(source, report, **options).open()

    def write(self, stream: RecordStream, destination: Path, report: ConversionReport, **options: Any) -> None:
        """Write all records of a stream.

        Args:
            destination: an existing empty folder.
            report: receives what the format cannot express.
            options: options of the format, see :meth:`writer`.
        """
        with self.writer(stream.schema, destination, report, **options) as writer:
            for record in stream.records:
                writer.add(record)


FORMATS: Registry[Format] = Registry("format", "saccade.formats")
