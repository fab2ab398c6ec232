"""Geometry against slow, plain oracles: pycocotools, OpenCV, and pixels or points looked at one by one."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import (
    boxes_iou,
    boxes_visible_share,
    clip_boxes,
    clip_geometry,
    clip_polyline,
    coco_string_to_counts,
    convert,
    counts_to_coco_string,
    cxcywh_to_xyxy,
    distinct_values,
    ellipse_to_polygon,
    flip_matrix,
    invert_matrix,
    mask_from_array,
    mask_iou,
    mask_to_array,
    mask_to_polygon,
    masks_from_labels,
    masks_iou,
    min_area_rotated_box,
    orientation_matrix,
    polygon_to_mask,
    resize_frame,
    rotated_boxes_array,
    rotated_corners,
    rotated_iou,
    subtract_masks,
    transform_geometry,
    union_masks,
    visible_share,
    xywh_to_xyxy,
    xyxy_to_cxcywh,
    xyxy_to_xywh,
)
from saccade.core.objects import (
    Box,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Points,
    Polygon,
    Polyline,
    Ring,
    RotatedBox,
)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

few = settings(max_examples=60, deadline=None)
some = settings(max_examples=120, deadline=None)

# Multiples of 1/8 meet often, so that edges coincide and corners lie on borders and pixel centres.
coarse = st.integers(-80, 240).map(lambda eighths: eighths / 8)
fine = st.floats(-10, 30, allow_nan=False, width=32)
coordinates = coarse | fine
points = st.tuples(coordinates, coordinates)
sides = st.integers(0, 120).map(lambda eighths: eighths / 8) | st.floats(0, 15, width=32)
angles = st.sampled_from([0.0, 30.0, 45.0, 90.0, 180.0, 270.0, -90.0]) | st.floats(-360, 360)
sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))

boxes = st.builds(lambda p, w, h: Box(p[0], p[1], p[0] + w, p[1] + h), points, sides, sides)
rotated_boxes = st.builds(lambda p, w, h, a: RotatedBox(p[0], p[1], w, h, a), points, sides, sides, angles)
ellipses = st.builds(lambda p, w, h, a: Ellipse(p[0], p[1], w, h, a), points, sides, sides, angles)
polylines = st.lists(points, min_size=2, max_size=8).map(lambda p: Polyline(tuple(p)))
point_sets = st.lists(points, min_size=1, max_size=8).map(lambda p: Points(tuple(p)))


@st.composite
def pixels(draw: st.DrawFn, size_wh: tuple[int, int] | None = None) -> BoolArray:
    """An array (H, W): noise of any density, or a few rectangles on or off."""
    width, height = size_wh or draw(sizes)
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        return rng.random((height, width)) < draw(st.floats(0, 1))
    array = np.zeros((height, width), dtype=np.bool_)
    for _ in range(draw(st.integers(0, 4))):
        x1, x2 = sorted((draw(st.integers(0, width)), draw(st.integers(0, width))))
        y1, y2 = sorted((draw(st.integers(0, height)), draw(st.integers(0, height))))
        array[y1:y2, x1:x2] = draw(st.booleans())
    return array


masks = pixels().map(mask_from_array)


@st.composite
def stars(draw: st.DrawFn, centre: tuple[float, float], low: float, high: float) -> Ring:
    """A simple ring around a centre, its points ``low`` to ``high`` away, running either way round."""
    radii = draw(st.lists(st.floats(low, high), min_size=3, max_size=12))
    turn = draw(st.floats(0, 1))
    steps = [2 * math.pi * (index + turn) / len(radii) for index in range(len(radii))]
    ring = [
        (centre[0] + radius * math.cos(step), centre[1] + radius * math.sin(step))
        for step, radius in zip(steps, radii, strict=True)
    ]
    return tuple(ring if draw(st.booleans()) else ring[::-1])


@st.composite
def polygons(draw: st.DrawFn) -> Polygon:
    """One or two parts that lie apart, each a star with a smaller star as a hole or none."""
    parts = []
    for index in range(draw(st.integers(1, 2))):
        centre = (draw(st.floats(-4, 14)) + 40 * index, draw(st.floats(-4, 24)))
        # The inscribed circle of a triangle around a circle is half as wide: the hole stays inside.
        rings = [draw(stars(centre, 4, 12))]
        if draw(st.booleans()):
            rings.append(draw(stars(centre, 0.2, 1.5)))
        parts.append(tuple(rings))
    return Polygon(tuple(parts))


@st.composite
def keypoints(draw: st.DrawFn) -> Keypoints:
    at = tuple(draw(st.lists(points, min_size=1, max_size=6)))
    seen = tuple(draw(st.lists(st.integers(0, 2), min_size=len(at), max_size=len(at))))
    return Keypoints(at, seen, draw(st.none() | boxes), draw(st.none() | st.floats(0, 100)))


geometries: st.SearchStrategy[Geometry] = st.one_of(
    boxes, rotated_boxes, ellipses, polygons(), masks, polylines, point_sets, keypoints()
)


@st.composite
def matrices(draw: st.DrawFn) -> FloatArray:
    """Well-conditioned affine matrices: turn, scale by axis, turn, with or without a flip, and shift."""
    first, second = math.radians(draw(angles)), math.radians(draw(angles))
    scales = np.diag([draw(st.floats(0.3, 3)), draw(st.floats(0.3, 3)) * draw(st.sampled_from([1, -1]))])
    return np.hstack([_rotation(first) @ scales @ _rotation(second), np.array(draw(points))[:, None]])


@st.composite
def similarities(draw: st.DrawFn) -> FloatArray:
    flip = np.diag([1.0, draw(st.sampled_from([1.0, -1.0]))]) * draw(st.floats(0.3, 3))
    return np.hstack([_rotation(math.radians(draw(angles))) @ flip, np.array(draw(points))[:, None]])


def _rotation(radians: float) -> FloatArray:
    return np.array([[math.cos(radians), -math.sin(radians)], [math.sin(radians), math.cos(radians)]])


def _array(things: list[Box]) -> FloatArray:
    return np.array([thing.bounds_xyxy() for thing in things], dtype=np.float64).reshape(-1, 4)


def _coco_rle(mask: Mask) -> dict[str, Any]:
    encoded: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask_to_array(mask).astype(np.uint8)))
    return encoded


def _same_points(one: FloatArray, other: FloatArray, tolerance: float = 1e-6) -> bool:
    """Whether two sets of points are the same whatever their order."""
    distances = np.linalg.norm(one[:, None] - other[None], axis=-1)
    return bool((distances.min(axis=0) < tolerance).all() and (distances.min(axis=1) < tolerance).all())


# Boxes


@some
@given(st.lists(boxes, max_size=5))
def test_box_conventions_round_trip(things: list[Box]) -> None:
    array = _array(things)
    np.testing.assert_allclose(xywh_to_xyxy(xyxy_to_xywh(array)), array, atol=1e-6)
    np.testing.assert_allclose(cxcywh_to_xyxy(xyxy_to_cxcywh(array)), array, atol=1e-6)


@some
@given(st.lists(boxes, min_size=1, max_size=5), st.lists(st.tuples(boxes, st.booleans()), min_size=1, max_size=5))
def test_box_iou_equals_pycocotools(things: list[Box], others: list[tuple[Box, bool]]) -> None:
    array, other_array = _array(things), _array([box for box, _ in others])
    crowd = [flag for _, flag in others]
    ious = boxes_iou(array, other_array, crowd)
    assert ((ious >= 0) & (ious <= 1)).all()
    np.testing.assert_allclose(boxes_iou(array, other_array), boxes_iou(other_array, array).T, atol=1e-12)
    # pycocotools divides by 0 where nothing has an area.
    defined = (_areas(array)[:, None] > 1e-9) & (_areas(other_array)[None] > 1e-9)
    expected = coco_mask.iou(xyxy_to_xywh(array), xyxy_to_xywh(other_array), [int(flag) for flag in crowd])
    np.testing.assert_allclose(ious[defined], expected[defined], atol=1e-6)


def _areas(array: FloatArray) -> FloatArray:
    areas: FloatArray = np.prod(array[:, 2:] - array[:, :2], axis=1)
    return areas


@some
@given(st.lists(boxes, max_size=5), sizes)
def test_clipped_boxes_lie_inside_and_do_not_grow(things: list[Box], size_wh: tuple[int, int]) -> None:
    array = _array(things)
    clipped = clip_boxes(array, size_wh)
    assert (clipped >= 0).all()
    assert (clipped <= np.array([*size_wh, *size_wh])).all()
    assert (_areas(clipped) <= _areas(array)).all()
    shares = boxes_visible_share(array, size_wh)
    np.testing.assert_allclose(shares * _areas(array), _areas(clipped), atol=1e-9)
    for box, share in zip(things, shares.tolist(), strict=True):
        if box.area() > 1e-6:
            assert share == pytest.approx(visible_share(box, size_wh), abs=1e-3)


# Rotated boxes


@few
@given(st.lists(rotated_boxes, min_size=1, max_size=4), st.lists(rotated_boxes, min_size=1, max_size=4))
def test_rotated_iou_is_symmetric_and_equals_clipping_by_hand(
    things: list[RotatedBox], others: list[RotatedBox]
) -> None:
    array, other_array = rotated_boxes_array(things), rotated_boxes_array(others)
    ious = rotated_iou(array, other_array)
    assert ((ious >= 0) & (ious <= 1)).all()
    np.testing.assert_allclose(ious, rotated_iou(other_array, array).T, atol=1e-9)
    for row, one in enumerate(things):
        for column, other in enumerate(others):
            if min(one.area(), other.area()) > 1e-3:
                assert ious[row, column] == pytest.approx(_clipped_iou(one, other), abs=1e-6)


def _clipped_iou(one: RotatedBox, other: RotatedBox) -> float:
    """By cutting one box with the four half planes of the other (Sutherland and Hodgman)."""
    ring = list(one.corners())
    for start, end in pairwise((*other.corners(), other.corners()[0])):
        depths = [(end[0] - start[0]) * (y - start[1]) - (end[1] - start[1]) * (x - start[0]) for x, y in ring]
        kept: list[tuple[float, float]] = []
        for (a, da), (b, db) in pairwise((*zip(ring, depths, strict=True), *zip(ring[:1], depths[:1], strict=True))):
            if da >= 0:
                kept.append(a)
            if (da >= 0) != (db >= 0):
                share = da / (da - db)
                kept.append((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
        ring = kept
    inside = Polygon.simple(ring).area() if len(ring) >= 3 else 0.0
    return inside / (one.area() + other.area() - inside)


@some
@given(st.lists(boxes, min_size=1, max_size=4), st.lists(boxes, min_size=1, max_size=4), st.sampled_from([0, 90, -270]))
def test_rotated_iou_of_upright_boxes_is_box_iou(things: list[Box], others: list[Box], angle: int) -> None:
    array, other_array = _array(things), _array(others)
    upright = np.hstack([xyxy_to_cxcywh(array), np.zeros((len(array), 1))])
    turned = np.hstack([xyxy_to_cxcywh(other_array), np.full((len(other_array), 1), angle)])
    if angle:
        turned[:, [2, 3]] = turned[:, [3, 2]]
    defined = np.minimum(_areas(array)[:, None], _areas(other_array)[None]) > 1e-6
    difference = rotated_iou(upright, turned) - boxes_iou(array, other_array)
    assert (np.abs(difference[defined]) < 1e-6).all()


@some
@given(rotated_boxes, st.floats(-1e6, 1e6))
def test_a_rotated_box_overlaps_itself_wherever_it_lies(box: RotatedBox, shift: float) -> None:
    assume(min(box.width, box.height) > 1e-3)
    array = rotated_boxes_array([RotatedBox(box.cx + shift, box.cy - shift, box.width, box.height, box.angle)])
    assert rotated_iou(array, array)[0, 0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(rotated_corners(rotated_boxes_array([box]))[0], box.corners(), atol=1e-9)


@some
@given(point_sets)
def test_min_area_box_holds_all_points_and_is_no_larger_than_opencvs(thing: Points) -> None:
    box = min_area_rotated_box(thing.points)
    local = np.array(thing.points) - (box.cx, box.cy)
    along = local @ _rotation(math.radians(box.angle))
    assert (np.abs(along) <= np.array([box.width, box.height]) / 2 + 1e-9).all()
    assert 0 <= box.angle < 90
    _, (width, height), _ = cv2.minAreaRect(np.array(thing.points, dtype=np.float32))
    assert box.area() <= width * height * (1 + 1e-4) + 1e-3


@some
@given(rotated_boxes)
def test_min_area_box_of_corners_is_the_box(box: RotatedBox) -> None:
    assume(min(box.width, box.height) > 1e-3)
    again = min_area_rotated_box(box.corners())
    assert _same_points(np.array(again.corners()), np.array(box.corners()), 1e-4)


# Masks


@some
@given(pixels())
def test_mask_round_trips(array: BoolArray) -> None:
    mask = mask_from_array(array)
    assert (mask_to_array(mask) == array).all()
    assert mask.area() == array.sum()
    text = counts_to_coco_string(mask.counts)
    assert text.encode() == _coco_rle(mask)["counts"]
    assert coco_string_to_counts(text) == coco_string_to_counts(text.encode()) == mask.counts


@some
@given(st.lists(st.integers(0, 2**31 - 1), max_size=12))
def test_coco_strings_of_any_counts_round_trip(counts: list[int]) -> None:
    assert coco_string_to_counts(counts_to_coco_string(tuple(counts))) == tuple(counts)


@some
@given(st.text(max_size=8) | st.text(alphabet=[chr(code) for code in range(40, 120)], max_size=30))
def test_any_text_is_counts_or_a_clear_error(text: str) -> None:
    try:
        counts = coco_string_to_counts(text)
    except InvalidValueError:
        return
    assert all(isinstance(count, int) for count in counts)


@some
@given(sizes.flatmap(lambda size: st.lists(pixels(size), min_size=3, max_size=4)), st.lists(st.booleans(), min_size=4))
def test_mask_iou_equals_pycocotools_and_pixels(arrays: list[BoolArray], flags: list[bool]) -> None:
    made = [mask_from_array(array) for array in arrays]
    crowd = flags[: len(made)]
    ious = masks_iou(made, made, crowd)
    encoded = [_coco_rle(mask) for mask in made]
    expected = coco_mask.iou(encoded, encoded, [int(flag) for flag in crowd])
    some_area = np.array([array.any() for array in arrays])
    np.testing.assert_allclose(ious[some_area], expected[some_area], atol=1e-12)
    assert (ious[~some_area] == 0).all()
    assert mask_iou(made[0], made[1]) == mask_iou(made[1], made[0])
    assert union_masks(made) == mask_from_array(np.any(arrays, axis=0))
    assert subtract_masks(made[0], made[1:]) == mask_from_array(arrays[0] & ~np.any(arrays[1:], axis=0))


@some
@given(pixels(), sizes)
def test_resized_frames(array: BoolArray, size_wh: tuple[int, int]) -> None:
    expected = np.zeros(size_wh[::-1], dtype=np.bool_)
    height, width = np.minimum(array.shape, expected.shape)
    expected[:height, :width] = array[:height, :width]
    assert resize_frame(mask_from_array(array), size_wh) == mask_from_array(expected)


@settings(max_examples=300, deadline=None)
@given(pixels())
def test_mask_to_polygon_and_back_is_exact(array: BoolArray) -> None:
    assume(array.any())
    mask = mask_from_array(array)
    polygon = mask_to_polygon(mask)
    assert polygon_to_mask(polygon, (mask.width, mask.height)) == mask
    assert polygon.area() == mask.area()
    assert polygon.bounds_xyxy() == mask.bounds_xyxy()
    # Pixels that touch at least by a corner are one part; background that touches by a side is one hole.
    assert len(polygon.parts) == cv2.connectedComponents(array.astype(np.uint8), connectivity=8)[0] - 1
    outside = np.pad(~array, 1, constant_values=True).astype(np.uint8)
    holes = sum(len(part) - 1 for part in polygon.parts)
    assert holes == cv2.connectedComponents(outside, connectivity=4)[0] - 2


@few
@given(polygons(), sizes)
def test_rasterised_polygons_hold_the_pixels_whose_centre_is_inside(polygon: Polygon, size_wh: tuple[int, int]) -> None:
    array = mask_to_array(polygon_to_mask(polygon, size_wh))
    for y in range(size_wh[1]):
        for x in range(size_wh[0]):
            centre = (x + 0.5, y + 0.5)
            if _distance_to_border(polygon, centre) > 1e-9:
                assert array[y, x] == _contains(polygon, centre)


def _contains(polygon: Polygon, point: tuple[float, float]) -> bool:
    """By the winding angle of each ring, which has nothing in common with the code under test."""
    return any(_turns(part[0], point) and not any(_turns(hole, point) for hole in part[1:]) for part in polygon.parts)


def _turns(ring: Ring, point: tuple[float, float]) -> bool:
    directions = [math.atan2(y - point[1], x - point[0]) for x, y in ring]
    steps = [
        math.remainder(b - a, 2 * math.pi) for a, b in zip(directions, [*directions[1:], directions[0]], strict=True)
    ]
    return abs(math.fsum(steps)) > math.pi


def _distance_to_border(polygon: Polygon, point: tuple[float, float]) -> float:
    rings = [np.array(ring) for part in polygon.parts for ring in part]
    return min(abs(float(cv2.pointPolygonTest(ring.astype(np.float32), point, True))) for ring in rings)


@few
@given(st.lists(points, min_size=3, max_size=8), sizes)
def test_polygons_that_share_an_edge_share_no_pixel(ring: list[tuple[float, float]], size_wh: tuple[int, int]) -> None:
    """A tessellation into triangles by the even-odd rule: the ring's pixels are those in an odd number of a fan."""
    whole = mask_to_array(polygon_to_mask(Polygon.simple(ring), size_wh))
    fan = np.zeros_like(whole)
    for one, other in pairwise(ring[1:]):
        fan ^= mask_to_array(polygon_to_mask(Polygon.simple([ring[0], one, other]), size_wh))
    assert (fan == whole).all()


