"""Transforms, clipping and conversion by hand."""

from __future__ import annotations

import math

import pytest

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import (
    ELLIPSE_POINTS,
    clip_geometry,
    clip_polyline,
    convert,
    ellipse_to_polygon,
    flip_matrix,
    invert_matrix,
    transform_geometry,
    visible_share,
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
    RotatedBox,
)

QUARTER = [[0, -1, 10], [1, 0, 0]]  # clockwise, of an image 10 high
SHEAR = [[1, 1, 0], [0, 1, 0]]
SIZE = (10, 8)
OUTER = ((2.0, 2.0), (14.0, 2.0), (14.0, 6.0), (2.0, 6.0))
HOLE = ((8.0, 3.0), (8.0, 5.0), (12.0, 5.0), (12.0, 3.0))


@pytest.mark.parametrize(
    ("geometry", "matrix", "expected"),
    [
        (Box(1, 2, 3, 5), QUARTER, Box(5, 1, 8, 3)),
        (Box(0, 0, 2, 2), SHEAR, Box(0, 0, 4, 2)),
        (Polyline(((0, 0), (1, 2))), SHEAR, Polyline(((0, 0), (3, 2)))),
        (Points(((1, 2),)), QUARTER, Points(((8, 1),))),
        (Polygon.simple([(0, 0), (1, 0), (0, 1)]), SHEAR, Polygon.simple([(0, 0), (1, 0), (1, 1)])),
        (RotatedBox(4, 3, 4, 2, 30), flip_matrix(SIZE, horizontal=True), RotatedBox(6, 3, 4, 2, 150)),
        (RotatedBox(4, 3, 4, 2, 30), flip_matrix(SIZE, vertical=True), RotatedBox(4, 5, 4, 2, -30)),
        (RotatedBox(4, 3, 4, 2, 30), flip_matrix(SIZE, horizontal=True, vertical=True), RotatedBox(6, 5, 4, 2, -150)),
        (RotatedBox(4, 3, 4, 2, 270), [[1, 0, 1], [0, 1, 0]], RotatedBox(5, 3, 4, 2, -90)),
        (RotatedBox(4, 3, 4, 2, 0), [[2, 0, 0], [0, 3, 0]], RotatedBox(8, 9, 8, 6, 0)),
        (Ellipse(4, 3, 1, 2, 30), flip_matrix(SIZE, horizontal=True), Ellipse(6, 3, 1, 2, 150)),
        (Ellipse(4, 3, 1, 2, 90), [[2, 0, 0], [0, 3, 0]], Ellipse(8, 9, 3, 4, 90)),
    ],
)
def test_transform(geometry: Geometry, matrix: list[list[float]], expected: Geometry) -> None:
    assert transform_geometry(geometry, matrix) == expected


def test_a_turned_box_turns_its_angle() -> None:
    turned = transform_geometry(RotatedBox(4, 3, 4, 2, 30), QUARTER)
    assert isinstance(turned, RotatedBox)
    assert (turned.cx, turned.cy, turned.width, turned.height, turned.angle) == pytest.approx((7, 4, 4, 2, 120))


def test_a_sheared_square_gets_the_smallest_box_around_it() -> None:
    sheared = transform_geometry(RotatedBox(0, 0, 2, 2, 0), SHEAR)
    assert sheared.area() == pytest.approx(6)


def test_a_sheared_box_without_width_stays_a_line() -> None:
    sheared = transform_geometry(RotatedBox(0, 0, 0, 2, 0), SHEAR)
    assert isinstance(sheared, RotatedBox)
    assert (sheared.width, sheared.height) == pytest.approx((0, 8**0.5))


def test_a_sheared_circle_keeps_its_area_in_an_ellipse() -> None:
    sheared = transform_geometry(Ellipse(1, 1, 2, 2), SHEAR)
    assert isinstance(sheared, Ellipse)
    golden = (1 + 5**0.5) / 2
    assert (sheared.cx, sheared.cy, sheared.rx, sheared.ry) == pytest.approx((2, 1, 2 * golden, 2 / golden))


