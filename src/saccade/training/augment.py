"""Augmentation: steps that change a training sample at random, moving labels with pixels.

Geometric steps only compose one matrix, so that pixels are resampled once however many steps there are.
Randomness comes from the generator that is passed in, which depends on the seed, the epoch and the sample alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, PositiveFloat

from saccade.core.registry import Registry
from saccade.models.components.base import checked
from saccade.models.preprocess import PADDING, FloatArray
from saccade.models.spec import ComponentSpec, Strict
from saccade.training.sample import IDENTITY, Sample


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("the lower end comes first")
    return value


Range = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ordered)]
"""A lower and an upper end, both above 0."""
Draw = Callable[[np.random.Generator], Sample]


class Augmentation(Protocol):
    def __call__(self, sample: Sample, random: np.random.Generator, draw: Draw) -> Sample:
        """The changed sample; ``draw`` gives another training sample, chosen at random."""
        ...


AUGMENTATIONS: Registry[Callable[[Mapping[str, Any]], Augmentation]] = Registry("augmentation", "saccade.augmentations")


def build_augmentations(specs: Sequence[ComponentSpec]) -> list[Augmentation]:
    """The steps of a recipe in order; RecipeError and NotFoundError name what is wrong."""
    return [AUGMENTATIONS.get(spec.type)(spec.params()) for spec in specs]


class FlipParams(Strict):
    horizontal: float = Field(0.5, ge=0, le=1, description="probability of left to right")
    vertical: float = Field(0.0, ge=0, le=1, description="probability of top to bottom")


def flip(params: Mapping[str, Any]) -> Augmentation:
    """Mirror the sample."""
    chances = checked(FlipParams, params, "augment.flip")

    def apply(sample: Sample, random: np.random.Generator, draw: Draw) -> Sample:
        width, height = sample.size_wh
        x, y = random.random() < chances.horizontal, random.random() < chances.vertical
        if not (x or y):
            return sample
        return sample.moved(np.array([[-1.0 if x else 1, 0, width * x], [0, -1.0 if y else 1, height * y]]))

    return apply


class AffineParams(Strict):
    scale: Range = Field((0.8, 1.25), description="range of the zoom factor")
    aspect: float = Field(1.0, ge=1, description="largest factor by which one side is stretched against the other")
    translate: float = Field(0.1, ge=0, description="largest shift, as a share of each side")
    rotate: float = Field(0.0, ge=0, description="largest turn either way, in degrees")
    shear: float = Field(0.0, ge=0, description="largest shear either way, in degrees")
    probability: float = Field(1.0, ge=0, le=1, description="of being applied at all")
    min_visible: float = Field(0.25, ge=0, le=1, description="boxes of which less is left are not learned")


def affine(params: Mapping[str, Any]) -> Augmentation:
    """Zoom, stretch, shift, turn and shear about the centre."""
    limits = checked(AffineParams, params, "augment.affine")

    def apply(sample: Sample, random: np.random.Generator, draw: Draw) -> Sample:
        if random.random() >= limits.probability:
            return sample
        return sample.moved(_affine_matrix(limits, sample.size_wh, random)).limited(limits.min_visible)

    return apply


def _affine_matrix(limits: AffineParams, size_wh: tuple[int, int], random: np.random.Generator) -> FloatArray:
    low, high = np.log(limits.scale)
    scale, stretch = np.exp(random.uniform(low, high)), np.exp(random.uniform(-1, 1) * np.log(limits.aspect) / 2)
    turn, shear = np.radians(random.uniform(-1, 1) * limits.rotate), np.radians(random.uniform(-1, 1) * limits.shear)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = rotation @ np.array([[1, np.tan(shear)], [0, 1]]) @ np.diag([scale * stretch, scale / stretch])
    size, shift = np.array(size_wh), random.uniform(-1, 1, 2) * limits.translate
    return np.column_stack([linear, size / 2 + size * shift - linear @ (size / 2)])


class RotateParams(Strict):
    probability: float = Field(0.75, ge=0, le=1, description="shared by the turns of 90, 180 and 270 degrees")
    min_visible: float = Field(0.25, ge=0, le=1, description="boxes of which less is left are not learned")


def quarter_turns(params: Mapping[str, Any]) -> Augmentation:
    """Turn by 90, 180 or 270 degrees about the centre; boxes stay exact."""
    limits = checked(RotateParams, params, "augment.quarter_turns")

    def apply(sample: Sample, random: np.random.Generator, draw: Draw) -> Sample:
        turns = int(random.integers(1, 4)) if random.random() < limits.probability else 0
        if not turns:
            return sample
        cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[turns]
        linear, centre = np.array([[cos, -sin], [sin, cos]], dtype=np.float64), np.array(sample.size_wh) / 2
        return sample.moved(np.column_stack([linear, centre - linear @ centre])).limited(limits.min_visible)

    return apply


class ColorParams(Strict):
    brightness: float = Field(0.2, ge=0, le=1, description="largest change of the brightness factor")
    contrast: float = Field(0.2, ge=0, le=1, description="largest change of the contrast factor")
    saturation: float = Field(0.3, ge=0, le=1, description="largest change of the saturation factor")
    hue: float = Field(5.0, ge=0, le=180, description="largest turn of the hue, in degrees")
    probability: float = Field(1.0, ge=0, le=1, description="of being applied at all")


_LUMA = np.array([0.299, 0.587, 0.114])
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def color(params: Mapping[str, Any]) -> Augmentation:
    """Change brightness, contrast, saturation and hue, as one 3x4 colour matrix applied once."""
    limits = checked(ColorParams, params, "augment.color")

    def apply(sample: Sample, random: np.random.Generator, draw: Draw) -> Sample:
        if random.random() >= limits.probability:
            return sample
        sample = sample.rendered()
        brightness, contrast, saturation = 1 + random.uniform(-1, 1, 3) * [
            limits.brightness,
            limits.contrast,
            limits.saturation,
        ]
        turn = np.radians(random.uniform(-1, 1) * limits.hue)
        chroma = saturation * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        yiq = np.eye(3)
        yiq[1:, 1:] = chroma
        linear = np.linalg.inv(_TO_YIQ) @ yiq @ _TO_YIQ * brightness * contrast
        middle = (1 - contrast) * brightness * float(np.array(cv2.mean(sample.image)[:3]) @ _LUMA)
        matrix = np.column_stack([linear, np.full(3, middle)])
        return replace(sample, image=np.asarray(cv2.transform(sample.image, matrix), dtype=np.uint8))

    return apply


class BlurNoiseParams(Strict):
    blur: float = Field(1.0, ge=0, description="largest standard deviation of a Gaussian blur, in pixels")
    noise: float = Field(6.0, ge=0, description="largest standard deviation of the noise, in grey levels of 255")
    probability: float = Field(0.3, ge=0, le=1, description="of being applied at all")


def blur_noise(params: Mapping[str, Any]) -> Augmentation:
    """Blur a little or add a little noise."""
    limits = checked(BlurNoiseParams, params, "augment.blur_noise")

    def apply(sample: Sample, random: np.random.Generator, draw: Draw) -> Sample:
        if random.random() >= limits.probability:
            return sample
        sample = sample.rendered()
        if random.random() < 0.5:
            changed = cv2.GaussianBlur(sample.image, (0, 0), max(0.1, random.uniform(0, limits.blur)))
        else:
            noise = random.standard_normal(sample.image.shape[:2], dtype=np.float32)[..., None]
            changed = np.clip(sample.image + noise * random.uniform(0, limits.noise), 0, 255)
        return replace(sample, image=changed.astype(np.uint8))

    return apply


class MosaicParams(Strict):
    probability: float = Field(0.5, ge=0, le=1, description="of being applied at all")
    scale: Range = Field((0.6, 1.2), description="range of the zoom of each of the four images")
    centre: Range = Field((0.3, 0.7), description="range of where the four meet, as a share of each side")
    min_visible: float = Field(0.25, ge=0, le=1, description="boxes of which less is left are not learned")


def mosaic(params: Mapping[str, Any]) -> Augmentation:
    """Put four samples together around a random point.

    Source: YOLOv4 (Bochkovskiy et al., 2020).
    """
    limits = checked(MosaicParams, params, "augment.mosaic")

    def apply(sample: Sample, random: np.random.Generator, draw: Draw) -> Sample:
        if random.random() >= limits.probability:
            return sample
        width, height = sample.size_wh
        x, y = (round(side * random.uniform(*limits.centre)) for side in (width, height))
        canvas = np.full((height, width, 3), PADDING, dtype=np.uint8)
        boxes: list[FloatArray] = []
        classes: list[NDArray[np.int64]] = []
        for left, top, right, bottom in ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)):
            tile = _tile(sample if not boxes else draw(random), (right - left, bottom - top), limits, random)
            canvas[top:bottom, left:right] = tile.image
            boxes.append(tile.boxes_xyxy + np.array([left, top, left, top]))
            classes.append(tile.classes)
        return Sample(canvas, IDENTITY, sample.size_wh, np.concatenate(boxes), np.concatenate(classes), sample.label)

    return apply


def _tile(sample: Sample, size_wh: tuple[int, int], limits: MosaicParams, random: np.random.Generator) -> Sample:
    """A random view of a sample, zoomed, of the size of one tile."""
    scale = random.uniform(*limits.scale)
    spare = np.array(size_wh) - np.array(sample.size_wh) * scale
    shift = spare * random.random(2)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return replace(sample.moved(matrix), size_wh=size_wh).limited(limits.min_visible).rendered()
