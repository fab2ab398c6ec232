"""The contract of formats: what a writer writes, a reader reads back, as far as the format supports it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats.base import Format, LocalFile, Record, RecordStream, Writer

SIZE_WH = (8, 6)
CLASSES = (ClassInfo("cat"), ClassInfo("dog"))
# Boxes of whole pixels that do not overlap, so that formats of masks express them exactly.
OBJECTS = (Object("1", "cat", Box(1, 1, 4, 4), track="1"), Object("2", "dog", Box(5, 1, 7, 5), track="2"))
LABELS: Mapping[str, tuple[Object, ...] | None] = {"s/000001": OBJECTS, "s/000002": (), "s/000003": None}


def check_round_trip(format: Format, folder: Path) -> None:
    """Records are written one by one, and read back with their media and all labels that the format supports."""
    records = list(_records(format, folder))
    destination = folder / "written"
    destination.mkdir()
    report = ConversionReport()
    with format.writer(_schema(format), destination, report) as writer:
        for record in records:
            writer.add(record)
    assert format.detect(destination).matches
    stream = format.reader(destination, report).open()
    assert stream.schema.columns[0].kind is Kind.IMAGE
    result = {record.key: record for record in stream.records}
    assert stream.total in (None, len(result))
    assert result.keys() == {record.key for record in records}
    for record in records:
        assert _media_bytes(result[record.key]) == _media_bytes(record)
        _check_labels(format, result[record.key], record)


def check_failed_write(format: Format, folder: Path) -> None:
    """An error in the block is passed on, and the writer does not finish the dataset."""
    destination = folder / "failed"
    destination.mkdir()
    writer = format.writer(_schema(format), destination, ConversionReport())
    finished: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_finish", lambda: finished.append(True))
        with pytest.raises(RuntimeError, match="the source broke"), writer:
            _add_and_fail(writer, next(_records(format, folder)))
    assert not finished


def check_errors(format: Format, folder: Path) -> None:
    """An unknown option raises FormatError; an empty source raises it too, or has no records."""
    empty = folder / "empty"
    empty.mkdir()
    assert not format.detect(empty).matches
    with suppress(FormatError):
        assert not list(format.reader(empty, ConversionReport()).open().records)
    with pytest.raises(FormatError, match="no option 'colour'"):
        format.reader(empty, ConversionReport(), colour="red")
    with pytest.raises(FormatError, match="no option 'colour'"):
        format.writer(_schema(format), empty, ConversionReport(), colour="red")


def check_lazy(format: Format, folder: Path) -> None:
    """`Format.write` takes one record after another from the stream, and writes each before it takes the next."""
    destination = folder / "lazy"
    destination.mkdir()
    files_before: list[int] = []

    def watched() -> Iterator[Record]:
        for record in _records(format, folder):
            files_before.append(sum(path.is_file() for path in destination.rglob("*")))
            yield record

    format.write(RecordStream(_schema(format), watched()), destination, ConversionReport())
    assert len(files_before) == len(LABELS)
    assert files_before == sorted(files_before)
    assert isinstance(format.read(destination, ConversionReport()).records, Iterator)


def _add_and_fail(writer: Writer, record: Record) -> None:
    writer.add(record)
    raise RuntimeError("the source broke")


def _label_kind(format: Format) -> Kind | None:
    if format.supports.startswith("no labels"):
        return None
    return Kind.LABEL if format.supports.startswith("one class") else Kind.OBJECTS


def _schema(format: Format) -> Schema:
    kind = _label_kind(format)
    labels = () if kind is None else (Column(str(kind), kind, CLASSES),)
    return Schema((Column("image", Kind.IMAGE), *labels))


def _records(format: Format, folder: Path) -> Iterator[Record]:
    kind = _label_kind(format)
    for number, (key, objects) in enumerate(LABELS.items()):
        buffer = BytesIO()
        Image.new("RGB", SIZE_WH, (number, 0, 0)).save(buffer, "PNG")
        path = folder / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(buffer.getvalue())
        values: dict[str, Any] = {}
        if kind is Kind.LABEL:
            values["label"] = objects[0].class_name if objects else None
        elif kind is Kind.OBJECTS:
            values["objects"] = objects
        yield Record(key, LocalFile(path), values, SIZE_WH)


def _media_bytes(record: Record) -> bytes:
    assert record.media is not None
    return record.media.read()


def _check_labels(format: Format, result: Record, record: Record) -> None:
    if _label_kind(format) is Kind.LABEL:
        assert result.values["label"] == record.values["label"]
    elif _label_kind(format) is Kind.OBJECTS:
        objects = record.values["objects"]
        if objects is None:
            # Other formats take an unlabelled image for one without objects.
            assert not result.values["objects"]
            if format.supports.endswith("labelled or not"):
                assert result.values["objects"] is None
            return
        assert result.values["objects"] is not None
        assert _boxes(result.values["objects"]) == _boxes(objects)


def _boxes(objects: tuple[Object, ...]) -> list[tuple[str, tuple[float, ...]]]:
    # Shares of the image's sides and 32-bit floats are exact to far less than a thousandth of a pixel.
    return sorted((obj.class_name, tuple(round(side, 3) for side in obj.geometry.bounds_xyxy())) for obj in objects)


def check_unknown_size(format: Format, folder: Path) -> None:
    """Objects of an image whose size is unknown are written, or reported as lost."""
    if _label_kind(format) is not Kind.OBJECTS:
        return
    destination = folder / "unsized"
    destination.mkdir()
    path = folder / "unsized.png"
    path.write_bytes(b"no image")
    report = ConversionReport()
    # Without tracks, whose loss would be reported too.
    objects = tuple(dataclasses.replace(obj, track=None) for obj in OBJECTS)
    record = Record("s/000001", LocalFile(path), {"objects": objects}, None)
    with format.writer(_schema(format), destination, report) as writer:
        writer.add(record)
    written = 0
    with suppress(FormatError):  # if no image at all was written
        records = format.reader(destination, ConversionReport()).open().records
        written = sum(len(read.values["objects"] or ()) for read in records)
    losses = sum(finding.action in (FindingType.DROPPED, FindingType.SKIPPED) for finding in report)
    assert written == len(OBJECTS) or losses, "objects were lost silently"