def test_keypoints_keep_what_is_labelled() -> None:
    skeleton = Keypoints(((1, 2), (0, 0)), (2, 0), Box(0, 1, 3, 4), 5.0)
    made = transform_geometry(skeleton, [[-2, 0, 10], [0, 2, 0]])
    assert made == Keypoints(((8, 4), (10, 0)), (2, 0), Box(4, 2, 10, 8), 20.0)


@pytest.mark.parametrize(
    "matrix",
    [[[1, 0], [0, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, 0, math.nan], [0, 1, 0]], [[1, 2, 0], [2, 4, 0]]],
)
def test_bad_matrices_are_refused(matrix: list[list[float]]) -> None:
    with pytest.raises(InvalidValueError, match="a finite, invertible 2x3 matrix, not"):
        transform_geometry(Box(0, 0, 1, 1), matrix)
    with pytest.raises(InvalidValueError, match="invertible"):
        invert_matrix(matrix)


def test_a_mask_needs_the_size_of_its_image() -> None:
    with pytest.raises(InvalidValueError, match="size_wh"):
        transform_geometry(Mask(1, 1, (0, 1)), SHEAR)
    assert transform_geometry(Mask(2, 2, (4,)), SHEAR, (3, 1)) == Mask(3, 1, (3,))


CLIPPED: list[tuple[Geometry, Geometry | None, float]] = [
    (Box(1, 1, 2, 2), Box(1, 1, 2, 2), 1),
    (Box(8, 6, 12, 10), Box(8, 6, 10, 8), 1 / 4),
    (Box(10, 0, 12, 3), None, 0),
    (Box(1, 1, 1, 5), None, 1),
    (RotatedBox(5, 4, 2, 2, 45), RotatedBox(5, 4, 2, 2, 45), 1),
    (RotatedBox(10, 4, 4, 2, 0), Polygon.simple([(8, 3), (10, 3), (10, 5), (8, 5)]), 1 / 2),
    (Ellipse(5, 4, 3, 2, 10), Ellipse(5, 4, 3, 2, 10), 1),
    (Ellipse(50, 4, 3, 2, 10), None, 0),
    (Polygon(((OUTER, HOLE),)), None, 28 / 40),
    (Polygon.simple([(11, 0), (12, 0), (12, 9)]), None, 0),
    (
        Polygon(((((20, 0), (22, 0), (22, 2)),), (((0, 0), (1, 0), (1, 1)),))),
        Polygon.simple([(0, 0), (1, 0), (1, 1)]),
        0.2,
    ),
    (Polyline(((-2, 1), (2, 1), (2, -9))), Polyline(((0, 1), (2, 1), (2, 0))), 3 / 14),
    (Polyline(((-2, 1), (-2, 5))), None, 0),
    (Points(((1, 1), (11, 1), (10, 8))), Points(((1, 1), (10, 8))), 2 / 3),
    (Points(((11, 1),)), None, 0),
    (Keypoints(((1, 1), (11, 1)), (2, 1)), Keypoints(((1, 1), (11, 1)), (2, 0)), 1 / 2),
    (Keypoints(((1, 1), (2, 2)), (2, 0)), Keypoints(((1, 1), (2, 2)), (2, 0)), 1),
    (Keypoints(((11, 1),), (1,)), None, 0),
    (Keypoints(((1, 1),), (0,), None, 5), None, 0),
    (Keypoints(((1, 1), (2, 2)), (2, 2), Box(0, 0, 0, 0)), Keypoints(((1, 1), (2, 2)), (2, 2), Box(0, 0, 0, 0)), 1),
    (Keypoints(((1, 1), (2, 2)), (2, 2), Box(20, 0, 21, 1)), Keypoints(((1, 1), (2, 2)), (2, 2)), 1),
    (Keypoints(((1, 1),), (0,), Box(8, 0, 12, 4)), Keypoints(((1, 1),), (0,), Box(8, 0, 10, 4)), 1 / 2),
    (Keypoints(((12, 1),), (1,), Box(8, 0, 12, 4), 6), Keypoints(((12, 1),), (0,), Box(8, 0, 10, 4), 3), 0),
    (Mask(10, 8, (3, 2, 75)), Mask(10, 8, (3, 2, 75)), 1),
    (Mask(1, 10, (7, 2, 1)), Mask(10, 8, (7, 1, 72)), 1 / 2),
    (Mask(10, 8, (80,)), None, 1),
]


