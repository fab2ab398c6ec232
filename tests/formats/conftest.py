"""What the tests of formats share: small images, datasets in memory, and reading all of a source."""

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
from tests.support.small_limits import check_read_alike

from saccade.core.registry import Registry
from saccade.core.report import Report
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats import images
from saccade.formats.base import Format, Reading, Record


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
    **more: Kind,
) -> Reading:
    infos = tuple(ClassInfo(each) if isinstance(each, str) else each for each in classes)
    columns = [Column("image", Kind.IMAGE), Column(str(labels), labels, infos)]
    columns += [Column(name, kind) for name, kind in more.items()]
    return Reading(Schema(tuple(columns)), iter(list(records)))


@dataclass(frozen=True)
class Read:
    """All of a source, and the report."""

    schema: Schema
    records: Mapping[str, Record]
    report: Report
    total: int | None

    def values(self, column: str) -> dict[str, Any]:
        return {key: each.values.get(column) for key, each in self.records.items()}

    def reasons(self) -> dict[tuple[str, str], int]:
        return {(str(action), reason): count for (action, reason), count in self.report.counts().items()}


def read_all(part: Format, source: Path, **options: Any) -> Read:
    report = Report()
    reading = part.read(source, report, **options)
    records = list(reading.records)
    by_key = {each.key: each for each in records}
    assert len(by_key) == len(records)
    check_read_alike(part, source, options)
    return Read(reading.schema, by_key, report, reading.total)


def write_all(part: Format, reading: Reading, destination: Path, **options: Any) -> Report:
    report = Report()
    destination.mkdir(exist_ok=True)
    part.write(reading, destination, report, **options)
    return report


@pytest.fixture(scope="session")
def formats() -> Registry[Format]:
    """All formats, 'images' among them."""
    registry: Registry[Format] = Registry("format", "saccade.formats")
    if "images" not in registry:
        registry.register("images", images.FORMAT)
    return registry


@pytest.fixture
def lay(tmp_path: Path) -> Callable[[Mapping[str, str | bytes | None]], Path]:
    """Lays files out below a fresh folder: text, bytes, or None for a small image."""

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
