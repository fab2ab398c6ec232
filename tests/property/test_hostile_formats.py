"""Label files that are damaged on purpose: read as far as they make sense, or refused, and never a crash.

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
from tests.support.small_limits import as_if_large

from saccade.core.errors import SaccadeError
from saccade.core.geometry import mask_from_array
from saccade.core.objects import Box, Ellipse, Geometry, Keypoints, Object, Points, Polygon, Polyline, RotatedBox
from saccade.core.report import Report
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats.base import FORMATS, Format, LocalFile, Reading, Record

ROUNDS = int(os.environ.get("SACCADE_FUZZ", "12"))
LABELS = [name for name in FORMATS.names() if name not in ("images", "folders", "videos")]
ODD: list[Any] = [
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
CELLS = ["", "nan", "inf", "-1", "1e999", "x", "\0", "9" * 400, "../x", '"', "0.5", "\ufeff", "é" * 3, "1 2 3", ","]


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
        made = {"s/000001": objects, "s/000002": (), "s/000003": None, "s/000004": objects[:3]}
        records = [
            Record(key, LocalFile(picture), {"objects": value, "split": "train"}, (40, 30))
            for key, value in made.items()
        ]
        folder = root / name
        folder.mkdir()
        FORMATS.get(name).write(Reading(Schema(columns), iter(records), len(records)), folder, Report())
    return root


def harm_json(value: Any, chance: random.Random) -> Any:
    """The value with something odd in one place."""
    if chance.random() < 0.15 or not isinstance(value, dict | list) or not value:
        return chance.choice(ODD)
    if isinstance(value, dict):
        name = chance.choice(list(value))
        if chance.random() < 0.1:
            return {other: inner for other, inner in value.items() if other != name}
        return {**value, name: harm_json(value[name], chance)}
    at = chance.randrange(len(value))
    if chance.random() < 0.1:
        return [*value, *value[at : at + 1]]
    return [*value[:at], harm_json(value[at], chance), *value[at + 1 :]]


def harm_bytes(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(made) + 1)
        made[at : at + chance.choice([0, 1, 1, 4, 30])] = bytes(
            chance.choice([b"", b"\0", b"\xff", b"9", b"-", b"{", b"<", b"&a;", b"\n", b",", b'"', b"nan", b"]" * 9])
        )
    return bytes(made)


def harm_cells(data: bytes, chance: random.Random) -> bytes:
    lines = data.decode("utf-8", "replace").split("\n")
    at = chance.randrange(len(lines))
    for mark in (",", " ", ":"):
        parts = lines[at].split(mark)
        if len(parts) > 2:
            parts[chance.randrange(len(parts))] = chance.choice(CELLS)
            lines[at] = mark.join(parts)
            break
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def harm(path: Path, chance: random.Random) -> None:
    data = path.read_bytes()
    way: Callable[[bytes, random.Random], bytes] = chance.choice([harm_bytes, harm_cells])
    if path.suffix in (".json", ".geojson", ".jsonl") and chance.random() < 0.8:
        try:
            text = data.decode().split("\n") if path.suffix == ".jsonl" else [data.decode()]
            place = chance.randrange(len(text))
            text[place] = json.dumps(harm_json(json.loads(text[place]), chance))
            path.write_bytes("\n".join(text).encode())
            return
        except ValueError:
            pass
    path.write_bytes(way(data, chance) if data else b"\0")


def read_all(part: Format, source: Path) -> Any:
    """What is read, or why nothing is."""
    report = Report()
    found = []
    try:
        for record in part.read(source, report).records:
            assert record.key
            if record.media is not None:
                record.media.read()
            found.append((record.key, repr(dict(record.values)), record.size_wh))
    except (SaccadeError, OSError) as error:
        told = str(error)
        assert told, "an error says what is wrong"
        return type(error)
    return found, json.dumps(report.to_json())


@pytest.mark.parametrize("name", LABELS)
def test_damaged_label_files(name: str, sources: Path, tmp_path: Path) -> None:
    part, chance = FORMATS.get(name), random.Random(f"{name} {ROUNDS}")
    files = [path.relative_to(sources / name) for path in sorted((sources / name).rglob("*")) if path.is_file()]
    labels = [path for path in files if path.suffix.lower() != ".png" or "mask" in name or name == "panoptic"]
    for number in range(ROUNDS):
        source = tmp_path / str(number)
        shutil.copytree(sources / name, source)
        for _ in range(chance.choice([1, 1, 2, 3])):
            harm(source / chance.choice(labels), chance)
        try:
            part.detect(source)
        except (SaccadeError, OSError) as error:
            told = str(error)
            assert told, "an error says what is wrong"
        held = read_all(part, source)
        with as_if_large():
            assert read_all(part, source) == held
        shutil.rmtree(source)
