"""Mask PNGs in the usual layouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from saccade.core.errors import FormatError
from saccade.core.geometry import mask_from_array
from saccade.core.objects import Box, Object, Points
from saccade.core.registry import Registry
from saccade.formats.base import Format
from saccade.formats.detect import detect_format
from saccade.formats.masks import FORMAT

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]
CLASSES = np.zeros((6, 8), np.uint8)
CLASSES[1:3, 1:4] = 1
CLASSES[4:6, 1:4] = 1
CLASSES[1:3, 5:8] = 2
THINGS = CLASSES.copy()
THINGS[4:6, 1:4] = 3


def png_of(pixels: Any, palette: bool = False) -> bytes:
    out = BytesIO()
    image = Image.fromarray(pixels)
    if palette:
        image = Image.fromarray(pixels, "P")
        image.putpalette([value for at in range(256) for value in (at, 0, 255 - at)])
    image.save(out, "PNG")
    return out.getvalue()


def part(where: Any) -> Any:
    return mask_from_array(where)


def test_numbers_of_classes(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    empty = np.zeros((6, 8), np.uint8)
    source = write_source(
        {
            "images/train/1.png": None,
            "images/val/2.png": None,
            "images/val/3.png": None,
            "masks/train/1.png": png_of(CLASSES),
            "masks/val/2.png": png_of(empty),
            "classes.txt": "background\ncat\n",
        }
    )
    assert detect_format(source, formats)[0] == "masks"
    found = kit.read_all(FORMAT, source)
    assert found.values("objects") == {
        "1": (Object("1", "cat", part(CLASSES == 1)), Object("2", "class-2", part(CLASSES == 2))),
        "2": (),
        "3": None,
    }
    assert found.values("split") == {"1": "train", "2": "val", "3": "val"}


def test_pascal_voc_with_instances_and_void(write_source: WriteSource, kit: SimpleNamespace) -> None:
    classes = CLASSES.copy()
    classes[0] = 255
    source = write_source(
        {
            "JPEGImages/1.png": None,
            "SegmentationClass/1.png": png_of(classes, palette=True),
            "SegmentationObject/1.png": png_of(np.where(classes == 255, 255, THINGS).astype(np.uint8), palette=True),
        }
    )
    found = kit.read_all(FORMAT, source)
    assert found.values("objects")["1"] == (
        Object("1", "class-1", part(THINGS == 1)),
        Object("2", "class-2", part(THINGS == 2)),
        Object("3", "class-1", part(THINGS == 3)),
    )


def test_colours_of_cvat(write_source: WriteSource, kit: SimpleNamespace) -> None:
    colors = np.zeros((6, 8, 3), np.uint8)
    colors[CLASSES == 1] = (250, 50, 83)
    colors[CLASSES == 2] = (1, 2, 3)
    source = write_source(
        {
            "JPEGImages/1.png": None,
            "SegmentationClass/1.png": png_of(colors),
            "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\n",
        }
    )
    found = kit.read_all(FORMAT, source)
    assert [(one.class_name, one.geometry) for one in found.records["1"].values["objects"]] == [
        ("#010203", part(CLASSES == 2)),
        ("cat", part(CLASSES == 1)),
    ]


def test_what_is_covered_is_said(kit: SimpleNamespace, tmp_path: Path) -> None:
    objects = (
        Object("1", "cat", Box(0, 0, 4, 4)),
        Object("2", "dog", Box(2, 2, 6, 6)),
        Object("3", "cat", Box(6, 0, 8, 2)),
        Object("4", "dog", Box(6, 0, 8, 2)),
        Object("5", "dog", Points(((1, 1),))),
    )
    report = kit.write_all(FORMAT, kit.dataset([kit.record("1", objects=objects)], ("cat", "dog")), tmp_path / "out")
    reasons = {(one.object_id, one.reason) for one in report}
    assert ("1", "pixels under another object") in reasons
    assert ("3", "shape that cannot be written") in reasons
    assert ("5", "shape that cannot be written") in reasons
    found = kit.read_all(FORMAT, tmp_path / "out").records["1"].values["objects"]
    assert [(one.class_name, one.geometry.area()) for one in found] == [("cat", 12), ("dog", 16), ("dog", 4)]


def test_masks_that_are_none(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source(
        {
            "images/1.png": None,
            "masks/1.png": b"not a png",
            "images/2.png": None,
            "masks/2.png": png_of(np.ones((3, 3), np.uint8)),
            "images/3.png": None,
        }
    )
    found = kit.read_all(FORMAT, source)
    assert found.reasons() == {
        ("dropped", "mask that cannot be read"): 1,
        ("dropped", "mask of another size than its image"): 1,
    }
    with pytest.raises(FormatError, match="no folder of masks"):
        kit.read_all(FORMAT, source / "images")
