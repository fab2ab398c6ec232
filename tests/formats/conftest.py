"""Fixtures of the format tests: small images, datasets in memory, and reading of a whole source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from tests.support.small_limits import check_same_with_small_limits

from saccade.core.registry import Registry
from saccade.core.report import ConversionReport
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats import images
from saccade.formats.base import Format, Record, RecordStream
from saccade.formats.reading import read_source


@cache
def png(width: int = 8, height: int = 6) -> bytes:
    out = BytesIO()
    Image.new("RGB", (width, height), (90, 120, 30)).save(out, "PNG")
    return out.getvalue()


@dataclass(frozen=True)
class InMemory:
    """A media source without a file."""

    data: bytes
    name: str = "photo.png"
    path: Path | None = None

    def read(self) -> bytes:
        return self.data


def record(key: str, size_wh: tuple[int, int] = (8, 6), **values: Any) -> Record:
    return Record(key, InMemory(png(*size_wh)), values, size_wh)


def dataset(
    records: Iterable[Record],
    classes: Iterable[str | ClassInfo] = (),
    labels: Kind = Kind.OBJECTS,
    **extra: Kind,
) -> RecordStream:
    infos = tuple(ClassInfo(info) if isinstance(info, str) else info for info in classes)
    columns = [Column("image", Kind.IMAGE), Column(str(labels), labels, infos)]
    columns += [Column(name, kind) for name, kind in extra.items()]
    return RecordStream(Schema(tuple(columns)), iter(list(records)))


@dataclass(frozen=True)
class Read:
    """The records of a source, and the report."""

    schema: Schema
    records: Mapping[str, Record]
    report: ConversionReport
    total: int | None

    def values(self, column: str) -> dict[str, Any]:
        return {key: record.values.get(column) for key, record in self.records.items()}

    def reasons(self) -> dict[tuple[str, str], int]:
        return {(str(action), reason): count for (action, reason), count in self.report.counts().items()}


def read_all(format: Format, source: Path, **options: Any) -> Read:
    report = ConversionReport()
    stream = read_source(format, source, report, **options)
    records = list(stream.records)
    by_key = {record.key: record for record in records}
    assert len(by_key) == len(records)
    check_same_with_small_limits(format, source, options)
    return Read(stream.schema, by_key, report, stream.total)


def write_all(format: Format, stream: RecordStream, destination: Path, **options: Any) -> ConversionReport:
    report = ConversionReport()
    destination.mkdir(exist_ok=True)
    format.write(stream, destination, report, **options)
    return report


@pytest.fixture(scope="session")
def formats() -> Registry[Format]:
    """All formats, 'images' among them."""
    registry: Registry[Format] = Registry("format", "saccade.formats")
    if "images" not in registry:
        registry.register("images", images.FORMAT)
    return registry


@pytest.fixture
def write_source(tmp_path: Path) -> Callable[[Mapping[str, str | bytes | None]], Path]:
    """Return a function that writes files into a new folder: text, bytes, or None for a small image."""

    def make(files: Mapping[str, str | bytes | None]) -> Path:
        for name, content in files.items():
            path = tmp_path / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = png() if content is None else content
            path.write_bytes(data.encode() if isinstance(data, str) else data)
        return tmp_path / "source"

    return make


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The helpers of this file, for tests that cannot import it."""
    return SimpleNamespace(
        png=png, InMemory=InMemory, record=record, dataset=dataset, read_all=read_all, write_all=write_all
    )


@pytest.fixture(scope="session")
def golden() -> Path:
    return Path(__file__).parents[1] / "golden" / "formats"