# Transforms


@some
@given(polygons(), matrices())
def test_transform_and_back(polygon: Polygon, matrix: FloatArray) -> None:
    there = transform_geometry(polygon, matrix)
    assert there.area() == pytest.approx(polygon.area() * abs(np.linalg.det(matrix[:, :2])))
    back = transform_geometry(there, invert_matrix(matrix))
    assert isinstance(back, Polygon)
    for part, same in zip(back.parts, polygon.parts, strict=True):
        for ring, same_ring in zip(part, same, strict=True):
            np.testing.assert_allclose(ring, same_ring, atol=1e-6)


@some
@given(st.one_of(polylines, point_sets, keypoints()), matrices())
def test_points_transform_and_back(thing: Polyline | Points | Keypoints, matrix: FloatArray) -> None:
    there = transform_geometry(thing, matrix)
    assert isinstance(there, type(thing))
    np.testing.assert_allclose(there.points, [matrix @ (*point, 1) for point in thing.points], atol=1e-9)
    back = transform_geometry(there, invert_matrix(matrix))
    assert isinstance(back, type(thing))
    np.testing.assert_allclose(back.points, thing.points, atol=1e-6)
    if isinstance(thing, Keypoints) and isinstance(back, Keypoints):
        assert back.visibility == thing.visibility
        assert (back.region_area is None) == (thing.region_area is None)
        assert back.region_area == pytest.approx(thing.region_area)


