"""Augmentation transforms boxes with pixels, for each step and for random combinations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.models.spec import ComponentSpec
from saccade.training.augment import AUGMENTATIONS, build_augmentations
from saccade.training.sample import IDENTITY, Sample

SIDE_WH = (120, 100)
GROUND, PAINT = (0, 0, 0), np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255)])
GEOMETRIC: list[dict[str, object]] = [
    {"type": "flip", "horizontal": 0.5, "vertical": 0.5},
    {"type": "quarter_turns"},
    {"type": "affine", "scale": [0.6, 1.5], "aspect": 1.3, "translate": 0.3},
    {"type": "mosaic", "probability": 1.0},
]
SHARED: list[dict[str, object]] = [{"type": "color"}, {"type": "blur_noise", "probability": 1.0}]


def painted(seed: int) -> Sample:
    """Return an image of up to three separate rectangles of different colours, with their boxes."""
    rng = np.random.default_rng(seed)
    width, height = SIDE_WH
    image = np.full((height, width, 3), GROUND, np.uint8)
    boxes = []
    for number in range(int(rng.integers(1, 4))):
        left = number * width // 3 + 3
        x1, y1 = left + int(rng.integers(0, 10)), int(rng.integers(2, 50))
        x2, y2 = x1 + int(rng.integers(10, 22)), y1 + int(rng.integers(12, 40))
        image[y1:y2, x1:x2] = PAINT[number]
        boxes.append([x1, y1, x2, y2])
    return Sample(image, IDENTITY, SIDE_WH, np.array(boxes, float), np.arange(len(boxes)))


def augmented(steps: Sequence[dict[str, object]], seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    sample = painted(seed)
    for augmentation in build_augmentations([ComponentSpec.model_validate(dict(step)) for step in steps]):
        sample = augmentation(sample, rng, lambda generator: painted(int(generator.integers(1000))))
    return sample.render()


def bounds_of(mask: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(mask)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], float)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(GEOMETRIC[:3]), min_size=1, max_size=4), st.integers(0, 100_000))
def test_boxes_follow_their_pixels(steps: list[dict[str, object]], seed: int) -> None:
    sample = augmented(steps, seed)
    assert len(sample.classes) == len(sample.boxes_xyxy)
    for box, number in zip(sample.boxes_xyxy, sample.classes, strict=True):
        visible = (np.abs(sample.image.astype(int) - PAINT[number]) < 110).all(axis=-1)
        np.testing.assert_allclose(bounds_of(visible), box, atol=1.5)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(GEOMETRIC), min_size=0, max_size=2), st.integers(0, 100_000))
def test_mosaic_boxes_follow_their_pixels(steps: list[dict[str, object]], seed: int) -> None:
    sample = augmented([GEOMETRIC[3], *steps], seed)
    for (x1, y1, x2, y2), number in zip(sample.boxes_xyxy, sample.classes, strict=True):
        inner = sample.image[int(np.ceil(y1)) + 1 : int(y2) - 1, int(np.ceil(x1)) + 1 : int(x2) - 1].reshape(-1, 3)
        if len(inner):
            share = (np.abs(inner.astype(int) - PAINT[number]) < 110).all(axis=-1).mean()
            assert share > 0.9


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(GEOMETRIC + SHARED), min_size=1, max_size=5), st.integers(0, 100_000))
def test_boxes_are_inside_and_reproducible(steps: list[dict[str, object]], seed: int) -> None:
    first, second = augmented(steps, seed), augmented(steps, seed)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.boxes_xyxy, second.boxes_xyxy)
    width, height = SIDE_WH
    assert first.image.shape == (height, width, 3)
    assert first.image.dtype == np.uint8
    if len(first.boxes_xyxy):
        assert first.boxes_xyxy.min() >= 0
        assert (first.boxes_xyxy[:, 2:] <= [width, height]).all()
        assert (first.boxes_xyxy[:, 2:] - first.boxes_xyxy[:, :2] > 0).all()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SHARED), st.integers(0, 100_000))
def test_color_steps_do_not_change_boxes(step: dict[str, object], seed: int) -> None:
    sample = augmented([step], seed)
    assert np.array_equal(sample.boxes_xyxy, painted(seed).boxes_xyxy)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.floats(0.05, 1))
def test_boxes_below_min_visible_are_dropped(seed: int, min_visible: float) -> None:
    step = {"type": "affine", "scale": [1, 1], "translate": 0.9, "min_visible": min_visible}
    before, after = painted(seed), augmented([step], seed)
    area = {
        int(number): np.prod(box[2:] - box[:2]) for box, number in zip(before.boxes_xyxy, before.classes, strict=True)
    }
    for box, number in zip(after.boxes_xyxy, after.classes, strict=True):
        assert np.prod(box[2:] - box[:2]) >= min_visible * area[int(number)] - 1e-6


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.floats(0.05, 0.8))
def test_boxes_above_min_visible_are_not_dropped(seed: int, min_visible: float) -> None:
    step = {"type": "affine", "scale": [1, 1], "translate": 0.5, "min_visible": min_visible}
    before, after = painted(seed), augmented([step], seed)
    for box, number in zip(before.boxes_xyxy, before.classes, strict=True):
        visible = (np.abs(after.image.astype(int) - PAINT[number]) < 110).all(axis=-1)
        if visible.sum() > (min_visible + 0.2) * np.prod(box[2:] - box[:2]):
            assert number in after.classes


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.floats(0, 45), st.floats(0, 20))
def test_rotated_boxes_contain_their_pixels(seed: int, rotate: float, shear: float) -> None:
    step = {"type": "affine", "scale": [0.8, 1.2], "rotate": rotate, "shear": shear}
    after = augmented([step], seed)
    for box, number in zip(after.boxes_xyxy, after.classes, strict=True):
        visible = bounds_of((np.abs(after.image.astype(int) - PAINT[number]) < 110).all(axis=-1))
        assert (visible[:2] >= box[:2] - 1.5).all()
        assert (visible[2:] <= box[2:] + 1.5).all()
        assert (visible[2:] - visible[:2] >= 0.4 * (box[2:] - box[:2])).all(), "the box is not much larger either"


def test_every_augmentation_is_tested_here() -> None:
    assert {str(step["type"]) for step in GEOMETRIC + SHARED} == set(AUGMENTATIONS.names())


@pytest.mark.parametrize("step", [{"type": "affine", "scale": [2, 1]}, {"type": "mosaic", "scale": [0, 1]}])
def test_invalid_ranges_are_refused(step: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="scale"):
        augmented([step], 0)