@pytest.mark.parametrize(("geometry", "expected", "share"), CLIPPED)
def test_clip(geometry: Geometry, expected: Geometry | None, share: float) -> None:
    clipped = clip_geometry(geometry, SIZE)
    if isinstance(expected, Polygon) and isinstance(clipped, Polygon):
        assert [set(ring) for part in clipped.parts for ring in part] == [
            set(ring) for part in expected.parts for ring in part
        ]
    elif isinstance(geometry, Polygon) and expected is None and share:
        assert clipped is not None
        assert clipped.area() == pytest.approx(share * geometry.area())
    else:
        assert clipped == expected
    assert visible_share(geometry, SIZE) == pytest.approx(share)


def test_half_an_ellipse() -> None:
    ellipse = Ellipse(0, 4, 3, 2, 20)
    clipped = clip_geometry(ellipse, SIZE)
    assert isinstance(clipped, Polygon)
    assert clipped.area() == pytest.approx(ellipse.area() / 2, rel=0.002)
    assert visible_share(ellipse, SIZE) == pytest.approx(0.5)


def test_pieces_of_a_polyline() -> None:
    zigzag = Polyline(((-1, 1), (4, 1), (4, -1), (6, -1), (6, 5)))
    assert clip_polyline(zigzag, SIZE) == [Polyline(((0, 1), (4, 1), (4, 0))), Polyline(((6, 0), (6, 5)))]
    assert clip_geometry(zigzag, SIZE) == Polyline(((0, 1), (4, 1), (4, 0)))


def test_a_hole_that_hides_all_that_is_left_leaves_nothing() -> None:
    frame = ((-5.0, -5.0), (15.0, -5.0), (15.0, 15.0), (-5.0, 15.0))
    hole = ((-1.0, -1.0), (-1.0, 11.0), (11.0, 11.0), (11.0, -1.0))
    assert clip_geometry(Polygon(((frame, hole),)), SIZE) is None


SQUARE = Polygon.simple([(1, 1), (3, 1), (3, 3), (1, 3)])
CONVERTED: list[tuple[Geometry, str, Geometry, bool]] = [
    (Box(1, 1, 3, 3), "box", Box(1, 1, 3, 3), True),
    (Box(1, 1, 3, 3), "rotated_box", RotatedBox(2, 2, 2, 2, 0), True),
    (Box(1, 1, 3, 3), "polygon", SQUARE, True),
    (Box(1, 1, 3, 3), "mask", Mask(10, 8, (9, 2, 6, 2, 61)), True),
    (Box(1.2, 1, 3, 3), "mask", Mask(10, 8, (9, 2, 6, 2, 61)), False),
    (Box(-1, 1, 3, 3), "mask", Mask(10, 8, (1, 2, 6, 2, 6, 2, 61)), False),
    (RotatedBox(2, 2, 2, 2, 0), "box", Box(1, 1, 3, 3), True),
    (RotatedBox(2, 2, 2, 2, 0), "polygon", SQUARE, True),
    (RotatedBox(2, 2, 2, 2, 0), "mask", Mask(10, 8, (9, 2, 6, 2, 61)), True),
    (SQUARE, "box", Box(1, 1, 3, 3), True),
    (SQUARE, "rotated_box", RotatedBox(2, 2, 2, 2, 0), True),
    (SQUARE, "mask", Mask(10, 8, (9, 2, 6, 2, 61)), True),
    (Polygon.simple([(1, 1), (3, 1), (3, 3)]), "box", Box(1, 1, 3, 3), False),
    (Polygon((*SQUARE.parts, (((5, 1), (6, 1), (6, 3), (5, 3)),))), "box", Box(1, 1, 6, 3), False),
    (Mask(10, 8, (9, 2, 6, 2, 61)), "box", Box(1, 1, 3, 3), True),
    (Mask(10, 8, (9, 2, 6, 2, 61)), "polygon", SQUARE, True),
    (Mask(10, 8, (9, 2, 6, 2, 61)), "rotated_box", RotatedBox(2, 2, 2, 2, 0), True),
    (Mask(10, 8, (9, 2, 6, 1, 62)), "box", Box(1, 1, 3, 3), False),
    (Mask(10, 9, (80, 9, 1)), "mask", Mask(10, 8, (71, 8, 1)), False),
    (Ellipse(2, 2, 1, 2), "box", Box(1, 0, 3, 4), False),
    (Ellipse(2, 2, 1, 2, 30), "rotated_box", RotatedBox(2, 2, 2, 4, 30), False),
    (Polyline(((1, 1), (3, 3))), "box", Box(1, 1, 3, 3), False),
    (Points(((1, 1), (3, 1), (3, 3))), "rotated_box", RotatedBox(2, 2, 2, 2, 0), False),
    (Keypoints(((9, 9), (1, 1), (3, 3)), (0, 1, 2)), "box", Box(1, 1, 3, 3), False),
    (Keypoints(((2, 2),), (2,), Box(1, 1, 3, 3)), "rotated_box", RotatedBox(2, 2, 2, 2, 0), False),
    (Points(((1, 1),)), "points", Points(((1, 1),)), True),
]


