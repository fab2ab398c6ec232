"""Written files match files that were written by hand after each format's documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from saccade.core.objects import Box, Keypoints, Mask, Object, Polygon
from saccade.core.registry import Registry
from saccade.core.schema import ClassInfo, Kind
from saccade.formats.base import Format, RecordStream

CLASSES = (ClassInfo("cup", "kitchen"), ClassInfo("Hände", keypoints=("tip", "base"), skeleton=((0, 1),)))
OBJECTS = (
    Object("1", "cup", Box(1.5, 2, 4, 5.25), 0.75, "t1", {"difficult": True}),
    Object("2", "cup", Polygon.simple([(0, 0), (4, 0), (4, 3)])),
    Object("3", "Hände", Mask(8, 6, (1, 4, 3, 2, 38)), attributes={"crowd": True}),
    Object("4", "Hände", Keypoints(((2.5, 1.5), (5, 4)), (2, 0), Box(2, 1, 6, 5), 9.5)),
)


def small(kit: Any) -> RecordStream:
    records = [
        kit.record("a", objects=OBJECTS, split="train"),
        kit.record("b/c", objects=(), split=None),
        kit.record("d", objects=None, split=None),
    ]
    stream: RecordStream = kit.dataset(records, CLASSES, split=Kind.TEXT)
    return stream


@pytest.mark.parametrize("name", ["coco", "yolo", "voc"])
def test_written_files_match_golden_files(
    name: str, golden: Path, kit: Any, formats: Registry[Format], tmp_path: Path
) -> None:
    kit.write_all(formats.get(name), small(kit), tmp_path / name)
    expected = {path.relative_to(golden / "written") for path in (golden / "written" / name).rglob("*.*")}
    files = {path.relative_to(tmp_path) for path in (tmp_path / name).rglob("*.*")}
    assert {path for path in files if path.suffix != ".png"} == expected
    assert len([path for path in files - expected if "Segmentation" not in str(path)]) == 3
    for path in expected:
        assert _content(tmp_path / path) == _content(golden / "written" / path), path


def _content(path: Path) -> Any:
    """Return the text of a file, the value of JSON, or the canonical form of XML."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    return ElementTree.canonicalize(text) if path.suffix == ".xml" else text
