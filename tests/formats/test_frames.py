"""Labels whose stated image size is not that of the image: turned, scaled or dropped, and always reported."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from saccade.core.geometry import mask_from_array, orientation_matrix, transform_geometry
from saccade.core.objects import Box, Keypoints, Mask, Object, Objects, Polygon, RotatedBox
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo
from saccade.formats._common.frames import (
    LOST,
    SCALED,
    TURNED,
    ImageSize,
    LabelFrame,
    has_same_aspect,
    to_size_wh,
)
from saccade.formats.base import FORMATS, InMemoryFile, Record

STORED_WH = (40, 30)
STATING = ("coco", "csv", "cvat", "datumaro", "huggingface", "labelme", "labelstudio", "voc", "yaml")
MASKED = ("coco", "cvat", "datumaro", "labelme", "labelstudio", "masks", "panoptic")
"""Formats that state the size of an image, and those whose masks do."""


def _mask() -> Mask:
    pixels = np.zeros((30, 40), np.bool_)
    pixels[4:10, 6:20] = True
    pixels[10:12, 6:9] = True
    return mask_from_array(pixels)


BOX = Object("1", "cup", Box(6, 4, 20, 12))
SHAPES: dict[str, Objects] = {
    "box": (BOX,),
    "polygon": (Object("1", "cup", Polygon.simple([(6, 4), (20, 4), (9, 12)])),),
    "rotated_box": (Object("1", "cup", RotatedBox(20, 15, 12, 6, 30)),),
    "mask": (Object("1", "cup", _mask()),),
}


def _photo(size_wh: tuple[int, int], orientation: int = 1) -> bytes:
    image = Image.new("RGB", size_wh, (90, 120, 30))
    exif = image.getexif()
    exif[0x0112] = orientation
    out = BytesIO()
    image.save(out, "PNG", exif=exif)
    return out.getvalue()


def _write(name: str, objects: Objects, folder: Path, kit: Any) -> Path:
    record = Record("photo", InMemoryFile("photo.png", _photo(STORED_WH)), {"objects": objects}, STORED_WH)
    kit.write_all(FORMATS.get(name), kit.dataset([record], ["cup"]), folder)
    if name == "huggingface":
        _state_size_in_metadata(folder)
    return folder


def _state_size_in_metadata(folder: Path) -> None:
    path = next(folder.rglob("metadata.jsonl"))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**row, "width": 40, "height": 30}) + "\n" for row in rows))


def _replace_photo(folder: Path, data: bytes) -> None:
    photos = [path for path in folder.rglob("*.png") if path.read_bytes() == _photo(STORED_WH)]
    assert len(photos) == 1
    photos[0].write_bytes(data)


def _read(name: str, folder: Path, kit: Any) -> tuple[Objects | None, ConversionReport, tuple[int, int] | None]:
    result = kit.read_all(FORMATS.get(name), folder)
    (record,) = result.records.values()
    return record.values["objects"], result.report, record.size_wh


def _approximately(objects: Objects) -> list[Any]:
    return [
        (obj.class_name, type(obj.geometry), pytest.approx(obj.geometry.bounds_xyxy(), abs=1e-6)) for obj in objects
    ]


def _bounds(objects: Objects) -> list[Any]:
    return [(obj.class_name, type(obj.geometry), obj.geometry.bounds_xyxy()) for obj in objects]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", STATING)
def test_labels_of_stored_pixels_are_turned(name: str, orientation: int, tmp_path: Path, kit: Any) -> None:
    source = _write(name, SHAPES["box"], tmp_path / "source", kit)
    before, _, _ = _read(name, source, kit)
    _replace_photo(source, _photo(STORED_WH, orientation))
    after, report, size_wh = _read(name, source, kit)
    assert before
    assert after is not None
    is_turned = orientation >= 5
    assert size_wh == (STORED_WH[::-1] if is_turned else STORED_WH)
    matrix = orientation_matrix(orientation if is_turned else 1, STORED_WH)
    expected = tuple(replace(obj, geometry=transform_geometry(obj.geometry, matrix)) for obj in before)
    assert _bounds(after) == _approximately(expected)
    assert sum(finding.reason == TURNED for finding in report) == int(is_turned)


@pytest.mark.parametrize("shape", ["polygon", "rotated_box"])
@pytest.mark.parametrize("name", ["cvat", "labelstudio", "datumaro"])
def test_other_shapes_are_turned(name: str, shape: str, tmp_path: Path, kit: Any) -> None:
    source = _write(name, SHAPES[shape], tmp_path / "source", kit)
    before, _, _ = _read(name, source, kit)
    _replace_photo(source, _photo(STORED_WH, 6))
    after, _, _ = _read(name, source, kit)
    assert before
    assert after
    matrix = orientation_matrix(6, STORED_WH)
    assert _bounds(after) == _approximately(
        (replace(before[0], geometry=transform_geometry(before[0].geometry, matrix)),)
    )


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("name", MASKED)
def test_masks_of_stored_pixels_are_turned(name: str, orientation: int, tmp_path: Path, kit: Any) -> None:
    source = _write(name, SHAPES["mask"], tmp_path / "source", kit)
    _replace_photo(source, _photo(STORED_WH, orientation))
    objects, report, _ = _read(name, source, kit)
    assert objects
    matrix = orientation_matrix(orientation, STORED_WH)
    assert objects[0].geometry == transform_geometry(_mask(), matrix, STORED_WH[::-1])
    assert report.losses()[0]


@pytest.mark.parametrize("name", STATING)
def test_labels_of_a_resized_image_are_scaled(name: str, tmp_path: Path, kit: Any) -> None:
    source = _write(name, SHAPES["box"], tmp_path / "source", kit)
    before, _, _ = _read(name, source, kit)
    _replace_photo(source, _photo((20, 15)))
    after, report, size_wh = _read(name, source, kit)
    assert before
    assert after
    assert size_wh == (20, 15)
    expected = [side / 2 for side in before[0].geometry.bounds_xyxy()]
    assert after[0].geometry.bounds_xyxy() == pytest.approx(expected)
    # Label Studio's coordinates are percentages, so that nothing had to be repaired.
    assert any(finding.reason == SCALED for finding in report) == (name != "labelstudio")


@pytest.mark.parametrize("name", MASKED)
def test_masks_of_a_resized_image_are_scaled(name: str, tmp_path: Path, kit: Any) -> None:
    source = _write(name, SHAPES["mask"], tmp_path / "source", kit)
    _replace_photo(source, _photo((20, 15)))
    objects, _, _ = _read(name, source, kit)
    assert objects
    assert isinstance(objects[0].geometry, Mask)
    assert (objects[0].geometry.width, objects[0].geometry.height) == (20, 15)
    assert objects[0].geometry.bounds_xyxy() == (3, 2, 10, 6)


@pytest.mark.parametrize("name", STATING)
def test_without_a_clear_relation_labels_are_dropped(name: str, tmp_path: Path, kit: Any) -> None:
    source = _write(name, SHAPES["box"], tmp_path / "source", kit)
    _replace_photo(source, _photo((40, 40)))
    objects, report, size_wh = _read(name, source, kit)
    assert objects is None
    assert size_wh == (40, 40)
    assert [(finding.reason, finding.detail) for finding in report if finding.reason == LOST] == [
        (LOST, "1 object: 40 x 30 stated, 40 x 40 actual")
    ]


@pytest.mark.parametrize("name", STATING)
def test_an_image_without_objects_stays_reviewed_and_empty(name: str, tmp_path: Path, kit: Any) -> None:
    source = _write(name, (), tmp_path / "source", kit)
    _replace_photo(source, _photo((40, 40)))
    objects, report, _ = _read(name, source, kit)
    assert objects == ()
    assert not any(finding.reason in (LOST, SCALED, TURNED) for finding in report)


def test_boxes_of_coco_without_a_size_are_clipped(tmp_path: Path, kit: Any) -> None:
    source = _write("coco", (BOX, replace(BOX, id="2")), tmp_path / "source", kit)
    path = source / "annotations.json"
    data = json.loads(path.read_text())
    del data["images"][0]["width"]
    data["annotations"] = [
        {"id": 1, "image_id": data["images"][0]["id"], "category_id": 1, "bbox": [30, 20, 20, 20]},
        {"id": 2, "image_id": data["images"][0]["id"], "category_id": 1, "bbox": [41, 0, 5, 5]},
        {"id": 3, "image_id": data["images"][0]["id"], "category_id": 1, "segmentation": [[41, 0, 46, 0, 46, 5]]},
    ]
    path.write_text(json.dumps(data))
    result = kit.read_all(FORMATS.get("coco"), source)
    (objects,) = result.values("objects").values()
    assert [obj.geometry for obj in objects] == [Box(30, 20, 40, 30)]
    assert result.reasons() == {
        ("clipped", "box over the edge of the image"): 1,
        ("dropped", "box outside the image"): 1,
        ("dropped", "shape outside the image"): 1,
        ("warning", "shape over the edge of the image"): 1,
    }


def test_frames_of_a_video_task_are_scaled(tmp_path: Path, kit: Any) -> None:
    records = [
        replace(
            Record(f"video/{index:06}", InMemoryFile("photo.png", _photo(STORED_WH)), {}, STORED_WH),
            values={"objects": (replace(BOX, track="1"),)},
        )
        for index in range(2)
    ]
    kit.write_all(FORMATS.get("cvat"), kit.dataset(records, ["cup"]), tmp_path / "source", layout="video")
    path = tmp_path / "source" / "annotations.xml"
    size = "<original_size><width>80</width><height>60</height></original_size>"
    path.write_text(path.read_text().replace("</task>", f"{size}</task>", 1))
    result = kit.read_all(FORMATS.get("cvat"), tmp_path / "source")
    assert [obj.geometry for objects in result.values("objects").values() for obj in objects] == [Box(3, 2, 10, 6)] * 2
    assert result.reasons()["repaired", SCALED] == 2


def test_sequences_state_the_size_of_their_frames(tmp_path: Path, kit: Any) -> None:
    record = Record("walk/000001", InMemoryFile("photo.png", _photo(STORED_WH)), {"objects": (BOX,)}, STORED_WH)
    kit.write_all(FORMATS.get("mot"), kit.dataset([record], ["cup"]), tmp_path / "source")
    _replace_photo(tmp_path / "source", _photo(STORED_WH, 6))
    objects, report, _ = _read("mot", tmp_path / "source", kit)
    assert objects
    assert objects[0].geometry == Box(18, 6, 26, 20)
    assert any(finding.reason == TURNED for finding in report)


def test_examples_state_the_size_of_their_images(tmp_path: Path, kit: Any) -> None:
    photo = InMemoryFile("photo.png", _photo(STORED_WH, 6))
    record = Record("photo", photo, {"objects": (BOX,)}, STORED_WH)
    kit.write_all(FORMATS.get("tfrecord"), kit.dataset([record], ["cup"]), tmp_path / "source")
    objects, report, _ = _read("tfrecord", tmp_path / "source", kit)
    assert objects
    assert objects[0].geometry.bounds_xyxy() == pytest.approx((18, 6, 26, 20), abs=1e-5)
    assert any(finding.reason == TURNED for finding in report)


def test_points_that_are_not_labelled_stay_at_the_origin() -> None:
    keypoints = Keypoints(((6.0, 4.0), (0.0, 0.0)), (2, 0))
    frame = LabelFrame.create(ImageSize((30, 40), 6), (40, 30), ConversionReport(), "photo")
    assert frame.to_image((Object("1", "person", keypoints),)) == (
        Object("1", "person", Keypoints(((26.0, 6.0), (0.0, 0.0)), (2, 0))),
    )


def test_keypoints_outside_an_image_of_the_stated_size_are_kept() -> None:
    """A skeleton may be placed beside the image; without a stated size it may belong to another size."""
    skeleton = Object("1", "person", Keypoints(((48.8, 111.77), (83.27, 106.61)), (2, 2)))
    report = ConversionReport()
    frame = LabelFrame.create(ImageSize((25, 20)), (25, 20), report, "photo")
    assert frame.to_image((skeleton,)) == (skeleton,)
    assert report.counts() == {(FindingType.WARNING, "keypoints outside the image"): 1}
    report = ConversionReport()
    assert LabelFrame.create(ImageSize((25, 20)), None, report, "photo").to_image((skeleton,)) == ()
    assert report.counts() == {(FindingType.DROPPED, "shape outside the image"): 1}


def test_a_turned_and_scaled_image() -> None:
    report = ConversionReport()
    frame = LabelFrame.create(ImageSize((300, 400), 6), (40, 30), report, "photo")
    assert frame.size_wh == (40, 30)
    (obj,) = frame.to_image((BOX,)) or ()
    assert obj.geometry == Box(180, 60, 260, 200)
    assert [finding.reason for finding in report] == [TURNED]


def test_an_image_that_cannot_be_read_keeps_the_stated_frame() -> None:
    frame = LabelFrame.create(None, (40, 30), ConversionReport(), "photo")
    assert (frame.size_wh, frame.image_wh) == ((40, 30), (40, 30))
    assert frame.to_image((BOX,)) == (BOX,)


@given(st.tuples(st.integers(60, 5000), st.integers(60, 5000)), st.floats(0.2, 1.0))
def test_a_scaled_size_has_the_same_aspect(size_wh: tuple[int, int], factor: float) -> None:
    for rounding in (int, round, lambda side: int(side) + 1):
        scaled_wh = (rounding(size_wh[0] * factor), rounding(size_wh[1] * factor))
        aspects = (scaled_wh[0] / scaled_wh[1], size_wh[0] / size_wh[1])
        if abs(aspects[0] / aspects[1] - 1) < 0.04:
            assert has_same_aspect(scaled_wh, size_wh)
            assert has_same_aspect(size_wh, scaled_wh)


@pytest.mark.parametrize(
    ("first", "second"), [((640, 480), (640, 640)), ((100, 80), (80, 100)), ((640, 480), (640, 479)), ((0, 4), (4, 4))]
)
def test_other_sizes_have_another_aspect(first: tuple[int, int], second: tuple[int, int]) -> None:
    assert has_same_aspect(first, second) is (first == (640, 480) and second == (640, 479))


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((640, 480), (640, 480)),
        (("640", "480.0"), (640, 480)),
        ((0, 0), None),
        ((None, 4), None),
        ((True, 1), None),
        ((4.5, 4), None),
        ((float("nan"), 4), None),
        (("1e400", 4), None),
        (([4], 4), None),
    ],
)
def test_stated_sizes(sides: tuple[Any, Any], expected: tuple[int, int] | None) -> None:
    assert to_size_wh(*sides) == expected


def test_classes_are_kept_when_labels_are_dropped(tmp_path: Path, kit: Any) -> None:
    source = _write("labelme", SHAPES["box"], tmp_path / "source", kit)
    _replace_photo(source, _photo((40, 40)))
    assert kit.read_all(FORMATS.get("labelme"), source).schema["objects"].classes == (ClassInfo("cup"),)