@some
@given(rotated_boxes, similarities())
def test_a_rotated_box_stays_one_under_similarities(box: RotatedBox, matrix: FloatArray) -> None:
    there = transform_geometry(box, matrix)
    assert isinstance(there, RotatedBox)
    expected = np.array([matrix @ (*corner, 1) for corner in box.corners()])
    assert _same_points(np.array(there.corners()), expected)
    back = transform_geometry(there, invert_matrix(matrix))
    assert isinstance(back, RotatedBox)
    np.testing.assert_allclose(
        [back.cx, back.cy, back.width, back.height, math.remainder(back.angle - box.angle, 180)],
        [box.cx, box.cy, box.width, box.height, 0],
        atol=1e-6,
    )


@some
@given(rotated_boxes, matrices())
def test_a_sheared_rotated_box_is_the_smallest_around_its_corners(box: RotatedBox, matrix: FloatArray) -> None:
    there = transform_geometry(box, matrix)
    corners = [matrix @ (*corner, 1) for corner in box.corners()]
    smallest = min_area_rotated_box(corners)
    assert there.area() == pytest.approx(smallest.area(), rel=1e-5, abs=1e-5)
    assert isinstance(there, RotatedBox)
    along = (np.array(corners) - (there.cx, there.cy)) @ _rotation(math.radians(there.angle))
    assert (np.abs(along) <= np.array([there.width, there.height]) / 2 + 1e-6).all()


