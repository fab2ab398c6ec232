"""Objects and geometries: what is refused and how, bounds and areas, equality, and the way to another process."""

from __future__ import annotations

import copy
import json
import math
import multiprocessing
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict
from types import MappingProxyType

import numpy as np
import pytest

from saccade.core.digest import digest_json
from saccade.core.errors import InvalidValueError
from saccade.core.objects import (
    GEOMETRY_TYPES,
    Box,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Object,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)

NAN, INF = math.nan, math.inf
SQUARE = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))
HOLE = ((1.0, 1.0), (1.0, 3.0), (2.0, 3.0), (2.0, 1.0))

REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: Box(3, 0, 1, 2), r"A box needs finite x1 <= x2 and y1 <= y2, not \(3.0, 0.0, 1.0, 2.0\)"),
    (lambda: Box(0, 3, 1, 2), "y1 <= y2"),
    (lambda: Box(NAN, 0, 1, 2), "finite"),
    (lambda: Box(0, 0, INF, 2), "finite"),
    (lambda: Box("left", 0, 1, 2), "A box needs a number for x1, not 'left'"),  # type: ignore[arg-type]
    (lambda: Box(None, 0, 1, 2), "A box needs a number for x1, not None"),  # type: ignore[arg-type]
    (lambda: RotatedBox(0, 0, -1, 2, 0), "A rotated box needs sides >= 0, not -1.0 x 2.0"),
    (lambda: RotatedBox(0, 0, 1, 2, NAN), "A rotated box needs finite numbers"),
    (lambda: RotatedBox(INF, -INF, 1, 2, 0), "A rotated box needs finite numbers"),
    (lambda: Ellipse(0, 0, -1, 2), "An ellipse needs radii >= 0, not -1.0 and 2.0"),
    (lambda: Ellipse(0, INF, 1, 2), "An ellipse needs finite numbers"),
    (lambda: Polygon(()), "A polygon needs at least one part"),
    (lambda: Polygon(((),)), "each part an outer ring"),
    (lambda: Polygon.simple([(0, 0), (1, 1)]), "A ring of a polygon needs at least 3 points, not 2"),
    (lambda: Polygon(((SQUARE, ((0, 0), (1, 1))),)), "at least 3 points, not 2"),
    (lambda: Polygon.simple([(0, 0), (1, NAN), (2, 2)]), "A ring of a polygon needs finite numbers"),
    (lambda: Polygon.simple([(0, 0), (INF, -INF), (2, 2)]), "A ring of a polygon needs finite numbers"),
    (lambda: Polygon.simple([(0, 0, 1), (1, 1, 1), (2, 2, 1)]), "A ring of a polygon needs pairs of numbers"),
    (lambda: Polyline(((0, 0),)), "A polyline needs at least 2 points, not 1"),
    (lambda: Polyline(((0, 0), (NAN, 0))), "A polyline needs finite"),
    (lambda: Points(()), "Points needs at least 1 points, not 0"),
    (lambda: Points(((0, "x"),)), "Points needs pairs of numbers"),  # type: ignore[arg-type]
    (lambda: Keypoints(((0, 0),), (3,)), r"a visibility of 0, 1 or 2 for each of 1 points, not \(3,\)"),
    (lambda: Keypoints(((0, 0),), (1, 1)), "for each of 1 points"),
    (lambda: Keypoints(((0, 0),), (1.5,)), "A visibility needs whole numbers"),  # type: ignore[arg-type]
    (lambda: Keypoints(((0, 0),), (1,), None, NAN), "a finite region_area >= 0, not nan"),
    (lambda: Keypoints(((0, 0),), (1,), None, -1), "a finite region_area >= 0, not -1.0"),
    (lambda: Mask(2, 2, (1, 1)), "of a mask of 2 x 2 must add up to 4 pixels, not 2"),
    (lambda: Mask(-2, 2, ()), "A mask needs sizes and counts >= 0, not -2 x 2"),
    (lambda: Mask(2, 2, (5, -1)), "counts >= 0, not 2 x 2 with counts from -1"),
    (lambda: Mask(2, 2, (1.5, 2.5)), "A mask needs whole numbers"),  # type: ignore[arg-type]
    (lambda: Object("", "cat", Box(0, 0, 1, 1)), "An object needs an id and a class, not '' and 'cat'"),
    (lambda: Object("1", "", Box(0, 0, 1, 1)), "An object needs an id and a class, not '1' and ''"),
    (lambda: Object("1", "cat", Box(0, 0, 1, 1), score=NAN), "A score must be finite, not nan"),
    (lambda: Object("1", "cat", Box(0, 0, 1, 1), score=INF), "A score must be finite, not inf"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_bad_values_are_refused_with_a_message(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        make()


EXTENTS: list[tuple[Geometry, tuple[float, float, float, float], float]] = [
    (Box(1, 2, 4, 6), (1, 2, 4, 6), 12),
    (Box(1, 2, 1, 6), (1, 2, 1, 6), 0),
    (RotatedBox(5, 5, 4, 2, 0), (3, 4, 7, 6), 8),
    (RotatedBox(5, 5, 4, 2, 90), (4, 3, 6, 7), 8),
    (RotatedBox(0, 0, 2, 2, 45), (-math.sqrt(2), -math.sqrt(2), math.sqrt(2), math.sqrt(2)), 4),
    (Polygon.simple(SQUARE), (0, 0, 4, 4), 16),
    (Polygon.simple(SQUARE[::-1]), (0, 0, 4, 4), 16),
    (Polygon(((SQUARE, HOLE),)), (0, 0, 4, 4), 14),
    (Polygon(((SQUARE, HOLE), (((9, 9), (11, 9), (9, 11)),))), (0, 0, 11, 11), 16),
    (Polygon(((HOLE, SQUARE),)), (1, 1, 2, 3), 0),
    (Mask(5, 4, (20,)), (0, 0, 0, 0), 0),
    (Mask(0, 0, ()), (0, 0, 0, 0), 0),
    (Mask(5, 4, (0, 20)), (0, 0, 5, 4), 20),
    (Mask(5, 4, (9, 2, 2, 2, 2, 2, 1)), (2, 1, 5, 3), 6),
    (Mask(5, 4, (7, 2, 11)), (1, 0, 3, 4), 2),
    (Polyline(((3, 1), (1, 4), (2, 2))), (1, 1, 3, 4), 0),
    (Points(((3, 1), (1, 4))), (1, 1, 3, 4), 0),
    (Keypoints(((0, 0), (2, 3), (5, 9)), (0, 1, 2)), (2, 3, 5, 9), 18),
    (Keypoints(((0, 0), (2, 3)), (0, 0)), (0, 0, 0, 0), 0),
    (Keypoints(((2, 3),), (2,), Box(1, 1, 5, 5)), (1, 1, 5, 5), 16),
    (Keypoints(((2, 3),), (2,), Box(1, 1, 5, 5), 7), (1, 1, 5, 5), 7),
    (Ellipse(1, 2, 3, 2), (-2, 0, 4, 4), 6 * math.pi),
    (Ellipse(1, 2, 3, 2, 90), (-1, -1, 3, 5), 6 * math.pi),
]


@pytest.mark.parametrize(("geometry", "bounds", "area"), EXTENTS)
def test_bounds_and_area(geometry: Geometry, bounds: tuple[float, ...], area: float) -> None:
    assert geometry.bounds_xyxy() == pytest.approx(bounds)
    assert geometry.area() == pytest.approx(area)


def test_the_table_of_extents_has_every_type() -> None:
    assert {type(geometry) for geometry, _, _ in EXTENTS} == set(GEOMETRY_TYPES.values())
    assert all(cls.type == name for name, cls in GEOMETRY_TYPES.items())


def test_corners_turn_clockwise_on_the_screen() -> None:
    assert RotatedBox(0, 0, 4, 2, 0).corners() == ((-2, -1), (2, -1), (2, 1), (-2, 1))
    turned = [number for point in RotatedBox(0, 0, 4, 2, 90).corners() for number in point]
    assert turned == pytest.approx([1, -2, 1, 2, -1, 2, -1, -2])


def test_equal_pixels_are_equal_masks() -> None:
    assert Mask(2, 2, (1, 0, 0, 2, 1, 0)).counts == (1, 2, 1)
    assert Mask(2, 2, (0, 0, 4)) == Mask(2, 2, (4,))
    assert Mask(2, 2, (0, 4, 0)) == Mask(2, 2, (0, 4))
    assert Mask(2, 0, (0,)) == Mask(2, 0, ())
    assert Mask(2, 2, (1, 3)) != Mask(2, 2, (3, 1))


def test_numbers_of_numpy_become_plain_ones_with_the_same_digest() -> None:
    plain: list[Geometry] = [Box(1, 2, 3, 4), Mask(2, 2, (1, 3)), Keypoints(((1, 2),), (2,)), Ellipse(1, 2, 3, 4)]
    made: list[Geometry] = [
        Box(*np.arange(1, 5, dtype=np.float32)),
        Mask(np.int64(2), np.int32(2), np.array([1, 3])),  # type: ignore[arg-type]
        Keypoints(np.array([[1, 2]]), np.array([2])),  # type: ignore[arg-type]
        Ellipse(*np.arange(1, 5)),
    ]
    for one, other in zip(plain, made, strict=True):
        assert one == other
        assert hash(one) == hash(other)
        assert digest_json(asdict(one)) == digest_json(asdict(other))
    assert json.dumps(asdict(Box(1, 2, 3, 4))) == '{"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}'


def _object(geometry: Geometry) -> Object:
    return Object("1", "cat", geometry, 0.5, "t", {"crowd": True, "age": 3})


@pytest.mark.parametrize("geometry", [geometry for geometry, _, _ in EXTENTS])
def test_objects_are_values(geometry: Geometry) -> None:
    thing, same = _object(geometry), _object(geometry)
    assert thing == same
    assert hash(thing) == hash(same)
    assert thing != Object("2", "cat", geometry, 0.5, "t", {"crowd": True, "age": 3})
    assert thing != Object("1", "cat", geometry, 0.5, "t", {"crowd": True, "age": 4})
    assert pickle.loads(pickle.dumps(thing)) == thing
    with pytest.raises(FrozenInstanceError):
        thing.id = "3"  # type: ignore[misc]


def test_objects_go_to_another_process_and_back() -> None:
    things = [_object(geometry) for geometry, _, _ in EXTENTS]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(copy.deepcopy, things) == things


def test_attributes_are_a_copy_that_travels() -> None:
    given: dict[str, str | int | float | bool] = {"crowd": True}
    thing = Object("1", "cat", Box(0, 0, 1, 1), attributes=MappingProxyType(given))
    given["crowd"] = False
    assert thing.is_crowd
    assert pickle.loads(pickle.dumps(thing)) == thing


def test_a_crowd_is_one_that_says_so() -> None:
    assert not Object("1", "cat", Box(0, 0, 1, 1)).is_crowd
    assert not Object("1", "cat", Box(0, 0, 1, 1), attributes={"crowd": False}).is_crowd
    assert Object("1", "cat", Box(0, 0, 1, 1), attributes={"crowd": 1}).is_crowd
