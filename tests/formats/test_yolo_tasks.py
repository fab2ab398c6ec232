"""Round trips of polygons, rotated boxes and keypoints through YOLO."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core.errors import FormatError
from saccade.core.geometry import polygon_to_mask, rotated_box_from_corners
from saccade.core.objects import Box, Ellipse, Geometry, Keypoints, Object, Points, Polygon, Ring, RotatedBox
from saccade.core.schema import ClassInfo
from saccade.formats import yolo
from saccade.formats.yolo.shapes import join_rings

SIZE_WH = (160, 120)
WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]


def round_trip(kit: SimpleNamespace, geometries: list[Geometry], folder: Path, task: str) -> tuple[Any, Any]:
    """Write objects and read them back; return the objects and the report of the writer."""
    objects = tuple(Object(str(number), "cat", shape) for number, shape in enumerate(geometries, 1))
    info = ClassInfo("cat", keypoints=("nose", "tail") if task == "pose" else ())
    reading = kit.dataset([kit.record("a", SIZE_WH, objects=objects)], [info])
    report = kit.write_all(yolo.FORMAT, reading, folder, task=task)
    return kit.read_all(yolo.FORMAT, folder), report


x = st.floats(1, SIZE_WH[0] - 1)
y = st.floats(1, SIZE_WH[1] - 1)
polygons = st.lists(st.tuples(x, y), min_size=3, max_size=8).map(Polygon.simple).filter(lambda p: p.area() > 1)
rotated = st.builds(
    RotatedBox, st.floats(50, 110), st.floats(50, 70), st.floats(2, 50), st.floats(2, 50), st.floats(-180, 180)
)
seen = st.lists(st.sampled_from([1, 2]), min_size=2, max_size=2)
poses = st.builds(
    lambda points, visible, box: Keypoints(tuple(points), tuple(visible), box),
    st.lists(st.tuples(x, y), min_size=2, max_size=2),
    seen,
    st.builds(Box, st.floats(0, 50), st.floats(0, 50), st.floats(60, 160), st.floats(60, 120)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(polygons, min_size=1, max_size=3))
def test_polygons(kit: SimpleNamespace, shapes: list[Polygon]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read, report = round_trip(kit, list(shapes), Path(folder), "segment")
    assert len(report) == 0, list(report)
    for before, after in zip(shapes, read.records["a"].values["objects"], strict=True):
        np.testing.assert_allclose(after.geometry.parts[0][0], before.parts[0][0], atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(polygons, min_size=2, max_size=4))
def test_parts_are_joined(shapes: list[Polygon]) -> None:
    """The outline has the area of the parts, all their points, and goes from part to part and back."""
    rings = [shape.parts[0][0] for shape in shapes]
    joined = join_rings(rings)
    assert len(joined) == sum(map(len, rings)) + 2 * (len(rings) - 1)
    assert set(joined) == {point for ring in rings for point in ring}
    signed_areas = [abs(_signed_area(ring)) for ring in rings]
    assert abs(_signed_area(joined)) == pytest.approx(sum(signed_areas))


def _signed_area(ring: Ring) -> float:
    following = (*ring[1:], ring[0])
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(ring, following, strict=True)) / 2


def test_joined_parts_cover_the_same_pixels(kit: SimpleNamespace, tmp_path: Path) -> None:
    first = ((10.0, 10.0), (40.0, 10.0), (40.0, 40.0), (10.0, 40.0))
    second = ((60.0, 50.0), (60.0, 90.0), (100.0, 90.0), (100.0, 50.0))
    third = ((110.0, 5.0), (130.0, 5.0), (120.0, 30.0))
    shape = Polygon(((first,), (second,), (third,)))
    read, report = round_trip(kit, [shape], tmp_path, "segment")
    (obj,) = read.records["a"].values["objects"]
    assert polygon_to_mask(obj.geometry, (160, 120)) == polygon_to_mask(shape, (160, 120))
    assert [(finding.action, finding.reason, finding.detail) for finding in report] == [
        ("repaired", "parts of a polygon joined to one outline", "3 parts")
    ]


def test_the_nearest_points_of_large_rings() -> None:
    first = (*((float(index), 0.0) for index in range(3000)), (0.0, -1.0))
    second = (*((float(index), 5.0) for index in range(2000, 4000)), (2999.0, 2.0))
    joined = join_rings([first, second])
    index = joined.index((2999.0, 2.0))
    assert (2999.0, 0.0) in (joined[index - 1], joined[index + 1])


def canonical(box: RotatedBox) -> np.ndarray:
    """Return corners in an order that does not depend on which side comes first."""
    corners = np.round(np.array(box.corners()), 5) + 0.0
    return corners[np.lexsort(corners.T)]


@settings(max_examples=100, deadline=None)
@given(st.lists(rotated, min_size=1, max_size=3))
def test_rotated_boxes(kit: SimpleNamespace, shapes: list[RotatedBox]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read, report = round_trip(kit, list(shapes), Path(folder), "obb")
    assert len(report) == 0, list(report)
    for before, after in zip(shapes, read.records["a"].values["objects"], strict=True):
        assert isinstance(after.geometry, RotatedBox)
        np.testing.assert_allclose(after.geometry.corners(), before.corners(), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(poses, min_size=1, max_size=3))
def test_keypoints(kit: SimpleNamespace, shapes: list[Keypoints]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read, report = round_trip(kit, list(shapes), Path(folder), "pose")
    assert len(report) == 0, list(report)
    assert read.schema["objects"].classes[0].keypoints == ("nose", "tail")
    for before, after in zip(shapes, read.records["a"].values["objects"], strict=True):
        assert after.geometry.visibility == before.visibility
        np.testing.assert_allclose(after.geometry.points, before.points, atol=1e-9)
        np.testing.assert_allclose(after.geometry.bounds_xyxy(), before.bounds_xyxy(), atol=1e-9)


@pytest.mark.parametrize(
    ("task", "shape", "reason"),
    [
        ("segment", Ellipse(80, 60, 20, 10, 30), "shape of a ellipse, written as its polygon"),
        ("segment", Box(-10, 10, 50, 50), "polygon over the edge of the image"),
        ("segment", Points(((5, 5),)), "shape that cannot become a polygon"),
        ("segment", Polygon(((((10, 10), (60, 10), (60, 60)), ((40, 20), (50, 20), (50, 30))),)), "holes of a polygon"),
        ("obb", RotatedBox(5, 60, 40, 20, 10), "corners over the edge of the image moved onto it"),
        ("obb", RotatedBox(500, 60, 40, 20, 10), "object without area in the image"),
        ("obb", Box(10, 10, 50, 40), "shape of a box, written as its rotated box"),
        ("pose", Box(10, 10, 50, 40), "keypoints of another number"),
        ("pose", Keypoints(((20, 20), (500, 30)), (2, 2), Box(10, 10, 50, 40)), "keypoint outside the image"),
        ("detect", RotatedBox(50, 60, 40, 20, 10), "shape of a rotated box, written as its box"),
    ],
)
def test_losses_are_reported(kit: SimpleNamespace, tmp_path: Path, task: str, shape: Geometry, reason: str) -> None:
    _, report = round_trip(kit, [shape], tmp_path, task)
    assert any(reason in finding.reason for finding in report), list(report)


def test_four_points_are_a_polygon_by_default(write_source: WriteSource, kit: SimpleNamespace) -> None:
    corners = "0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n"
    source = write_source(
        {"data.yaml": "names: [ship]\ntrain: images\n", "images/a.png": None, "labels/a.txt": corners}
    )
    plain = kit.read_all(yolo.FORMAT, source).records["a"].values["objects"][0]
    obj = kit.read_all(yolo.FORMAT, source, task="obb").records["a"].values["objects"][0]
    assert isinstance(plain.geometry, Polygon)
    assert obj.geometry == RotatedBox(4, 3, 4, 3, 0)


def test_rotated_box_with_score(write_source: WriteSource, kit: SimpleNamespace) -> None:
    line = "0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75 0.5\n0 0.1 0.1 0.2\n"
    source = write_source({"data.yaml": "names: [ship]\ntrain: images\n", "images/a.png": None, "labels/a.txt": line})
    result = kit.read_all(yolo.FORMAT, source, task="obb")
    assert [obj.score for obj in result.records["a"].values["objects"]] == [0.5]
    assert result.reasons()[("dropped", "line with a wrong number of values")] == 1


def test_unknown_tasks(kit: SimpleNamespace, write_source: WriteSource, tmp_path: Path) -> None:
    source = write_source({"data.yaml": "names: [ship]\ntrain: images\n", "images/a.png": None})
    with pytest.raises(FormatError, match="segment"):
        kit.read_all(yolo.FORMAT, source, task="segmnt")
    with pytest.raises(FormatError, match="pose"):
        round_trip(kit, [], tmp_path, "poses")


def test_data_yaml_of_poses(kit: SimpleNamespace, tmp_path: Path) -> None:
    round_trip(kit, [Keypoints(((20, 20), (40, 30)), (2, 1))], tmp_path, "pose")
    data = yaml.safe_load((tmp_path / "data.yaml").read_text())
    assert data["kpt_shape"] == [2, 3]


def test_data_yaml_of_poses_without_keypoints(kit: SimpleNamespace, tmp_path: Path) -> None:
    """The lines are those of boxes, which a shape of keypoints would contradict."""
    objects = (Object("1", "cat", Box(10, 10, 50, 40)),)
    reading = kit.dataset([kit.record("a", SIZE_WH, objects=objects)], [ClassInfo("cat")])
    kit.write_all(yolo.FORMAT, reading, tmp_path, task="pose")
    data = yaml.safe_load((tmp_path / "data.yaml").read_text())
    assert "kpt_shape" not in data
    [label] = (tmp_path / "labels").rglob("*.txt")
    assert len(label.read_text().split()) == 5
    result = kit.read_all(yolo.FORMAT, tmp_path)
    assert [obj.geometry.type for obj in result.records["a"].values["objects"]] == ["box"]


def test_corners_of_no_rectangle_give_the_smallest_enclosing_one() -> None:
    box = rotated_box_from_corners([(0, 0), (10, 1), (11, 6), (1, 5)])
    assert box.area() >= 49
    turned = rotated_box_from_corners([(0, 0), (0, 5), (10, 5), (10, 0)])  # counter-clockwise
    np.testing.assert_allclose(canonical(turned), canonical(RotatedBox(5, 2.5, 10, 5, 0)), atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("task", ["segment", "obb"])
def test_supervision_reads_the_files(kit: SimpleNamespace, tmp_path: Path, task: str) -> None:
    sv = pytest.importorskip("supervision")
    polygon, rotated_box = Polygon.simple([(20, 20), (100, 30), (60, 90)]), RotatedBox(80, 60, 40, 20, 30)
    shape: Geometry = polygon if task == "segment" else rotated_box
    round_trip(kit, [shape], tmp_path, task)
    dataset = sv.DetectionDataset.from_yolo(
        str(tmp_path / "images"),
        str(tmp_path / "labels"),
        str(tmp_path / "data.yaml"),
        force_masks=task == "segment",
        is_obb=task == "obb",
    )
    ((_, detections),) = dataset.annotations.items()
    np.testing.assert_allclose(detections.xyxy[0], shape.bounds_xyxy(), atol=1)
    if task == "segment":
        assert detections.mask[0].sum() == pytest.approx(shape.area(), rel=0.05)
    else:
        np.testing.assert_allclose(detections.data["xyxyxyxy"][0], np.array(rotated_box.corners()), atol=0.01)
