"""LabelMe, with files as it writes them, and hostile ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from saccade.core.geometry import mask_to_array
from saccade.core.objects import Box, Ellipse, Geometry, Mask, Object, Points, Polygon, Polyline, RotatedBox
from saccade.core.schema import ClassInfo, Kind
from saccade.formats.labelme import FORMAT

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]


def shape(kind: str | None, *points: Sequence[object], label: object = "dog", **fields: object) -> dict[str, object]:
    return {
        "label": label,
        "points": list(points),
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
        **fields,
    }


def labels(*shapes: object, image: object = "1.png", **fields: object) -> str:
    head = {"version": "5.5.0", "flags": {}, "imagePath": image, "imageData": None, "imageHeight": 6, "imageWidth": 8}
    return json.dumps({**head, "shapes": list(shapes), **fields})


def encoded_png(pixels: np.ndarray) -> str:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def test_all_shape_types(write_source: WriteSource, kit: SimpleNamespace) -> None:
    crop = np.array([[255, 0, 255], [0, 255, 0]], np.uint8)
    source = write_source(
        {
            "1.png": None,
            "1.json": labels(
                shape("rectangle", [5, 4], [1, 2]),
                shape("polygon", [1, 1], [5, 1], [5, 5]),
                shape(None, [1, 1], [5, 1], [5, 5]),
                shape("circle", [4, 3], [6, 3]),
                shape("line", [1, 1], [2, 2]),
                shape("linestrip", [1, 1], [2, 2], [3, 1]),
                shape("point", [1.5, 2]),
                shape("mask", [2, 1], [4, 2], mask=encoded_png(crop)),
                shape("rotation", [1, 1], [5, 1], [5, 3], [1, 3], direction=0),
            ),
        }
    )
    geometries = [obj.geometry for obj in kit.read_all(FORMAT, source).records["1"].values["objects"]]
    triangle = Polygon.simple([(1, 1), (5, 1), (5, 5)])
    assert geometries[:7] == [
        Box(1, 2, 5, 4),
        triangle,
        triangle,
        Ellipse(4, 3, 2, 2, 0),
        Polyline(((1, 1), (2, 2))),
        Polyline(((1, 1), (2, 2), (3, 1))),
        Points(((1.5, 2),)),
    ]
    assert isinstance(geometries[7], Mask)
    assert mask_to_array(geometries[7])[1:3, 2:5].tolist() == (crop > 0).tolist()
    assert geometries[7].area() == 3
    assert geometries[8] == RotatedBox(3, 2, 4, 2, 0)


def test_attributes_score_and_flags(write_source: WriteSource, kit: SimpleNamespace) -> None:
    labelled_shape = shape(
        "rectangle",
        [1, 1],
        [5, 5],
        flags={"blurred": True},
        description="at the left",
        group_id=3,
        score=0.5,
        attributes={"colour": "red"},
        difficult=True,
    )
    result = kit.read_all(
        FORMAT, write_source({"1.png": None, "1.json": labels(labelled_shape, flags={"night": True, "day": False})})
    )
    (obj,) = result.records["1"].values["objects"]
    expected = {"blurred": True, "description": "at the left", "group_id": 3, "colour": "red", "difficult": True}
    assert (obj.score, dict(obj.attributes)) == (0.5, expected)
    assert result.records["1"].values["flags"] == {"night": True}


def test_empty_and_unlabelled_images(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"a.png": None, "a.json": labels(image="a.png"), "b.png": None})
    assert kit.read_all(FORMAT, source).values("objects") == {"a": (), "b": None}


def test_top_folders_are_splits(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source(
        {"train/a.png": None, "train/a.json": labels(image="a.png"), "val/b.png": None, "c.png": None}
    )
    result = kit.read_all(FORMAT, source)
    assert result.values("split") == {"a": "train", "b": "val", "c": None}


def test_image_in_another_folder_and_embedded_image(write_source: WriteSource, kit: SimpleNamespace) -> None:
    data = base64.b64encode(kit.png(8, 6)).decode()
    source = write_source(
        {
            "images/x.png": None,
            "labels/x.json": labels(image="..\\images\\x.png"),
            "embedded.json": labels(shape("point", [1, 1]), image="gone.png", imageData=data),
            "lost.json": labels(image="lost.png"),
        }
    )
    result = kit.read_all(FORMAT, source)
    assert set(result.records) == {"images/x", "embedded"}
    assert result.records["embedded"].media.read() == kit.png(8, 6)
    assert result.reasons()[("skipped", "image file missing")] == 1


HOSTILE = [
    (shape("rectangle", [1, 1], [float("nan"), 5]), "object without a usable shape"),
    (shape("rectangle", [1, 1], ["5", 5]), "object without a usable shape"),
    (shape("polygon", [1, 1], [2, 2]), "object without a usable shape"),
    (shape("polygon", [1, 1, 1]), "object without a usable shape"),
    (shape("star", [1, 1]), "shape of a kind that is not known"),
    (shape("mask", [1, 1], [2, 2], mask="%%%"), "object without a usable shape"),
    (shape("mask", [1, 1], [2, 2], mask=base64.b64encode(b"GIF89a").decode()), "object without a usable shape"),
    (shape("rectangle", [1, 1], [5, 5], label=None), "object without a class"),
    (shape("rectangle", [1, 1], [5, 5], label=""), "object without a class"),
    ("no shape", "object without a class"),
    (shape("rectangle", [1, 1], [1, 5]), "box without area"),
    (shape("rectangle", [1, 1], [5, 5], flags={"x": [1]}), "attribute that is not text, a number or a boolean"),
]


@pytest.mark.parametrize(
    ("bad_shape", "reason"), HOSTILE, ids=[f"{index} {reason}" for index, (_, reason) in enumerate(HOSTILE)]
)
def test_bad_shapes_are_reported(
    bad_shape: object, reason: str, write_source: WriteSource, kit: SimpleNamespace
) -> None:
    result = kit.read_all(FORMAT, write_source({"1.png": None, "1.json": labels(bad_shape, shape("point", [1, 1]))}))
    assert len(result.records["1"].values["objects"]) in (1, 2)
    assert reason in {finding.reason for finding in result.report}


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 10_000, '{"shapes": 3}', "null"])
def test_bad_files_do_not_stop_the_rest(text: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    result = kit.read_all(
        FORMAT, write_source({"1.png": None, "1.json": text, "2.png": None, "2.json": labels(image="2.png")})
    )
    assert result.values("objects") == {"1": None, "2": ()}
    assert len(result.report) == 1


def test_paths_outside_the_source(write_source: WriteSource, kit: SimpleNamespace) -> None:
    for path in ("/etc/passwd", "../../secret.png", "C:\\secret.png"):
        result = kit.read_all(FORMAT, write_source({"1.png": None, "1.json": labels(image=path)}))
        assert result.values("objects") == {"1": ()}, "the image with the name of the label file is used"


def test_written_json(kit: SimpleNamespace, tmp_path: Path) -> None:
    objects = (
        Object("1", "dog", Box(1, 1, 5, 5), 0.5, None, {"blurred": True, "note": "x"}),
        Object("7", "dog", RotatedBox(4, 3, 2, 2, 45), None, "t1"),
    )
    record = kit.record("a/b", objects=objects, split="train", flags={"night": True})
    stream = kit.dataset([record], [ClassInfo("dog")], split=Kind.TEXT, flags=Kind.TABLE)
    report = kit.write_all(FORMAT, stream, tmp_path)
    data: Any = json.loads((tmp_path / "train/a/b.json").read_text())
    assert (data["imagePath"], data["imageWidth"], data["imageHeight"]) == ("b.png", 8, 6)
    assert data["flags"] == {"night": True}
    assert [entry["shape_type"] for entry in data["shapes"]] == ["rectangle", "polygon"]
    assert data["shapes"][0]["flags"] == {"blurred": True}
    assert data["shapes"][1]["saccade"] == {"id": "7", "track": "t1"}
    assert {finding.reason for finding in report} == {"shape of a rotated box, written as polygon"}


def test_ids_after_a_shape_that_cannot_be_written(kit: SimpleNamespace, tmp_path: Path) -> None:
    empty_mask = Mask(8, 6, (48,))
    geometries: tuple[Geometry, ...] = (Box(0, 0, 1, 1), empty_mask, Box(2, 2, 4, 4))
    objects = tuple(Object(str(number), "dog", geometry) for number, geometry in enumerate(geometries, 1))
    kit.write_all(FORMAT, kit.dataset([kit.record("a", objects=objects)], [ClassInfo("dog")]), tmp_path)
    assert [obj.id for obj in kit.read_all(FORMAT, tmp_path).records["a"].values["objects"]] == ["1", "3"]
