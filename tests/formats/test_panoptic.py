"""COCO panoptic in its published layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from saccade.core.errors import FormatError
from saccade.core.geometry import mask_from_array
from saccade.core.objects import Object
from saccade.core.registry import Registry
from saccade.core.schema import ClassInfo
from saccade.formats.base import Format
from saccade.formats.detect import detect_format
from saccade.formats.panoptic import FORMAT

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]


def test_published_layout(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    numbers = np.zeros((6, 8), np.int64)
    numbers[:2], numbers[2:4], numbers[4, :3] = 70_000, 300, 5
    colors = np.stack([numbers & 0xFF, numbers >> 8 & 0xFF, numbers >> 16], axis=-1).astype(np.uint8)
    png = BytesIO()
    Image.fromarray(colors).save(png, "PNG")
    data = {
        "images": [
            {"id": 1, "file_name": "1.png", "width": 8, "height": 6},
            {"id": 2, "file_name": "2.png"},
            {"id": 3, "file_name": "gone.jpg"},
        ],
        "annotations": [
            {
                "image_id": 1,
                "file_name": "1.png",
                "segments_info": [
                    {"id": 70_000, "category_id": 7, "iscrowd": 0},
                    {"id": 300, "category_id": 8, "iscrowd": 1},
                ],
            },
        ],
        "categories": [
            {"id": 7, "name": "cat", "supercategory": "animal", "isthing": 1, "color": [1, 2, 255]},
            {"id": 8, "name": "sky", "supercategory": "sky", "isthing": 0},
        ],
    }
    source = write_source(
        {
            "annotations/panoptic_val2017.json": json.dumps(data),
            "annotations/panoptic_val2017/1.png": png.getvalue(),
            "val2017/1.png": None,
            "val2017/2.png": None,
        }
    )
    assert detect_format(source, formats)[0] == "panoptic"
    result = kit.read_all(FORMAT, source)
    key, unlabelled_key = "val2017/1", "val2017/2"
    assert result.values("objects") == {
        key: (
            Object("300", "sky", mask_from_array(numbers == 300), attributes={"crowd": True}),
            Object("70000", "cat", mask_from_array(numbers == 70_000)),
        ),
        unlabelled_key: None,
    }
    assert result.schema["objects"].classes == (ClassInfo("cat", "animal", "#0102ff"), ClassInfo("sky"))
    assert result.values("split") == {key: "val", unlabelled_key: "val"}
    assert result.reasons() == {
        ("dropped", "segment without a class"): 1,
        ("skipped", "image file missing"): 1,
    }


def test_other_source(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"annotations/instances.json": '{"images": [], "annotations": []}', "1.png": None})
    assert not FORMAT.detect(source).matches
    with pytest.raises(FormatError, match="segments_info"):
        kit.read_all(FORMAT, source)
