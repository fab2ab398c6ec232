"""Label Studio, with tasks as it exports them, and hostile ones."""

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
from saccade.formats.labelstudio.rle import decode_rle, encode_rle

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]


def region(type_name: str, value: Mapping[str, object], name: str = "dog", **fields: object) -> dict[str, object]:
    head = {
        "id": "r1",
        "type": type_name,
        "from_name": "x",
        "to_name": "image",
        "original_width": 8,
        "original_height": 6,
    }
    return {**head, "value": {**value, type_name: [name]}, **fields}


def task(*results: object, image: str = "/data/upload/1/0123abcd-a.png", **fields: object) -> dict[str, object]:
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": list(results)}], "predictions": [], **fields}


def read(kit: SimpleNamespace, write_source: WriteSource, *tasks: object) -> SimpleNamespace:
    result: SimpleNamespace = kit.read_all(
        FORMAT, write_source({"export.json": json.dumps(tasks), "images/a.png": None})
    )
    return result


def test_all_region_types(write_source: WriteSource, kit: SimpleNamespace) -> None:
    result = read(
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
    objects = result.records["a"].values["objects"]
    assert [obj.id for obj in objects] == ["a", "b", "c", "d", "e"]
    assert objects[0].geometry == Box(2, 3, 6, 4.5)
    rotated = objects[1].geometry
    assert isinstance(rotated, RotatedBox)
    assert (rotated.width, rotated.height, rotated.angle) == (2, 3, 90)
    np.testing.assert_allclose(rotated.corners(), [(4, 0), (4, 2), (1, 2), (1, 0)], atol=1e-9)
    assert objects[2].geometry == Polygon.simple([(0, 0), (8, 0), (8, 6)])
    assert objects[3].geometry == Ellipse(4, 3, 2, 3, 10)
    assert (objects[4].geometry, objects[4].score) == (Points(((4, 3),)), 0.5)
    assert result.values("labels") == {"a": ("night", "fog")}


def test_only_the_last_annotation_is_read(write_source: WriteSource, kit: SimpleNamespace) -> None:
    old, new = ({"result": [region("keypointlabels", {"x": x, "y": 1}, name)]} for x, name in ((1, "old"), (2, "new")))
    cancelled = {"result": [], "was_cancelled": True}
    result = read(kit, write_source, task(annotations=[old, new, cancelled]))
    assert [obj.class_name for obj in result.records["a"].values["objects"]] == ["new"]
    assert ("dropped", "all but the last annotation of a task") in result.reasons()


def test_predictions_and_empty_and_unlabelled_images(write_source: WriteSource, kit: SimpleNamespace) -> None:
    prediction = {"score": 0.7, "result": [region("keypointlabels", {"x": 1, "y": 1})]}
    source = write_source(
        {
            "export.json": json.dumps([task(), task(image="b.png", annotations=[], predictions=[prediction])]),
            "images/a.png": None,
            "images/b.png": None,
        }
    )
    result = kit.read_all(FORMAT, source)
    assert result.values("objects") == {"a": (), "b": None}
    (obj,) = result.records["b"].values["predictions"]
    assert (obj.class_name, obj.score) == ("dog", 0.7)


@pytest.mark.parametrize(
    "url",
    [
        "/data/upload/1/0123abcd-a.png",
        "a.png",
        "/data/local-files/?d=images%2Fa.png",
        "s3://bucket/images/a.png",
        "http://host/images/a.png?sig=x",
        "images\\a.png",
    ],
)
def test_image_urls(url: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    assert set(read(kit, write_source, task(image=url)).records) == {"a"}


def test_missing_and_repeated_images(write_source: WriteSource, kit: SimpleNamespace) -> None:
    result = read(kit, write_source, task(image="../../etc/b.png"), task(), task())
    assert set(result.records) == {"a"}
    assert result.reasons() == {("skipped", "image file missing"): 1, ("skipped", "second task of an image"): 1}


NAN = float("nan")
HOSTILE = [
    (region("rectanglelabels", {"x": NAN, "y": 1, "width": 1, "height": 1}), "object without a usable shape"),
    (region("rectanglelabels", {"x": 1, "y": 1, "width": None, "height": 1}), "object without a usable shape"),
    (region("rectanglelabels", {"x": "1"}), "object without a usable shape"),
    (region("polygonlabels", {"points": [[1, 1], [2]]}), "object without a usable shape"),
    (region("brushlabels", {"rle": [1, 2, 3]}), "object without a usable shape"),
    (region("brushlabels", {"rle": ["x"]}), "object without a usable shape"),
    (region("brushlabels", {"rle": [255] * 40}), "object without a usable shape"),
    (region("videorectangle", {}), "region of a kind that is not known"),
    (region("rectanglelabels", {"x": 1}, name=""), "object without a class"),
    ({"type": "rectanglelabels", "value": None}, "object without a class"),
]


@pytest.mark.parametrize(
    ("bad_region", "reason"), HOSTILE, ids=[f"{index} {reason}" for index, (_, reason) in enumerate(HOSTILE)]
)
def test_bad_regions_are_reported(
    bad_region: dict[str, object], reason: str, write_source: WriteSource, kit: SimpleNamespace
) -> None:
    result = read(kit, write_source, task(bad_region, region("keypointlabels", {"x": 1, "y": 1}, id="good")))
    assert [obj.id for obj in result.records["a"].values["objects"]] == ["good"]
    assert {finding.reason for finding in result.report} == {reason}


@pytest.mark.parametrize("text", ["[]", "{}", "[1]", '[{"data": {}}]', "", "[" * 5000])
def test_json_without_tasks(text: str, write_source: WriteSource) -> None:
    source = write_source({"export.json": text, "a.png": None})
    assert not FORMAT.detect(source).matches
    with pytest.raises(FormatError):
        FORMAT.read(source, None)  # type: ignore[arg-type]  # it fails before anything is reported


def test_rle_has_four_values_for_each_pixel() -> None:
    values = decode_rle(bytes(encode_rle(mask_from_array(np.array([[1, 1, 1], [0, 0, 0]], bool)))), 24)
    assert values.tolist() == [255] * 12 + [0] * 12
    with pytest.raises(InvalidValueError, match="where 28"):
        decode_rle(bytes(encode_rle(mask_from_array(np.ones((2, 3), bool)))), 28)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_rle_round_trip(width: int, height: int, seed: int, share: float) -> None:
    mask = mask_from_array(np.random.default_rng(seed).random((height, width)) < share)
    values = decode_rle(bytes(encode_rle(mask)), 4 * width * height)
    assert ((values[3::4] > 0).reshape(height, width) == mask_to_array(mask)).all()


def test_written_tasks(kit: SimpleNamespace, tmp_path: Path) -> None:
    pixels = np.zeros((6, 8), bool)
    pixels[1:3, 2:5] = True
    objects = (
        Object("1", "dog", Box(2, 3, 6, 4.5), 0.5, "t1", {"blurred": True}),
        Object("2", "dog", mask_from_array(pixels)),
    )
    predictions = (Object("1", "dog", Points(((4, 3),)), 0.25),)
    record = kit.record("sub/a", objects=objects, predictions=predictions)
    report = kit.write_all(FORMAT, kit.dataset([record], [ClassInfo("dog")], predictions=Kind.OBJECTS), tmp_path)
    assert len(report) == 0, list(report)
    (written_task,) = json.loads((tmp_path / "tasks.json").read_text())
    assert written_task["data"] == {"image": "/data/local-files/?d=images/sub/a.png"}
    first, second = written_task["annotations"][0]["result"]
    assert first["value"] == {
        "x": 25,
        "y": 50,
        "width": 50,
        "height": 25,
        "rotation": 0,
        "rectanglelabels": ["dog"],
    }
    assert second["value"]["format"] == "rle"
    result = kit.read_all(FORMAT, tmp_path)
    assert result.records["sub/a"].values["objects"] == objects
    assert isinstance(result.records["sub/a"].values["objects"][1].geometry, Mask)
    assert result.records["sub/a"].values["predictions"] == predictions
