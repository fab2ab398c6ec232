"""Augmentation: random changes of a training sample that transform labels together with pixels.

Geometric steps only compose one matrix, so that pixels are resampled once, however many steps there are. Randomness
comes only from the generator that is passed in; it depends on the seed, the epoch and the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, PositiveFloat

from saccade.core.config import StrictModel, validate_params
from saccade.core.registry import Registry
from saccade.models.preprocess import PADDING_RGB, FloatArray
from saccade.models.spec import ComponentSpec
from saccade.training.sample import IDENTITY, Sample


def _check_order(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("the lower end comes first")
    return limits


# A lower and an upper limit, both above 0.
Range = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_check_order)]
DrawSample = Callable[[np.random.Generator], Sample]


class Augmentation(Protocol):
    def __call__(self, sample: Sample, rng: np.random.Generator, draw: DrawSample) -> Sample:
        """Return the augmented sample; ``draw`` returns another random training sample, for mosaics."""
        ...


AUGMENTATIONS: Registry[Callable[[Mapping[str, Any]], Augmentation]] = Registry("augmentation", "saccade.augmentations")


def build_augmentations(specs: Sequence[ComponentSpec]) -> list[Augmentation]:
    """Build the augmentation steps of a recipe, in order.

    Raises:
        RecipeError: A parameter is invalid.
        NotFoundError: An augmentation is not registered.
    """
    return [AUGMENTATIONS.get(spec.type)(spec.params()) for spec in specs]


class FlipParams(StrictModel):
    horizontal: float = Field(0.5, ge=0, le=1, description="probability of a left-right flip")
    vertical: float = Field(0.0, ge=0, le=1, description="probability of a top-bottom flip")


def flip(params: Mapping[str, Any]) -> Augmentation:
    """Mirror the sample."""
    config = validate_params(FlipParams, params, "augment.flip")

    def apply(sample: Sample, rng: np.random.Generator, draw: DrawSample) -> Sample:
        width, height = sample.size_wh
        flip_x = rng.random() < config.horizontal
        flip_y = rng.random() < config.vertical
        if not (flip_x or flip_y):
            return sample
        matrix = np.array([[-1.0 if flip_x else 1, 0, width * flip_x], [0, -1.0 if flip_y else 1, height * flip_y]])
        return sample.transformed(matrix)

    return apply


class AffineParams(StrictModel):
    scale: Range = Field((0.8, 1.25), description="range of the zoom factor")
    aspect: float = Field(1.0, ge=1, description="maximum factor by which one side is stretched against the other")
    translate: float = Field(0.1, ge=0, description="maximum shift, as a share of each side")
    rotate: float = Field(0.0, ge=0, description="maximum rotation in both directions, in degrees")
    shear: float = Field(0.0, ge=0, description="maximum shear in both directions, in degrees")
    probability: float = Field(1.0, ge=0, le=1, description="probability of applying the step")
    min_visible: float = Field(0.25, ge=0, le=1, description="drop boxes of which a smaller share stays visible")


def affine(params: Mapping[str, Any]) -> Augmentation:
    """Scale, stretch, translate, rotate and shear about the centre."""
    config = validate_params(AffineParams, params, "augment.affine")

    def apply(sample: Sample, rng: np.random.Generator, draw: DrawSample) -> Sample:
        if rng.random() >= config.probability:
            return sample
        return sample.transformed(_affine_matrix(config, sample.size_wh, rng)).with_min_visible(config.min_visible)

    return apply


def _affine_matrix(config: AffineParams, size_wh: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    # Keep the order of the draws: it is part of what a seed reproduces.
    scale = np.exp(rng.uniform(*np.log(config.scale)))
    stretch = np.exp(rng.uniform(-1, 1) * np.log(config.aspect) / 2)
    angle = np.radians(rng.uniform(-1, 1) * config.rotate)
    shear = np.radians(rng.uniform(-1, 1) * config.shear)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = rotation @ np.array([[1, np.tan(shear)], [0, 1]]) @ np.diag([scale * stretch, scale / stretch])
    size = np.array(size_wh)
    shift = rng.uniform(-1, 1, 2) * config.translate
    return np.column_stack([linear, size / 2 + size * shift - linear @ (size / 2)])


class RotateParams(StrictModel):
    probability: float = Field(0.75, ge=0, le=1, description="shared equally by rotations of 90, 180 and 270 degrees")
    min_visible: float = Field(0.25, ge=0, le=1, description="drop boxes of which a smaller share stays visible")


def quarter_turns(params: Mapping[str, Any]) -> Augmentation:
    """Rotate by 90, 180 or 270 degrees about the centre; boxes stay exact."""
    config = validate_params(RotateParams, params, "augment.quarter_turns")

    def apply(sample: Sample, rng: np.random.Generator, draw: DrawSample) -> Sample:
        turns = int(rng.integers(1, 4)) if rng.random() < config.probability else 0
        if not turns:
            return sample
        # Integers instead of np.cos and np.sin, which are not exact at quarter turns.
        cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[turns]
        linear = np.array([[cos, -sin], [sin, cos]], dtype=np.float64)
        centre = np.array(sample.size_wh) / 2
        matrix = np.column_stack([linear, centre - linear @ centre])
        return sample.transformed(matrix).with_min_visible(config.min_visible)

    return apply


class ColorParams(StrictModel):
    brightness: float = Field(0.2, ge=0, le=1, description="maximum change of the brightness factor")
    contrast: float = Field(0.2, ge=0, le=1, description="maximum change of the contrast factor")
    saturation: float = Field(0.3, ge=0, le=1, description="maximum change of the saturation factor")
    hue: float = Field(5.0, ge=0, le=180, description="maximum rotation of the hue, in degrees")
    probability: float = Field(1.0, ge=0, le=1, description="probability of applying the step")


_LUMA = np.array([0.299, 0.587, 0.114])
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def color(params: Mapping[str, Any]) -> Augmentation:
    """Change brightness, contrast, saturation and hue with one 3x4 colour matrix."""
    config = validate_params(ColorParams, params, "augment.color")

    def apply(sample: Sample, rng: np.random.Generator, draw: DrawSample) -> Sample:
        if rng.random() >= config.probability:
            return sample
        sample = sample.render()
        max_changes = [config.brightness, config.contrast, config.saturation]
        brightness, contrast, saturation = 1 + rng.uniform(-1, 1, 3) * max_changes
        angle = np.radians(rng.uniform(-1, 1) * config.hue)
        # In YIQ, hue is a rotation of the chroma plane (I, Q) and saturation its scale.
        yiq = np.eye(3)
        yiq[1:, 1:] = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = np.linalg.inv(_TO_YIQ) @ yiq @ _TO_YIQ * brightness * contrast
        mean_luma = float(np.array(cv2.mean(sample.image)[:3]) @ _LUMA)
        offset = (1 - contrast) * brightness * mean_luma
        matrix = np.column_stack([linear, np.full(3, offset)])
        return replace(sample, image=np.asarray(cv2.transform(sample.image, matrix), dtype=np.uint8))

    return apply


class BlurNoiseParams(StrictModel):
    blur: float = Field(1.0, ge=0, description="maximum standard deviation of the Gaussian blur, in pixels")
    noise: float = Field(6.0, ge=0, description="maximum standard deviation of the noise, in grey levels from 0 to 255")
    probability: float = Field(0.3, ge=0, le=1, description="probability of applying the step")


def blur_noise(params: Mapping[str, Any]) -> Augmentation:
    """Apply either a slight Gaussian blur or slight Gaussian noise."""
    config = validate_params(BlurNoiseParams, params, "augment.blur_noise")

    def apply(sample: Sample, rng: np.random.Generator, draw: DrawSample) -> Sample:
        if rng.random() >= config.probability:
            return sample
        sample = sample.render()
        if rng.random() < 0.5:
            image = cv2.GaussianBlur(sample.image, (0, 0), max(0.1, rng.uniform(0, config.blur)))
        else:
            noise = rng.standard_normal(sample.image.shape[:2], dtype=np.float32)[..., None]
            image = np.clip(sample.image + noise * rng.uniform(0, config.noise), 0, 255)
        return replace(sample, image=image.astype(np.uint8))

    return apply


class MosaicParams(StrictModel):
    probability: float = Field(0.5, ge=0, le=1, description="probability of applying the step")
    scale: Range = Field((0.6, 1.2), description="range of the zoom factor of each of the four images")
    centre: Range = Field((0.3, 0.7), description="range of the point where the four meet, as a share of each side")
    min_visible: float = Field(0.25, ge=0, le=1, description="drop boxes of which a smaller share stays visible")


def mosaic(params: Mapping[str, Any]) -> Augmentation:
    """Combine four samples around a random point.

    Source: YOLOv4 (Bochkovskiy et al., 2020).
    """
    config = validate_params(MosaicParams, params, "augment.mosaic")

    def apply(sample: Sample, rng: np.random.Generator, draw: DrawSample) -> Sample:
        if rng.random() >= config.probability:
            return sample
        width, height = sample.size_wh
        x, y = (round(side * rng.uniform(*config.centre)) for side in (width, height))
        canvas = np.full((height, width, 3), PADDING_RGB, dtype=np.uint8)
        boxes: list[FloatArray] = []
        classes: list[NDArray[np.int64]] = []
        for left, top, right, bottom in ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)):
            tile = _mosaic_tile(sample if not boxes else draw(rng), (right - left, bottom - top), config, rng)
            canvas[top:bottom, left:right] = tile.image
            boxes.append(tile.boxes_xyxy + np.array([left, top, left, top]))
            classes.append(tile.classes)
        return Sample(canvas, IDENTITY, sample.size_wh, np.concatenate(boxes), np.concatenate(classes), sample.label)

    return apply


def _mosaic_tile(sample: Sample, size_wh: tuple[int, int], config: MosaicParams, rng: np.random.Generator) -> Sample:
    """Return a random zoomed crop of a sample, of the size of one tile."""
    scale = rng.uniform(*config.scale)
    margin = np.array(size_wh) - np.array(sample.size_wh) * scale
    shift = margin * rng.random(2)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return replace(sample.transformed(matrix), size_wh=size_wh).with_min_visible(config.min_visible).render()
