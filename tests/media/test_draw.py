"""Drawing changes the pixels that it should and no others, whatever the geometry and wherever it lies."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import mask_from_array, transform_geometry
from saccade.core.objects import (
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
from saccade.core.schema import ClassInfo
from saccade.media.colors import COLORBLIND_SAFE_COLORS, COLORS, contrasting_text_color, hex_to_rgb
from saccade.media.draw import class_color, crop_around, draw_objects, grid, palette, side_by_side

Pixels = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 200, 140


def ground() -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def disc_mask() -> npt.NDArray[np.bool_]:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray((xs - 100) ** 2 + (ys - 70) ** 2 < 30**2)


SHAPES: dict[str, Geometry] = {
    "box": Box(60, 40, 140, 100),
    "rotated box": RotatedBox(100, 70, 80, 40, 30),
    "polygon": Polygon((((((60, 40), (140, 40), (140, 100), (60, 100))), ((80, 55), (120, 55), (120, 85), (80, 85))),)),
    "mask": mask_from_array(disc_mask()),
    "polyline": Polyline(((60, 40), (100, 100), (140, 40))),
    "points": Points(((70, 50), (130, 90))),
    "keypoints": Keypoints(((70, 50), (130, 50), (100, 95), (30, 30)), (2, 1, 2, 0)),
    "ellipse": Ellipse(100, 70, 40, 20, 30),
}


def changed(before: Pixels, after: Pixels) -> npt.NDArray[np.bool_]:
    return np.asarray((before != after).any(axis=-1))


def thing(geometry: Geometry, name: str = "thing", score: float | None = None) -> Object:
    return Object("1", name, geometry, score)


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_within_the_bounds_and_leaves_the_image_alone(shape: str) -> None:
    image = ground()
    drawn = draw_objects(image, [thing(SHAPES[shape])], labels=False)
    assert (image == 128).all()
    touched = changed(image, drawn)
    assert touched.sum() > 30
    x1, y1, x2, y2 = SHAPES[shape].bounds_xyxy()
    touched[int(y1) - 8 : int(y2) + 8, int(x1) - 8 : int(x2) + 8] = False
    assert not touched.any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dx", "dy"), [(-110, 0), (0, 90), (5000, 5000), (-1e7, 3e6)])
def test_runs_on_and_beyond_the_edges(shape: str, dx: float, dy: float) -> None:
    moved = _moved(SHAPES[shape], dx, dy)
    drawn = draw_objects(ground(), [thing(moved, score=0.5)], legend=True)
    assert drawn.shape == (HEIGHT, WIDTH, 3)


def _moved(geometry: Geometry, dx: float, dy: float) -> Geometry:
    if isinstance(geometry, Mask):  # as large as its image, whatever is in it
        return mask_from_array(np.roll(disc_mask(), (int(dy) % HEIGHT, int(dx) % WIDTH), (0, 1)))
    return transform_geometry(geometry, np.array([[1, 0, dx], [0, 1, dy]]))


def test_lines_lie_on_the_coordinates() -> None:
    drawn = draw_objects(ground(), [thing(Box(50, 30, 150, 110))], {"thing": "#ff0000"}, labels=False, thickness=2)
    red = (drawn == [255, 0, 0]).all(axis=-1)
    ys, xs = np.nonzero(red)
    # A line two pixels wide about x = 50 covers columns 49 and 50; OpenCV's soft edge may fill one more.
    np.testing.assert_allclose((xs.min(), xs.max(), ys.min(), ys.max()), (49, 150, 29, 110), atol=1)
    assert not red[60:80, 60:140].any()


def test_fill_is_translucent_and_leaves_holes() -> None:
    drawn = draw_objects(ground(), [thing(SHAPES["polygon"])], {"thing": "#ff0000"}, labels=False)
    assert drawn[70, 100].tolist() == [128, 128, 128]
    inside = drawn[48, 70].tolist()
    assert 128 < inside[0] < 255
    assert 0 < inside[1] < 128


def test_mask_of_another_size_is_cut() -> None:
    mask = mask_from_array(np.ones((300, 50), np.bool_))
    touched = changed(ground(), draw_objects(ground(), [thing(mask)], labels=False))
    assert touched[:, :40].all()
    assert not touched[:, 60:].any()


def test_skeleton_and_colour_come_from_the_class() -> None:
    info = ClassInfo("person", color="#00ff00", skeleton=((0, 1), (0, 2), (0, 3)))
    one = thing(Keypoints(((30, 30), (170, 30), (30, 110), (170, 110)), (2, 2, 2, 0)), "person")
    drawn = draw_objects(ground(), [one], classes={"person": info}, labels=False)
    assert drawn[30, 100, 1] > 200
    assert drawn[70, 30, 1] > 200
    assert drawn[70, 100].tolist() == [128, 128, 128]  # a point that is not labelled has no bone


def test_small_objects_are_drawn_over_large_ones() -> None:
    both = [thing(Box(40, 40, 60, 60), "small"), thing(Box(40, 20, 190, 130), "large")]
    colors = {"small": "#ff0000", "large": "#0000ff"}
    assert draw_objects(ground(), both, colors, labels=False)[50, 40].tolist()[0] > 150


@pytest.mark.parametrize(
    "name", ["ship", "船", "naïve ☃ \U0001f6a2", "a\nb\tc\x00", "\ud800", " ", "x" * 500, "العربية"]
)
def test_any_class_name_can_be_drawn(name: str) -> None:
    drawn = draw_objects(ground(), [thing(Box(60, 60, 140, 120), name, 0.5)], legend=True)
    assert changed(ground(), drawn).any()


@pytest.mark.parametrize(
    "bounds", [(0, 0, 30, 20), (180, 0, 200, 20), (0, 125, 20, 140), (190, 130, 200, 140), (0, 0, 200, 140)]
)
def test_chips_stay_inside(bounds: tuple[float, float, float, float]) -> None:
    colors = {"thing": "#ff0000"}
    plain = draw_objects(ground(), [thing(Box(*bounds))], colors, labels=False)
    labelled = draw_objects(ground(), [thing(Box(*bounds))], colors)
    ys, xs = np.nonzero(changed(plain, labelled))
    reference = draw_objects(ground(), [thing(Box(60, 60, 140, 120))], colors)
    chip = changed(draw_objects(ground(), [thing(Box(60, 60, 140, 120))], colors, labels=False), reference)
    # Where it overlaps lines of its own colour a chip changes fewer pixels, but it is never cut in two.
    assert np.ptp(xs) >= np.ptp(np.nonzero(chip)[1]) - 6
    assert np.ptp(ys) >= np.ptp(np.nonzero(chip)[0]) - 6


def test_chips_avoid_each_other() -> None:
    colors = {"first": "#ff0000", "second": "#0000ff"}
    both = [thing(Box(60, 60, 140, 110), "first"), thing(Box(61, 61, 141, 111), "second")]
    drawn = draw_objects(np.full((200, 260, 3), 128, np.uint8), both, colors)
    areas = [int((np.abs(drawn.astype(int) - color).sum(axis=-1) < 60).sum()) for color in ([255, 0, 0], [0, 0, 255])]
    alone = draw_objects(np.full((200, 260, 3), 128, np.uint8), both[:1], colors)
    assert min(areas) > 0.6 * int((np.abs(alone.astype(int) - [255, 0, 0]).sum(axis=-1) < 60).sum())


def test_scores_are_shown_on_demand() -> None:
    one = [thing(Box(60, 60, 140, 120), score=0.87)]
    with_score, without = draw_objects(ground(), one), draw_objects(ground(), one, scores=False)
    assert changed(ground(), with_score).sum() > changed(ground(), without).sum()


def test_line_width_and_text_grow_with_the_image() -> None:
    small, large = np.full((500, 500, 3), 128, np.uint8), np.full((2500, 2500, 3), 128, np.uint8)
    count = [
        changed(image, draw_objects(image, [thing(Box(side * 0.2, side * 0.3, side * 0.8, side * 0.8))])).sum()
        for image, side in ((small, 500), (large, 2500))
    ]
    assert count[1] > 1.5 * 5 * count[0]  # lines of the same width would give five times as many pixels


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.lists(st.tuples(*[st.floats(-200, 300, allow_nan=False, width=32)] * 4), max_size=6),
)
def test_never_fails_on_images_and_boxes_of_any_size(
    width: int, height: int, corners: list[tuple[float, float, float, float]]
) -> None:
    boxes = [Box(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    objects = [Object(str(index), "a class", box, 0.5) for index, box in enumerate(boxes)]
    assert draw_objects(np.zeros((height, width, 3), np.uint8), objects, legend=True).shape == (height, width, 3)


def test_class_colors_are_stable_and_known() -> None:
    assert [class_color(name) for name in ("ship", "person", "船")] == [
        class_color(n) for n in ("ship", "person", "船")
    ]
    assert class_color("ship") == "#f0bfb8"  # written down, so that a change is noticed
    assert {class_color(str(number)) for number in range(400)} == set(COLORS)


def test_palette_gives_each_class_its_own_colour_in_order() -> None:
    names = [f"class {number}" for number in range(200)]
    colors = palette(names)
    assert list(colors) == names
    assert len(set(colors.values())) == 200
    assert tuple(colors.values())[:10] == COLORBLIND_SAFE_COLORS
    assert palette(["a", "b", "a"]) == {"a": COLORBLIND_SAFE_COLORS[0], "b": COLORBLIND_SAFE_COLORS[1]}


# Machado, Oliveira and Fernandes, 2009, severity 1.0, for linear RGB.
SIGHT = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


@pytest.mark.parametrize("sight", SIGHT)
def test_first_colors_are_told_apart(sight: str) -> None:
    color = np.array([hex_to_rgb(color) for color in COLORBLIND_SAFE_COLORS]) / 255
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(SIGHT[sight]).T, 0, 1)
    gamma = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(gamma[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(lab, 2)) > 15


def test_text_is_black_or_white_by_contrast() -> None:
    assert contrasting_text_color((255, 255, 0)) == (0, 0, 0)
    assert contrasting_text_color((20, 20, 130)) == (255, 255, 255)


@pytest.mark.parametrize("color", ["red", "#12", "123456", "#gggggg", "#+12345"])
def test_wrong_colours_are_refused(color: str) -> None:
    with pytest.raises(InvalidValueError, match="must have the form '#rrggbb'"):
        draw_objects(ground(), [thing(SHAPES["box"])], {"thing": color})


def test_wrong_images_are_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"not float64 of shape \(4, 4, 3\)"):
        draw_objects(np.zeros((4, 4, 3)), [])  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match=r"not uint8 of shape \(4, 4\)"):
        draw_objects(np.zeros((4, 4), np.uint8), [])


def test_side_by_side_and_grid() -> None:
    one, two = np.full((100, 60, 3), 10, np.uint8), np.full((50, 60, 3), 20, np.uint8)
    joined = side_by_side([one, two], gap=8)
    assert joined.shape == (100, 60 + 8 + 120, 3)
    assert joined[50, 30].tolist() == [10] * 3
    assert joined[50, 120].tolist() == [20] * 3
    titled = side_by_side([one, two], ["plain", "with labels"])
    assert titled.shape[0] > 110
    cells = grid([one, two, one], columns=2, cell_wh=(40, 40), gap=4)
    assert cells.shape == (84, 84, 3)
    assert cells[20, 20].tolist() == [10] * 3
    assert cells[60, 60].tolist() == [255] * 3
    with pytest.raises(InvalidValueError, match="2 images, 1 titles"):
        grid([one, two], ["only one"])


@pytest.mark.parametrize(
    ("bounds", "shape"),
    [
        ((50, 50, 70, 60), (40, 40, 3)),
        ((0, 0, 4, 4), (32, 32, 3)),
        ((-50, -50, -40, -40), (32, 32, 3)),
        ((900, 900, 950, 910), (32, 32, 3)),
        ((0, 0, WIDTH, HEIGHT), (HEIGHT, WIDTH, 3)),
        ((100, 70, 100, 70), (32, 32, 3)),
    ],
)
def test_crop_around(bounds: tuple[float, float, float, float], shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    crop = crop_around(image, bounds, 0.5, min_size=32)
    assert crop.shape == shape or (min(crop.shape[:2]) >= 30 and bounds[0] == 50)
    assert not np.shares_memory(crop, image)


def test_crop_is_around_its_bounds() -> None:
    image = ground()
    image[60:70, 90:110] = 255
    crop = crop_around(image, (90, 60, 110, 70), 0.25, min_size=1)
    assert crop.shape == (20, 30, 3)
    assert (crop[5:15, 5:25] == 255).all()
    assert (crop == 255).sum() == 600