@some
@given(ellipses, matrices())
def test_points_of_an_ellipse_stay_on_it(ellipse: Ellipse, matrix: FloatArray) -> None:
    assume(min(ellipse.rx, ellipse.ry) > 0.1)
    there = transform_geometry(ellipse, matrix)
    assert isinstance(there, Ellipse)
    assert there.area() == pytest.approx(ellipse.area() * abs(np.linalg.det(matrix[:, :2])))
    border = np.array([matrix @ (*point, 1) for point in ellipse_to_polygon(ellipse, 12).parts[0][0]])
    local = (border - (there.cx, there.cy)) @ _rotation(math.radians(there.angle))
    np.testing.assert_allclose(np.linalg.norm(local / (there.rx, there.ry), axis=1), 1, atol=1e-6)


@some
@given(boxes, matrices())
def test_a_box_becomes_the_bounds_of_its_corners(box: Box, matrix: FloatArray) -> None:
    corners = [matrix @ (x, y, 1) for x in (box.x1, box.x2) for y in (box.y1, box.y2)]
    expected = (*np.min(corners, axis=0), *np.max(corners, axis=0))
    assert transform_geometry(box, matrix).bounds_xyxy() == pytest.approx(expected, abs=1e-9)


@some
@given(geometries, sizes, st.booleans(), st.booleans())
def test_flipping_twice_changes_nothing(
    geometry: Geometry, size_wh: tuple[int, int], horizontal: bool, vertical: bool
) -> None:
    if isinstance(geometry, Mask):
        size_wh = (geometry.width, geometry.height)
    matrix = flip_matrix(size_wh, horizontal=horizontal, vertical=vertical)
    there = transform_geometry(geometry, matrix, size_wh)
    back = transform_geometry(there, matrix, size_wh)
    assert there.area() == pytest.approx(geometry.area(), abs=1e-9)
    assert back.bounds_xyxy() == pytest.approx(geometry.bounds_xyxy(), abs=1e-6)
    x1, y1, x2, y2 = geometry.bounds_xyxy()
    is_nowhere = isinstance(geometry, Keypoints) and geometry.box is None and not any(geometry.visibility)
    if geometry.area() and not is_nowhere and (horizontal, vertical) == (True, False):
        assert there.bounds_xyxy() == pytest.approx((size_wh[0] - x2, y1, size_wh[0] - x1, y2), abs=1e-6)


