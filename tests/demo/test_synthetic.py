"""Synthetic harbours are reproducible, and their labels are exact."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from saccade.core.errors import ConflictError, InvalidValueError
from saccade.core.objects import Box, Polygon, RotatedBox
from saccade.core.progress import NullProgress
from saccade.demo.synthetic import CLASS_NAMES, Scene, Silhouette, generate_scene, write_dataset
from saccade.media.image import decode, verify

pytestmark = pytest.mark.slow
SEEDS = range(5)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [generate_scene(seed) for seed in SEEDS]


def test_same_seed_same_bytes(scenes: list[Scene]) -> None:
    for other in (1, 3):  # the cached site is of another seed
        again = generate_scene(other)
        np.testing.assert_array_equal(again.image, scenes[other].image)
        assert again.objects == scenes[other].objects
    assert not np.array_equal(scenes[0].image, scenes[1].image)


def test_views_of_a_scene_share_the_coast_but_not_the_ships() -> None:
    first, second = generate_scene(7), generate_scene(7, view=1)
    assert first.objects != second.objects
    assert not np.array_equal(first.image, second.image)
    np.testing.assert_array_equal(generate_scene(7, view=1).image, second.image)
    assert abs(first.land.mean() - second.land.mean()) < 0.08
    # The views differ by a shift of at most the margin.
    overlaps = [_agreement(first.land, second.land, dx, dy) for dx in range(-48, 49, 4) for dy in range(-48, 49, 4)]
    assert max(overlaps) > 0.98


def _agreement(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], dx: int, dy: int) -> float:
    inner = first[60:-60:4, 60:-60:4]
    moved = second[60 + dy : 640 - 60 + dy : 4, 60 + dx : 640 - 60 + dx : 4]
    return float((inner == moved).mean())


def on_canvas(silhouette: Silhouette, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    canvas = np.zeros((shape[0] + 400, shape[1] + 400), np.uint8)
    height, width = silhouette.alpha.shape
    canvas[200 + silhouette.y : 200 + silhouette.y + height, 200 + silhouette.x : 200 + silhouette.x + width] = (
        silhouette.alpha
    )
    assert canvas.any()
    inside = canvas[200:-200, 200:-200]
    assert int(inside.sum()) == int(canvas.sum()), "the ship exceeds the image"
    return inside


def test_boxes_are_tight_around_the_ships(scenes: list[Scene]) -> None:
    for scene in scenes:
        for obj, silhouette in zip(scene.objects, scene.silhouettes, strict=True):
            alpha = on_canvas(silhouette, scene.image.shape[:2])
            x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
            ys, xs = np.nonzero(alpha)
            assert xs.min() <= x1 < xs.min() + 1
            assert xs.max() < x2 <= xs.max() + 1
            assert ys.min() <= y1 < ys.min() + 1
            assert ys.max() < y2 <= ys.max() + 1


def test_geometries_are_consistent() -> None:
    shapes: tuple[Any, ...] = ("box", "rotated_box", "polygon")
    boxes, rotated, polygons = (generate_scene(2, geometry=shape).objects for shape in shapes)
    silhouettes = generate_scene(2).silhouettes
    for box, rotated_box, polygon, silhouette in zip(boxes, rotated, polygons, silhouettes, strict=True):
        assert isinstance(box.geometry, Box)
        assert isinstance(rotated_box.geometry, RotatedBox)
        assert isinstance(polygon.geometry, Polygon)
        np.testing.assert_allclose(polygon.geometry.bounds_xyxy(), box.geometry.bounds_xyxy(), atol=0.51)
        covered = float(silhouette.alpha.sum()) / 255
        assert polygon.geometry.area() == pytest.approx(covered, rel=0.12)
        assert covered < rotated_box.geometry.area() <= covered * 2.2
        assert rotated_box.geometry.width < rotated_box.geometry.height
        heading = float(rotated_box.attributes["heading"])
        assert rotated_box.geometry.angle == pytest.approx(heading, abs=0.01)
        assert box.attributes == rotated_box.attributes == polygon.attributes


def test_heading_points_to_the_bow() -> None:
    for obj, silhouette in zip(
        generate_scene(1, geometry="rotated_box").objects, generate_scene(1).silhouettes, strict=True
    ):
        assert isinstance(obj.geometry, RotatedBox)
        ys, xs = np.nonzero(silhouette.alpha > 127)
        turn = math.radians(float(obj.attributes["heading"]))
        ahead = (xs + silhouette.x + 0.5 - obj.geometry.cx) * math.sin(turn)
        ahead -= (ys + silhouette.y + 0.5 - obj.geometry.cy) * math.cos(turn)
        # A bow is narrower than a stern.
        assert (ahead > 0.3 * obj.geometry.height).sum() < (ahead < -0.3 * obj.geometry.height).sum()


def test_ships_do_not_overlap_or_leave_the_image(scenes: list[Scene]) -> None:
    for scene in scenes:
        height, width = scene.image.shape[:2]
        occupied = np.zeros((height, width), np.int32)
        for obj, silhouette in zip(scene.objects, scene.silhouettes, strict=True):
            x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
            assert x1 >= 0
            assert y1 >= 0
            assert x2 <= width
            assert y2 <= height
            solid = on_canvas(silhouette, (height, width)) > 200
            assert (solid & scene.land).sum() <= 0.02 * solid.sum(), "aground"
            occupied += solid
        assert occupied.max() <= 1


def test_every_class_occurs_and_is_large_enough() -> None:
    seen: Counter[str] = Counter()
    for seed in range(6):
        for obj in generate_scene(seed).objects:
            seen[obj.class_name] += 1
            x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
            assert max(x2 - x1, y2 - y1) >= 13
    assert set(seen) == set(CLASS_NAMES)


def test_ships_contrast_with_the_water(scenes: list[Scene]) -> None:
    for scene in scenes:
        image = scene.image.astype(float)
        for silhouette in scene.silhouettes:
            solid = on_canvas(silhouette, scene.image.shape[:2]) > 200
            assert image[solid].std() > 12 or abs(image[solid].mean() - image[~scene.land].mean()) > 12


def test_images_are_varied_and_well_exposed(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.dtype == np.uint8
        assert scene.image.shape == (640, 640, 3)
        assert 40 < scene.image.mean() < 190
        assert (scene.image > 250).mean() < 0.12
        assert 0.1 < scene.land.mean() < 0.75


@pytest.mark.parametrize("size_wh", [(320, 320), (333, 500), (900, 400)])
def test_other_sizes(size_wh: tuple[int, int]) -> None:
    scene = generate_scene(3, size_wh)
    assert scene.image.shape == (size_wh[1], size_wh[0], 3)
    assert scene.land.shape == scene.image.shape[:2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "must not be negative"),
        ({"seed": 0, "view": -1}, "must not be negative"),
        ({"seed": 0, "size_wh": (100, 640)}, r"320 to 4096 pixels wide and high, not \(100, 640\)"),
        ({"seed": 0, "geometry": "mask"}, "one of box, rotated_box, polygon, not 'mask'"),
    ],
)
def test_invalid_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        generate_scene(**arguments)


class RecordingProgress(NullProgress):
    def __init__(self, stop_after: int = 1000) -> None:
        self.total: int | None = 0
        self.done, self.finished, self.stop_after = 0, False, stop_after

    def start(self, what: str, total: int | None = None) -> None:
        self.total = total

    def advance(self, count: int = 1, message: str = "") -> None:
        self.done += count
        if self.done >= self.stop_after:
            raise KeyboardInterrupt

    def finish(self) -> None:
        self.finished = True


def test_write_dataset(tmp_path: Path) -> None:
    watch = RecordingProgress()
    folder = tmp_path / "harbour"
    write_dataset(folder, 2, 2, seed=3, progress=watch, size_wh=(320, 320))
    assert (watch.total, watch.done, watch.finished) == (4, 4, True)
    names = ["scene000_00.jpg", "scene000_01.jpg", "scene001_00.jpg", "scene001_01.jpg"]
    assert sorted(path.name for path in (folder / "images").iterdir()) == names
    assert [path.name for path in tmp_path.iterdir()] == ["harbour"]
    data = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    assert [(image["file_name"], image["scene"]) for image in data["images"]] == [(n, n[:8]) for n in names]
    assert [category["name"] for category in data["categories"]] == list(CLASS_NAMES)
    assert len({row["id"] for row in data["annotations"]}) == len(data["annotations"])
    for image in data["images"]:
        path = folder / "images" / image["file_name"]
        assert verify(path).size_wh == (image["width"], image["height"])
    scene = generate_scene(3001, (320, 320), view=1)
    difference = decode(folder / "images" / names[3]).astype(int) - scene.image
    assert np.abs(difference).mean() < 5
    rows = [row for row in data["annotations"] if row["image_id"] == 4]
    assert len(rows) == len(scene.objects)
    for row, obj in zip(rows, scene.objects, strict=True):
        x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
        assert row["bbox"] == [x1, y1, x2 - x1, y2 - y1]
        assert CLASS_NAMES[row["category_id"] - 1] == obj.class_name
        assert row["attributes"]["heading"] == obj.attributes["heading"]
        assert "segmentation" not in row


def test_write_dataset_with_polygons_into_an_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    write_dataset(folder, 1, 1, size_wh=(320, 320), geometry="polygon")
    rows = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))["annotations"]
    assert rows
    assert all(len(row["segmentation"][0]) >= 6 for row in rows)


def test_cancelled_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "harbour", 1, 3, progress=RecordingProgress(stop_after=2), size_wh=(320, 320))
    assert list(tmp_path.iterdir()) == []


def test_non_empty_folder_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConflictError, match="not an empty folder"):
        write_dataset(tmp_path, 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    for wrong in ({"scenes": 0}, {"images_per_scene": 0}, {"seed": -1}, {"format": "yolo"}, {"scenes": 1001}):
        arguments: dict[str, Any] = {"scenes": 1, "images_per_scene": 1, **wrong}
        with pytest.raises(InvalidValueError):
            write_dataset(tmp_path / "new", **arguments)
