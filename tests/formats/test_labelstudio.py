"""Label Studio: tasks as it exports them, and hostile ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.geometry import mask_from_array, mask_to_array
from saccade.core.objects import Box, Ellipse, Mask, Object, Points, Polygon, RotatedBox
from saccade.core.schema import ClassInfo, Kind
from saccade.formats.labelstudio import FORMAT
from saccade.formats.labelstudio.regions import decode_rle, encode_rle

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]


def region(kind: str, value: Mapping[str, object], name: str = "dog", **more: object) -> dict[str, object]:
    head = {"id": "r1", "type": kind, "from_name": "x", "to_name": "image", "original_width": 8, "original_height": 6}
    return {**head, "value": {**value, kind: [name]}, **more}


def task(*results: object, image: str = "/data/upload/1/0123abcd-a.png", **more: object) -> dict[str, object]:
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": list(results)}], "predictions": [], **more}


def read(kit: SimpleNamespace, write_source: WriteSource, *tasks: object) -> SimpleNamespace:
    found: SimpleNamespace = kit.read_all(
        FORMAT, write_source({"export.json": json.dumps(tasks), "images/a.png": None})
    )
    return found


def test_every_region(write_source: WriteSource, kit: SimpleNamespace) -> None:
    found = read(
        kit,
        write_source,
        task(
            region("rectanglelabels", {"x": 25, "y": 50, "width": 50, "height": 25, "rotation": 0}, id="a"),
            region("rectanglelabels", {"x": 50, "y": 0, "width": 25, "height": 50, "rotation": 90}, id="b"),
            region("polygonlabels", {"points": [[0, 0], [100, 0], [100, 100]]}, id="c"),
            region("ellipselabels", {"x": 50, "y": 50, "radiusX": 25, "radiusY": 50, "rotation": 10}, id="d"),
            region("keypointlabels", {"x": 50, "y": 50, "width": 1}, id="e", score=0.5),
            {"id": "f", "type": "choices", "value": {"choices": ["night", "fog"]}},
        ),
    )
    objects = found.records["a"].values["objects"]
    assert [one.id for one in objects] == ["a", "b", "c", "d", "e"]
    assert objects[0].geometry == Box(2, 3, 6, 4.5)
    turned = objects[1].geometry
    assert isinstance(turned, RotatedBox)
    assert (turned.width, turned.height, turned.angle) == (2, 3, 90)
    np.testing.assert_allclose(turned.corners(), [(4, 0), (4, 2), (1, 2), (1, 0)], atol=1e-9)
    assert objects[2].geometry == Polygon.simple([(0, 0), (8, 0), (8, 6)])
    assert objects[3].geometry == Ellipse(4, 3, 2, 3, 10)
    assert (objects[4].geometry, objects[4].score) == (Points(((4, 3),)), 0.5)
    assert found.values("labels") == {"a": ("night", "fog")}


def test_the_annotation_that_counts(write_source: WriteSource, kit: SimpleNamespace) -> None:
    old, new = ({"result": [region("keypointlabels", {"x": x, "y": 1}, name)]} for x, name in ((1, "old"), (2, "new")))
    cancelled = {"result": [], "was_cancelled": True}
    found = read(kit, write_source, task(annotations=[old, new, cancelled]))
    assert [one.class_name for one in found.records["a"].values["objects"]] == ["new"]
    assert ("dropped", "all but the last annotation of a task") in found.reasons()


def test_predictions_labelled_empty_and_not_labelled(write_source: WriteSource, kit: SimpleNamespace) -> None:
    drawn = {"score": 0.7, "result": [region("keypointlabels", {"x": 1, "y": 1})]}
    source = write_source(
        {
            "export.json": json.dumps([task(), task(image="b.png", annotations=[], predictions=[drawn])]),
            "images/a.png": None,
            "images/b.png": None,
        }
    )
    found = kit.read_all(FORMAT, source)
    assert found.values("objects") == {"a": (), "b": None}
    (guess,) = found.records["b"].values["predictions"]
    assert (guess.class_name, guess.score) == ("dog", 0.7)


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/1/0123abcd-a.png",
        "a.png",
        "/data/local-files/?d=images%2Fa.png",
        "s3://bucket/images/a.png",
        "http://host/images/a.png?sig=x",
        "images\\a.png",
    ],
)
def test_addresses_of_images(address: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    assert set(read(kit, write_source, task(image=address)).records) == {"a"}


def test_images_that_are_not_there(write_source: WriteSource, kit: SimpleNamespace) -> None:
    found = read(kit, write_source, task(image="../../etc/b.png"), task(), task())
    assert set(found.records) == {"a"}
    assert found.reasons() == {("set_aside", "image file missing"): 1, ("set_aside", "second task of an image"): 1}


NAN = float("nan")
HOSTILE = [
    (region("rectanglelabels", {"x": NAN, "y": 1, "width": 1, "height": 1}), "object without a usable shape"),
    (region("rectanglelabels", {"x": 1, "y": 1, "width": -1, "height": 1}), "object without a usable shape"),
    (region("rectanglelabels", {"x": "1"}), "object without a usable shape"),
    (region("polygonlabels", {"points": [[1, 1], [2]]}), "object without a usable shape"),
    (region("brushlabels", {"rle": [1, 2, 3]}), "object without a usable shape"),
    (region("brushlabels", {"rle": ["x"]}), "object without a usable shape"),
    (region("brushlabels", {"rle": [255] * 40}), "object without a usable shape"),
    (region("videorectangle", {}), "region of a kind that is not known"),
    (region("rectanglelabels", {"x": 1}, name=""), "object without a class"),
    ({"type": "rectanglelabels", "value": None}, "object without a class"),
]


@pytest.mark.parametrize(("one", "reason"), HOSTILE, ids=[f"{at} {reason}" for at, (_, reason) in enumerate(HOSTILE)])
def test_bad_regions_are_said(
    one: dict[str, object], reason: str, write_source: WriteSource, kit: SimpleNamespace
) -> None:
    found = read(kit, write_source, task(one, region("keypointlabels", {"x": 1, "y": 1}, id="good")))
    assert [made.id for made in found.records["a"].values["objects"]] == ["good"]
    assert {finding.reason for finding in found.report} == {reason}


@pytest.mark.parametrize("text", ["[]", "{}", "[1]", '[{"data": {}}]', "", "[" * 5000])
def test_other_json_is_none_of_it(text: str, write_source: WriteSource) -> None:
    source = write_source({"export.json": text, "a.png": None})
    assert not FORMAT.detect(source).matches
    with pytest.raises(FormatError):
        FORMAT.read(source, None)  # type: ignore[arg-type]  # it is refused before anything is reported


def test_a_mask_as_the_brush_writes_it() -> None:
    values = decode_rle(bytes(encode_rle(mask_from_array(np.array([[1, 1, 1], [0, 0, 0]], bool)))), 24)
    assert values.tolist() == [255] * 12 + [0] * 12
    with pytest.raises(InvalidValueError, match="where 28"):
        decode_rle(bytes(encode_rle(mask_from_array(np.ones((2, 3), bool)))), 28)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_masks_there_and_back(width: int, height: int, seed: int, share: float) -> None:
    mask = mask_from_array(np.random.default_rng(seed).random((height, width)) < share)
    values = decode_rle(bytes(encode_rle(mask)), 4 * width * height)
    assert ((values[3::4] > 0).reshape(height, width) == mask_to_array(mask)).all()


def test_what_is_written(kit: SimpleNamespace, tmp_path: Path) -> None:
    pixels = np.zeros((6, 8), bool)
    pixels[1:3, 2:5] = True
    objects = (
        Object("1", "dog", Box(2, 3, 6, 4.5), 0.5, "t1", {"blurred": True}),
        Object("2", "dog", mask_from_array(pixels)),
    )
    guess = (Object("1", "dog", Points(((4, 3),)), 0.25),)
    record = kit.record("sub/a", objects=objects, predictions=guess)
    report = kit.write_all(FORMAT, kit.dataset([record], [ClassInfo("dog")], predictions=Kind.OBJECTS), tmp_path)
    assert len(report) == 0, list(report)
    (made,) = json.loads((tmp_path / "tasks.json").read_text())
    assert made["data"] == {"image": "/data/local-files/?d=images/sub/a.png"}
    first, second = made["annotations"][0]["result"]
    assert first["value"] == {
        "x": 25,
        "y": 50,
        "width": 50,
        "height": 25,
        "rotation": 0,
        "rectanglelabels": ["dog"],
    }
    assert second["value"]["format"] == "rle"
    again = kit.read_all(FORMAT, tmp_path)
    assert again.records["sub/a"].values["objects"] == objects
    assert isinstance(again.records["sub/a"].values["objects"][1].geometry, Mask)
    assert again.records["sub/a"].values["predictions"] == guess