@some
@given(pixels(), st.integers(-12, 12), st.integers(-12, 12), st.integers(0, 3), st.integers(1, 3))
def test_masks_move_flip_turn_and_scale_like_arrays(array: BoolArray, dx: int, dy: int, quarters: int, by: int) -> None:
    mask = mask_from_array(array)
    height, width = array.shape
    scaled = transform_geometry(mask, [[by, 0, 0], [0, by, 0]], (width * by, height * by))
    assert scaled == mask_from_array(array.repeat(by, axis=0).repeat(by, axis=1))
    turns = {
        0: [[1, 0, 0], [0, 1, 0]],
        1: [[0, 1, 0], [-1, 0, width]],  # as numpy turns: counter-clockwise
        2: [[-1, 0, width], [0, -1, height]],
        3: [[0, -1, height], [1, 0, 0]],
    }
    turned = np.rot90(array, quarters)
    assert transform_geometry(mask, turns[quarters], turned.shape[::-1]) == mask_from_array(turned)
    flipped = transform_geometry(mask, flip_matrix((width, height), horizontal=True), (width, height))
    assert flipped == mask_from_array(array[:, ::-1])
    padded = np.pad(array, 12)
    moved = transform_geometry(mask_from_array(padded), [[1, 0, dx], [0, 1, dy]], padded.shape[::-1])
    assert moved == mask_from_array(np.roll(padded, (dy, dx), axis=(0, 1)))


