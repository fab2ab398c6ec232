"""LabelMe: files as it writes them, and hostile ones."""

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


def shape(kind: str | None, *points: Sequence[object], label: object = "dog", **more: object) -> dict[str, object]:
    return {
        "label": label,
        "points": list(points),
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
        **more,
    }


def labels(*shapes: object, image: object = "1.png", **more: object) -> str:
    head = {"version": "5.5.0", "flags": {}, "imagePath": image, "imageData": None, "imageHeight": 6, "imageWidth": 8}
    return json.dumps({**head, "shapes": list(shapes), **more})


def png_of(pixels: np.ndarray) -> str:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def test_every_shape(write_source: WriteSource, kit: SimpleNamespace) -> None:
    part = np.array([[255, 0, 255], [0, 255, 0]], np.uint8)
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
                shape("mask", [2, 1], [4, 2], mask=png_of(part)),
                shape("rotation", [1, 1], [5, 1], [5, 3], [1, 3], direction=0),
            ),
        }
    )
    found = [one.geometry for one in kit.read_all(FORMAT, source).records["1"].values["objects"]]
    triangle = Polygon.simple([(1, 1), (5, 1), (5, 5)])
    assert found[:7] == [
        Box(1, 2, 5, 4),
        triangle,
        triangle,
        Ellipse(4, 3, 2, 2, 0),
        Polyline(((1, 1), (2, 2))),
        Polyline(((1, 1), (2, 2), (3, 1))),
        Points(((1.5, 2),)),
    ]
    assert isinstance(found[7], Mask)
    assert mask_to_array(found[7])[1:3, 2:5].tolist() == (part > 0).tolist()
    assert found[7].area() == 3
    assert found[8] == RotatedBox(3, 2, 4, 2, 0)


def test_what_goes_with_a_shape(write_source: WriteSource, kit: SimpleNamespace) -> None:
    one = shape(
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
    read = kit.read_all(
        FORMAT, write_source({"1.png": None, "1.json": labels(one, flags={"night": True, "day": False})})
    )
    (found,) = read.records["1"].values["objects"]
    expected = {"blurred": True, "description": "at the left", "group_id": 3, "colour": "red", "difficult": True}
    assert (found.score, dict(found.attributes)) == (0.5, expected)
    assert read.records["1"].values["flags"] == {"night": True}


def test_labelled_empty_and_not_labelled(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"a.png": None, "a.json": labels(image="a.png"), "b.png": None})
    assert kit.read_all(FORMAT, source).values("objects") == {"a": (), "b": None}


def test_splits_are_the_top_folders(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source(
        {"train/a.png": None, "train/a.json": labels(image="a.png"), "val/b.png": None, "c.png": None}
    )
    read = kit.read_all(FORMAT, source)
    assert read.values("split") == {"a": "train", "b": "val", "c": None}


def test_an_image_of_another_folder_and_one_inside(write_source: WriteSource, kit: SimpleNamespace) -> None:
    data = base64.b64encode(kit.png(8, 6)).decode()
    source = write_source(
        {
            "images/x.png": None,
            "labels/x.json": labels(image="..\\images\\x.png"),
            "inside.json": labels(shape("point", [1, 1]), image="gone.png", imageData=data),
            "lost.json": labels(image="lost.png"),
        }
    )
    read = kit.read_all(FORMAT, source)
    assert set(read.records) == {"images/x", "inside"}
    assert read.records["inside"].media.read() == kit.png(8, 6)
    assert read.reasons()[("set_aside", "image file missing")] == 1


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


@pytest.mark.parametrize(("one", "reason"), HOSTILE, ids=[f"{at} {reason}" for at, (_, reason) in enumerate(HOSTILE)])
def test_bad_shapes_are_said(one: object, reason: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    read = kit.read_all(FORMAT, write_source({"1.png": None, "1.json": labels(one, shape("point", [1, 1]))}))
    assert len(read.records["1"].values["objects"]) in (1, 2)
    assert reason in {finding.reason for finding in read.report}


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 10_000, '{"shapes": 3}', "null"])
def test_bad_files_do_not_stop_the_rest(text: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    read = kit.read_all(
        FORMAT, write_source({"1.png": None, "1.json": text, "2.png": None, "2.json": labels(image="2.png")})
    )
    assert read.values("objects") == {"1": None, "2": ()}
    assert len(read.report) == 1


def test_paths_that_leave_the_folder(write_source: WriteSource, kit: SimpleNamespace) -> None:
    for path in ("/etc/passwd", "../../secret.png", "C:\\secret.png"):
        read = kit.read_all(FORMAT, write_source({"1.png": None, "1.json": labels(image=path)}))
        assert read.values("objects") == {"1": ()}, "the image of the same name is taken"


def test_what_is_written(kit: SimpleNamespace, tmp_path: Path) -> None:
    objects = (
        Object("1", "dog", Box(1, 1, 5, 5), 0.5, None, {"blurred": True, "note": "x"}),
        Object("7", "dog", RotatedBox(4, 3, 2, 2, 45), None, "t1"),
    )
    record = kit.record("a/b", objects=objects, split="train", flags={"night": True})
    reading = kit.dataset([record], [ClassInfo("dog")], split=Kind.TEXT, flags=Kind.TABLE)
    report = kit.write_all(FORMAT, reading, tmp_path)
    data: Any = json.loads((tmp_path / "train/a/b.json").read_text())
    assert (data["imagePath"], data["imageWidth"], data["imageHeight"]) == ("b.png", 8, 6)
    assert data["flags"] == {"night": True}
    assert [one["shape_type"] for one in data["shapes"]] == ["rectangle", "polygon"]
    assert data["shapes"][0]["flags"] == {"blurred": True}
    assert data["shapes"][1]["saccade"] == {"id": "7", "track": "t1"}
    assert {finding.reason for finding in report} == {"shape of a rotated box, written as polygon"}


def test_ids_are_kept_behind_a_shape_that_cannot_be_written(kit: SimpleNamespace, tmp_path: Path) -> None:
    nothing = Mask(8, 6, (48,))
    shapes: tuple[Geometry, ...] = (Box(0, 0, 1, 1), nothing, Box(2, 2, 4, 4))
    objects = tuple(Object(str(at), "dog", shape) for at, shape in enumerate(shapes, 1))
    kit.write_all(FORMAT, kit.dataset([kit.record("a", objects=objects)], [ClassInfo("dog")]), tmp_path)
    assert [one.id for one in kit.read_all(FORMAT, tmp_path).records["a"].values["objects"]] == ["1", "3"]
