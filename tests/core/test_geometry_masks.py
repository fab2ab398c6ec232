"""Masks: pixels and polygons by hand, COCO's text, and what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import (
    coco_string_to_counts,
    counts_to_coco_string,
    mask_from_array,
    mask_iou,
    mask_to_array,
    mask_to_polygon,
    masks_iou,
    polygon_to_mask,
    resize_frame,
    subtract_masks,
    union_masks,
)
from saccade.core.objects import Mask, Polygon


def _mask(*rows: str) -> Mask:
    return mask_from_array(np.array([[pixel == "#" for pixel in row] for row in rows]))


def test_runs_go_down_the_columns_and_begin_with_background() -> None:
    assert _mask("#..", "##.") == Mask(3, 2, (0, 2, 1, 1, 2))
    assert mask_to_array(Mask(3, 2, (0, 2, 1, 1, 2))).tolist() == [[True, False, False], [True, True, False]]
    assert _mask("...") == Mask(3, 1, (3,))
    assert mask_from_array(np.zeros((0, 3))) == Mask(3, 0, ())


def test_only_flat_images_become_masks() -> None:
    with pytest.raises(InvalidValueError, match=r"shape \(H, W\), not \(2, 2, 3\)"):
        mask_from_array(np.zeros((2, 2, 3)))


def test_a_block_of_pixels_has_the_polygon_of_its_border() -> None:
    mask = _mask("......", "..###.", "..###.", "......")
    (part,) = mask_to_polygon(mask).parts
    assert part == (((2, 1), (5, 1), (5, 3), (2, 3)),)
    assert mask_to_polygon(mask).bounds_xyxy() == mask.bounds_xyxy() == (2, 1, 5, 3)


def test_a_hole_comes_back_as_a_hole_and_an_island_in_it_as_a_part() -> None:
    mask = _mask("#####.#", "#...#..", "#.#.#..", "#...#..", "#####..")
    polygon = mask_to_polygon(mask)
    assert sorted(len(part) for part in polygon.parts) == [1, 1, 2]
    (ring,) = (part for part in polygon.parts if len(part) == 2)
    assert set(ring[1]) == {(1, 1), (1, 4), (4, 4), (4, 1)}
    assert polygon.area() == mask.area()
    assert polygon_to_mask(polygon, (7, 5)) == mask


def test_pixels_that_touch_at_a_corner_are_one_part_and_holes_that_do_are_two() -> None:
    diagonal = mask_to_polygon(_mask("#.", ".#"))
    assert [len(part) for part in diagonal.parts] == [1]
    assert diagonal.area() == 2
    holes = mask_to_polygon(_mask("####", "#.##", "##.#", "####"))
    assert [len(part) for part in holes.parts] == [3]
    assert holes.area() == 14


def test_a_mask_without_pixels_has_no_polygon() -> None:
    with pytest.raises(InvalidValueError, match="An empty mask cannot become a polygon"):
        mask_to_polygon(Mask(3, 3, (9,)))


def test_a_small_mask_in_a_giant_image_costs_little() -> None:
    """Only the columns of the object are decoded: the whole image would take 10 GB."""
    side = 100_000
    start = 50_000 * side + 60_000
    mask = Mask(side, side, (start, 3, side - 3, 3, side * side - start - side - 3))
    polygon = mask_to_polygon(mask)
    assert polygon.bounds_xyxy() == (50_000, 60_000, 50_002, 60_003)
    assert polygon_to_mask(polygon, (side, side)) == mask
    assert mask_iou(mask, mask) == 1
    assert resize_frame(mask, (60_000, 70_000)).area() == 6


def test_a_pixel_is_in_when_its_centre_is() -> None:
    def area(*corners: tuple[float, float]) -> float:
        return polygon_to_mask(Polygon.simple(corners), (4, 4)).area()

    assert area((0.6, 0.6), (1.4, 0.6), (1.4, 1.4), (0.6, 1.4)) == 0
    assert area((0.4, 0.4), (1.4, 0.4), (1.4, 1.4), (0.4, 1.4)) == 1
    # On the left and upper edge is in, on the right and lower one is out.
    assert polygon_to_mask(Polygon.simple([(0.5, 0.5), (1.5, 0.5), (1.5, 1.5), (0.5, 1.5)]), (4, 4)).bounds_xyxy() == (
        (0, 0, 1, 1)
    )
    assert area((-9, -9), (99, -9), (99, 99), (-9, 99)) == 16
    assert area((9, 9), (99, 9), (99, 99)) == 0


def test_parts_are_united_and_holes_taken_away() -> None:
    one, two = [(0, 0), (4, 0), (4, 4), (0, 4)], [(2, 0), (6, 0), (6, 4), (2, 4)]
    assert polygon_to_mask(Polygon(((one,), (two,))), (8, 8)).area() == 24  # type: ignore[arg-type]
    assert polygon_to_mask(Polygon(((one, two),)), (8, 8)).area() == 8  # type: ignore[arg-type]


def test_a_drawn_blob_comes_back() -> None:
    drawn = np.zeros((300, 400), dtype=np.uint8)
    cv2.ellipse(drawn, (200, 150), (150, 90), 30, 0, 360, 1, -1)
    cv2.circle(drawn, (190, 150), 40, 0, -1)
    mask = mask_from_array(drawn)
    polygon = mask_to_polygon(mask)
    assert [len(part) for part in polygon.parts] == [2]
    assert polygon.area() == drawn.sum()
    assert polygon_to_mask(polygon, (400, 300)) == mask


@pytest.mark.parametrize(
    ("counts", "text"),
    [((), ""), ((0,), "0"), ((9,), "9"), ((16,), "`0"), ((6, 1, 40, 4, 5, 4, 5, 4, 21), "61X13mN000`0")],
)
def test_coco_text(counts: tuple[int, ...], text: str) -> None:
    """The last is the example in pycocotools' documentation of its counts."""
    assert counts_to_coco_string(counts) == text
    assert coco_string_to_counts(text) == counts


@pytest.mark.parametrize(
    ("text", "message"),
    [("61X", "truncated"), ("a b", "Not a compressed"), ("é", "Not a"), ("o" * 13 + "0", "too large")],
)
def test_what_is_not_coco_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        coco_string_to_counts(text)


def test_iou_by_hand() -> None:
    left, middle, empty = _mask("##..", "##.."), _mask(".##.", ".##."), _mask("....", "....")
    assert mask_iou(left, middle) == pytest.approx(2 / 6)
    assert masks_iou([left], [middle], [True])[0, 0] == pytest.approx(1 / 2)
    assert mask_iou(left, empty) == mask_iou(empty, empty) == 0
    assert masks_iou([], [left]).shape == (0, 1)


def test_masks_of_two_sizes_do_not_mix() -> None:
    for mix in (mask_iou, lambda a, b: union_masks([a, b]), lambda a, b: subtract_masks(a, [b])):
        with pytest.raises(InvalidValueError, match=r"one size, not \[\(2, 1\), \(3, 1\)\]"):
            mix(_mask("##"), _mask("###"))


def test_union_needs_a_mask() -> None:
    with pytest.raises(InvalidValueError, match="at least one mask"):
        union_masks([])


def test_frames() -> None:
    assert resize_frame(_mask("##", "##"), (3, 1)) == _mask("##.")
    assert resize_frame(_mask("##"), (0, 0)) == Mask(0, 0, ())
    assert resize_frame(Mask(0, 0, ()), (2, 1)) == _mask("..")