# Clipping and conversion


@settings(max_examples=200, deadline=None)
@given(geometries, sizes)
@example(Keypoints(((0.0, 0.0),), (0,), Box(0.0, 0.0, 0.0, 2.0), 1.0), (1, 1))
def test_what_is_clipped_lies_inside_and_does_not_grow(geometry: Geometry, size_wh: tuple[int, int]) -> None:
    clipped = clip_geometry(geometry, size_wh)
    share = visible_share(geometry, size_wh)
    assert 0 <= share <= 1
    if clipped is None:
        # Of keypoints none of which is labelled the box counts, whatever their region is said to have.
        counted = geometry.box if isinstance(geometry, Keypoints) and geometry.box else geometry
        assert share < 1e-6 or counted.area() <= 1e-9
        return
    x1, y1, x2, y2 = clipped.bounds_xyxy()
    assert x1 >= 0
    assert y1 >= 0
    assert x2 <= size_wh[0]
    assert y2 <= size_wh[1]
    # Of keypoints whose box lies elsewhere only the points may be left, and they may span more.
    if not (isinstance(geometry, Keypoints) and isinstance(clipped, Keypoints) and geometry.box and not clipped.box):
        assert clipped.area() <= geometry.area() * (1 + 1e-9)
    again = clip_geometry(clipped, size_wh)
    assert again is not None
    assert again.area() == pytest.approx(clipped.area())


