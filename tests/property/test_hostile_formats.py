"""Randomly damaged label files are read as far as possible, or raise FormatError, and never crash.

The number of damaged sources for each format is that of the environment variable SACCADE_FUZZ.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.small_limits import small_limits

from saccade.core.errors import SaccadeError
from saccade.core.geometry import mask_from_array
from saccade.core.objects import Box, Ellipse, Geometry, Keypoints, Object, Points, Polygon, Polyline, RotatedBox
from saccade.core.report import ConversionReport
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats.base import FORMATS, Format, LocalFile, Record, RecordStream
from saccade.formats.reading import read_source

ROUNDS = int(os.environ.get("SACCADE_FUZZ", "12"))
LABELS = [name for name in FORMATS.names() if name not in ("images", "folders", "videos")]
ODD_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    10**40,
    "",
    "x",
    "../../etc/passwd",
    "\0",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    {"": None},
    [1, 2],
    ["a", "b"],
    {"a": {"b": []}},
    "9" * 400,
    [1e400] * 4,
]
ODD_CELLS = ["", "nan", "inf", "-1", "1e999", "x", "\0", "9" * 400, "../x", '"', "0.5", "\ufeff", "é" * 3, "1 2 3", ","]


def png() -> bytes:
    out = BytesIO()
    Image.new("RGB", (40, 30)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset in each format."""
    import numpy as np

    root = tmp_path_factory.mktemp("sources")
    picture = root / "picture.png"
    picture.write_bytes(png())
    pixels = np.zeros((30, 40), bool)
    pixels[3:9, 4:12] = True
    shapes: tuple[Geometry, ...] = (
        Box(1, 2, 10, 12),
        Polygon.simple(((1, 1), (9, 1), (9, 8))),
        mask_from_array(pixels),
        RotatedBox(20, 15, 8, 4, 30),
        Polyline(((1, 1), (5, 5))),
        Points(((3, 3),)),
        Keypoints(((2, 2), (8, 8)), (2, 1)),
        Ellipse(20, 15, 4, 4, 0),
    )
    objects = tuple(
        Object(str(at), "cat" if at % 2 else "dog", shape, 0.5, "7", {"occluded": True, "n": at})
        for at, shape in enumerate(shapes, 1)
    )
    classes = (ClassInfo("cat", "animal", "#102030", ("a", "b"), ((0, 1),)), ClassInfo("dog"))
    columns = (Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, classes), Column("split", Kind.TEXT))
    for name in LABELS:
        objects_by_key = {"s/000001": objects, "s/000002": (), "s/000003": None, "s/000004": objects[:3]}
        records = [
            Record(key, LocalFile(picture), {"objects": value, "split": "train"}, (40, 30))
            for key, value in objects_by_key.items()
        ]
        folder = root / name
        folder.mkdir()
        FORMATS.get(name).write(RecordStream(Schema(columns), iter(records), len(records)), folder, ConversionReport())
    return root


def damage_json(value: Any, rng: random.Random) -> Any:
    """Return a JSON value with one random change."""
    if rng.random() < 0.15 or not isinstance(value, dict | list) or not value:
        return rng.choice(ODD_VALUES)
    if isinstance(value, dict):
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {key: inner for key, inner in value.items() if key != name}
        return {**value, name: damage_json(value[name], rng)}
    index = rng.randrange(len(value))
    if rng.random() < 0.1:
        return [*value, *value[index : index + 1]]
    return [*value[:index], damage_json(value[index], rng), *value[index + 1 :]]


def damage_bytes(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        index = rng.randrange(len(damaged) + 1)
        damaged[index : index + rng.choice([0, 1, 1, 4, 30])] = bytes(
            rng.choice([b"", b"\0", b"\xff", b"9", b"-", b"{", b"<", b"&a;", b"\n", b",", b'"', b"nan", b"]" * 9])
        )
    return bytes(damaged)


def damage_cells(data: bytes, rng: random.Random) -> bytes:
    lines = data.decode("utf-8", "replace").split("\n")
    index = rng.randrange(len(lines))
    for mark in (",", " ", ":"):
        parts = lines[index].split(mark)
        if len(parts) > 2:
            parts[rng.randrange(len(parts))] = rng.choice(ODD_CELLS)
            lines[index] = mark.join(parts)
            break
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def damage_file(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    damage: Callable[[bytes, random.Random], bytes] = rng.choice([damage_bytes, damage_cells])
    if path.suffix in (".json", ".geojson", ".jsonl") and rng.random() < 0.8:
        try:
            text = data.decode().split("\n") if path.suffix == ".jsonl" else [data.decode()]
            index = rng.randrange(len(text))
            text[index] = json.dumps(damage_json(json.loads(text[index]), rng))
            path.write_bytes("\n".join(text).encode())
            return
        except ValueError:
            pass
    path.write_bytes(damage(data, rng) if data else b"\0")


def read_all(format: Format, source: Path) -> Any:
    """Return the records, or the error."""
    report = ConversionReport()
    records = []
    try:
        for record in read_source(format, source, report).records:
            assert record.key
            if record.media is not None:
                record.media.read()
            records.append((record.key, repr(dict(record.values)), record.size_wh))
    except (SaccadeError, OSError) as error:
        message = str(error)
        assert message, "an error must have a message"
        return type(error)
    return records, json.dumps(report.to_json())


@pytest.mark.parametrize("name", LABELS)
def test_damaged_label_files(name: str, sources: Path, tmp_path: Path) -> None:
    format, rng = FORMATS.get(name), random.Random(f"{name} {ROUNDS}")
    files = [path.relative_to(sources / name) for path in sorted((sources / name).rglob("*")) if path.is_file()]
    labels = [path for path in files if path.suffix.lower() != ".png" or "mask" in name or name == "panoptic"]
    for number in range(ROUNDS):
        source = tmp_path / str(number)
        shutil.copytree(sources / name, source)
        for _ in range(rng.choice([1, 1, 2, 3])):
            damage_file(source / rng.choice(labels), rng)
        try:
            format.detect(source)
        except (SaccadeError, OSError) as error:
            message = str(error)
            assert message, "an error must have a message"
        normal = read_all(format, source)
        with small_limits():
            assert read_all(format, source) == normal
        shutil.rmtree(source)