@pytest.mark.parametrize(("geometry", "target_type", "expected", "exact"), CONVERTED)
def test_convert(geometry: Geometry, target_type: str, expected: Geometry, exact: bool) -> None:
    made, is_exact = convert(geometry, target_type, SIZE)
    if isinstance(made, Mask) and isinstance(geometry, Mask):
        assert (made.width, made.height, made.area()) == (10, 8, 8)
    elif isinstance(made, RotatedBox) and isinstance(expected, RotatedBox):
        assert made.corners() == tuple(pytest.approx(corner) for corner in expected.corners())
    else:
        assert made == expected
    assert is_exact is exact


def test_an_ellipse_becomes_a_polygon_of_a_stated_number_of_points() -> None:
    ellipse = Ellipse(50, 40, 30, 20, 15)
    polygon, exact = convert(ellipse, "polygon")
    assert isinstance(polygon, Polygon)
    assert len(polygon.parts[0][0]) == ELLIPSE_POINTS
    assert not exact
    assert polygon.area() == pytest.approx(ellipse.area(), rel=0.0017)
    finer, _ = convert(ellipse, "polygon", ellipse_points=360)
    assert finer == ellipse_to_polygon(ellipse, 360)
    mask, exact = convert(ellipse, "mask", (100, 80))
    assert mask.area() == pytest.approx(ellipse.area(), rel=0.01)
    assert not exact


IMPOSSIBLE: list[tuple[Geometry, str, str]] = [
    (Points(((1, 1),)), "mask", "points cannot be converted to a mask"),
    (Polyline(((1, 1), (2, 2))), "polygon", "polyline cannot be converted to a polygon"),
    (Keypoints(((1, 1),), (2,)), "mask", "keypoints cannot be converted to a mask"),
    (Box(0, 0, 1, 1), "ellipse", "box cannot be converted to a ellipse"),
    (Box(0, 0, 1, 1), "keypoints", "box cannot be converted to a keypoints"),
    (Points(((1, 1),)), "box", "points cannot be converted to a box: it has no extent"),
    (Polyline(((1, 1), (1, 5))), "box", "it has no extent"),
    (Keypoints(((1, 1),), (0,)), "rotated_box", "it has no extent"),
    (Mask(10, 8, (80,)), "box", "mask cannot be converted to a box: it has no extent"),
    (Mask(10, 8, (80,)), "rotated_box", "mask cannot be converted to a rotated_box: it is empty"),
    (Mask(10, 8, (80,)), "polygon", "mask cannot be converted to a polygon: it is empty"),
    (Box(0, 0, 1, 1), "boxx", r"There is no geometry 'boxx'\. Did you mean box"),
]


@pytest.mark.parametrize(("geometry", "target_type", "message"), IMPOSSIBLE)
def test_what_cannot_be_converted_names_both_types(geometry: Geometry, target_type: str, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        convert(geometry, target_type, SIZE)


def test_a_mask_is_not_made_without_a_size() -> None:
    with pytest.raises(
        InvalidValueError, match=r"Converting a box to a mask requires the size of the image \(size_wh\)"
    ):
        convert(Box(0, 0, 1, 1), "mask")