@few
@given(polygons(), sizes)
def test_a_clipped_polygon_holds_the_same_pixels(polygon: Polygon, size_wh: tuple[int, int]) -> None:
    clipped = clip_geometry(polygon, size_wh)
    # A clipped corner may move by a rounding error, so a fine grid is counted instead of single pixels.
    scale = 8
    fine_size = (size_wh[0] * scale, size_wh[1] * scale)
    enlarge = [[scale, 0, 0], [0, scale, 0]]
    before = _raster(transform_geometry(polygon, enlarge), fine_size)
    after = (
        _raster(transform_geometry(clipped, enlarge), fine_size)
        if clipped
        else Mask(*fine_size, (math.prod(fine_size),))
    )
    differing = subtract_masks(before, [after]).area() + subtract_masks(after, [before]).area()
    assert differing <= 2
    if clipped:
        assert clipped.area() == pytest.approx(after.area() / scale**2, abs=0.05 * (1 + sum(size_wh)))


def _raster(geometry: Geometry, size_wh: tuple[int, int]) -> Mask:
    assert isinstance(geometry, Polygon)
    return polygon_to_mask(geometry, size_wh)


@some
@given(polylines, sizes)
def test_pieces_of_a_polyline_lie_inside_and_on_the_line(line: Polyline, size_wh: tuple[int, int]) -> None:
    starts, ends = np.array(line.points[:-1]), np.array(line.points[1:])
    lengths = np.linalg.norm(ends - starts, axis=1)
    samples = (np.arange(400) + 0.5) / 400
    places = starts[:, None] + samples[:, None] * (ends - starts)[:, None]
    inside = ((places >= 0) & (places <= np.array(size_wh))).all(axis=-1).mean(axis=1)
    pieces = clip_polyline(line, size_wh)
    total = sum(math.dist(a, b) for piece in pieces for a, b in pairwise(piece.points))
    assert total == pytest.approx(float((inside * lengths).sum()), abs=0.01 * (lengths.sum() + 1e-6))
    for x1, y1, x2, y2 in (piece.bounds_xyxy() for piece in pieces):
        assert min(x1, y1) >= 0
        assert (x2, y2) <= size_wh or (x2 <= size_wh[0] and y2 <= size_wh[1])


@some
@given(boxes | rotated_boxes | polygons() | ellipses, sizes, st.sampled_from(["box", "rotated_box", "polygon", "mask"]))
def test_what_converts_exactly_keeps_its_area_and_comes_back(
    geometry: Geometry, size_wh: tuple[int, int], target_type: str
) -> None:
    made, exact = convert(geometry, target_type, size_wh)
    assert made.type == target_type
    if target_type in ("box", "rotated_box"):
        assert made.area() >= geometry.area() * (1 - 1e-9) - 1e-9
    if exact:
        assert made.area() == pytest.approx(geometry.area(), abs=1e-9)
        np.testing.assert_allclose(made.bounds_xyxy(), geometry.bounds_xyxy(), atol=1e-6)
    if geometry.type == "box" and target_type in ("rotated_box", "polygon"):
        assert exact
        back, exact = convert(made, "box")
        assert exact
        np.testing.assert_allclose(back.bounds_xyxy(), geometry.bounds_xyxy(), atol=1e-9)


