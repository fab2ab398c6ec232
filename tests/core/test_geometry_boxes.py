"""Boxes, upright and rotated: shapes, empty input, and overlaps worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from saccade.core import geometry
from saccade.core.errors import InvalidValueError
from saccade.core.geometry import (
    boxes_area,
    boxes_iou,
    boxes_visible_share,
    clip_boxes,
    min_area_rotated_box,
    rotated_corners,
    rotated_iou,
    xywh_to_xyxy,
    xyxy_to_cxcywh,
    xyxy_to_xywh,
)
from saccade.core.objects import RotatedBox


def test_everything_public_is_there_and_sorted() -> None:
    assert all(hasattr(geometry, name) for name in geometry.__all__)
    assert geometry.__all__ == sorted(geometry.__all__)


def test_conventions() -> None:
    assert xywh_to_xyxy([[1, 2, 3, 4]]).tolist() == [[1, 2, 4, 6]]
    assert xyxy_to_xywh([[1, 2, 4, 6]]).tolist() == [[1, 2, 3, 4]]
    assert xyxy_to_cxcywh([[1, 2, 4, 6]]).tolist() == [[2.5, 4, 3, 4]]


def test_input_is_left_alone() -> None:
    boxes = np.array([[-1.0, 2, 3, 4]])
    clip_boxes(boxes, (2, 2))
    xywh_to_xyxy(boxes)
    boxes_iou(boxes, boxes)
    assert boxes.tolist() == [[-1, 2, 3, 4]]


def test_no_boxes_are_fine() -> None:
    assert boxes_iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert boxes_iou([[0, 0, 1, 1]], np.zeros((0, 4))).shape == (1, 0)
    assert rotated_iou([], []).shape == (0, 0)
    assert rotated_corners([]).shape == (0, 4, 2)
    assert boxes_area([]).shape == (0,)


@pytest.mark.parametrize("bad", [[1, 2, 3, 4], [[1, 2, 3]], np.zeros((2, 4, 1)), np.zeros((2, 0))])
def test_other_shapes_are_refused(bad: object) -> None:
    with pytest.raises(InvalidValueError, match=r"boxes_iou needs an array of shape \(N, 4\), not \("):
        boxes_iou(bad, [[0, 0, 1, 1]])  # type: ignore[arg-type]


def test_crowd_flags_must_fit() -> None:
    with pytest.raises(InvalidValueError, match=r"crowd flags need the shape \(1,\), not \(2,\)"):
        boxes_iou([[0, 0, 1, 1]], [[0, 0, 1, 1]], [True, False])


def test_iou_by_hand() -> None:
    boxes, others = [[0, 0, 4, 4], [5, 5, 6, 6]], [[2, 0, 6, 4], [0, 0, 8, 8], [1, 1, 1, 9]]
    assert boxes_iou(boxes, others) == pytest.approx(np.array([[8 / 24, 16 / 64, 0], [0, 1 / 64, 0]]))
    crowd = boxes_iou(boxes, others, [False, True, True])
    assert crowd == pytest.approx(np.array([[8 / 24, 1, 0], [0, 1, 0]]))
    assert boxes_iou([[1, 1, 1, 1]], [[1, 1, 1, 1]]).tolist() == [[0]]


def test_a_box_that_is_inside_out_has_no_area() -> None:
    assert boxes_area([[4, 4, 0, 0], [4, 0, 0, 4]]).tolist() == [0, 0]


def test_clipping_and_shares() -> None:
    boxes = [[-2, 0, 2, 4], [20, 20, 30, 30], [1, 1, 2, 2], [0, 0, 0, 5]]
    assert clip_boxes(boxes, (10, 10)).tolist() == [[0, 0, 2, 4], [10, 10, 10, 10], [1, 1, 2, 2], [0, 0, 0, 5]]
    assert boxes_visible_share(boxes, (10, 10)).tolist() == [0.5, 0, 1, 0]


def test_rotated_iou_by_hand() -> None:
    square, diamond = [0, 0, 2, 2, 0], [0, 0, 2, 2, 45]
    octagon = 8 * (2**0.5 - 1)
    assert rotated_iou([square], [diamond])[0, 0] == pytest.approx(octagon / (8 - octagon))
    assert rotated_iou([square], [[1, 0, 2, 2, 90]])[0, 0] == pytest.approx(1 / 3)
    assert rotated_iou([square], [[2, 0, 2, 2, 0]])[0, 0] == 0
    assert rotated_iou([square], [[0, 0, 1, 1, 30]], [True])[0, 0] == pytest.approx(1 / 4)
    assert rotated_iou([[0, 0, 1, 1, 30]], [square], [True])[0, 0] == pytest.approx(1)


def test_rotated_iou_where_opencv_answers_nothing() -> None:
    """Two boxes of one centre and angle that share their long edges."""
    assert rotated_iou([[0, 0, 0.25, 0.125, 1]], [[0, 0, 2, 0.125, 1]])[0, 0] == pytest.approx(0.125)


def test_rotated_iou_of_boxes_without_area_is_0() -> None:
    flat = [[0, 0, 0, 2, 10], [0, 0, 2, 0, 10], [0, 0, 0, 0, 0]]
    assert (rotated_iou(flat, [*flat, [0, 0, 2, 2, 10]]) == 0).all()


@pytest.mark.parametrize(
    ("points", "box"),
    [
        ([(3, 4)], RotatedBox(3, 4, 0, 0, 0)),
        ([(3, 4)] * 3, RotatedBox(3, 4, 0, 0, 0)),
        ([(0.0, -0.0), (0.0, 0.0)], RotatedBox(0, 0, 0, 0, 0)),
        ([(0, 0), (4, 0)], RotatedBox(2, 0, 4, 0, 0)),
        ([(0, 4), (0, 0), (0, 2)], RotatedBox(0, 2, 0, 4, 0)),
        ([(0, 0), (4, 0), (4, 2), (0, 2), (1, 1)], RotatedBox(2, 1, 4, 2, 0)),
        ([(0, 0), (4, 4), (3, 5), (-1, 1)], RotatedBox(1.5, 2.5, 32**0.5, 2**0.5, 45)),
    ],
)
def test_min_area_rotated_box(points: list[tuple[float, float]], box: RotatedBox) -> None:
    found = min_area_rotated_box(points)
    assert (found.cx, found.cy, found.width, found.height, found.angle) == pytest.approx(
        (box.cx, box.cy, box.width, box.height, box.angle), abs=1e-9
    )


def test_min_area_rotated_box_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="at least one point"):
        min_area_rotated_box([])