@some
@given(masks)
def test_a_mask_fits_in_what_it_becomes(mask: Mask) -> None:
    assume(mask.area())
    for target_type in ("box", "rotated_box", "polygon"):
        made, exact = convert(mask, target_type)
        assert made.area() >= mask.area() - 1e-6
        assert exact == (abs(made.area() - mask.area()) < 1e-6)
        polygon, _ = convert(made, "polygon")
        assert isinstance(polygon, Polygon)
        again, exact_again = convert(polygon, "mask", (mask.width, mask.height))
        if target_type != "rotated_box":
            assert again.area() >= mask.area()
            assert exact_again
        if exact and target_type != "rotated_box":
            assert again == mask


@given(pixels(), st.integers(1, 8))
def test_orientations_move_masks_as_pillow_does(array: BoolArray, orientation: int) -> None:
    image = Image.fromarray(array.astype(np.uint8) * 255)
    image.getexif()[0x0112] = orientation
    displayed = np.asarray(ImageOps.exif_transpose(image)) > 0
    height, width = displayed.shape
    matrix = orientation_matrix(orientation, image.size)
    mask = mask_from_array(array)
    turned = transform_geometry(mask, matrix, (width, height))
    assert turned == mask_from_array(displayed)
    assert transform_geometry(turned, invert_matrix(matrix), image.size) == mask
    box = Box(0, 0, *image.size)
    assert transform_geometry(box, matrix) == Box(0, 0, width, height)


@given(
    st.one_of(boxes, rotated_boxes, polygons(), keypoints(), ellipses),
    st.integers(1, 8),
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
)
def test_orientations_have_an_inverse(geometry: Geometry, orientation: int, size_wh: tuple[int, int]) -> None:
    matrix = orientation_matrix(orientation, size_wh)
    turned = transform_geometry(geometry, matrix)
    back = transform_geometry(turned, invert_matrix(matrix))
    assert type(back) is type(geometry)
    assert back.bounds_xyxy() == pytest.approx(geometry.bounds_xyxy(), abs=1e-6)
    assert turned.area() == pytest.approx(geometry.area())
    for point in np.array(_points_of(geometry)) @ matrix[:, :2].T + matrix[:, 2]:
        assert _distance_to_nearest(point, _points_of(turned)) < 1e-6


def _points_of(geometry: Geometry) -> list[tuple[float, float]]:
    match geometry:
        case Box():
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
        case RotatedBox():
            return list(geometry.corners())
        case Polygon():
            return [point for part in geometry.parts for ring in part for point in ring]
        case Ellipse():
            return [(geometry.cx, geometry.cy)]
        case _:
            assert isinstance(geometry, Keypoints)
            return list(geometry.points)


def _distance_to_nearest(point: FloatArray, others: list[tuple[float, float]]) -> float:
    return min(math.dist(point.tolist(), other) for other in others)


def test_an_orientation_must_be_known() -> None:
    with pytest.raises(InvalidValueError, match="1 to 8, not 9"):
        orientation_matrix(9, (4, 3))


@given(st.data())
def test_masks_from_labels_equal_masks_of_each_value(data: st.DataObject) -> None:
    height, width, count = (data.draw(st.integers(low, 12)) for low in (0, 0, 1))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.int32, np.int64]))
    seed = data.draw(st.integers(0, 2**16))
    labels = np.random.default_rng(seed).integers(0, count, (height, width)).astype(dtype)
    masks = {value: mask for (value,), mask in masks_from_labels(labels)}
    assert masks == {value: mask_from_array(labels == value) for value in np.unique(labels).tolist()}
    assert list(masks) == distinct_values(labels) == np.unique(labels).tolist()
    others = np.random.default_rng(seed + 1).integers(0, 3, (height, width))
    pairs = np.unique(np.stack([labels.ravel(), others.ravel()], axis=1), axis=0).tolist()
    assert dict(masks_from_labels(labels, others)) == {
        (value, other): mask_from_array((labels == value) & (others == other)) for value, other in pairs
    }


def test_labels_of_pixels_have_two_dimensions() -> None:
    with pytest.raises(InvalidValueError, match=r"not \(1, 2, 3\)"):
        list(masks_from_labels(np.zeros((1, 2, 3), np.uint8)))
    with pytest.raises(InvalidValueError, match=r"not \(1, 2\), \(2, 1\)"):
        list(masks_from_labels(np.zeros((1, 2), np.uint8), np.zeros((2, 1), np.uint8)))
