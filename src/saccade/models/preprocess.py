"""Preprocessing: an image of any size to the input tensor of a model, and boxes back to the image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from saccade.models.spec import InputSpec

FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.uint8]
PADDING_RGB = (114, 114, 114)


@dataclass(frozen=True, slots=True)
class LetterboxTransform:
    """Maps image to input coordinates, in pixels: ``input = image * (scale_x, scale_y) + (left, top)``.

    ``left`` and ``top`` are the padding, 0 for ``fit: stretch``, and at most 0 for ``fit: crop``.
    """

    scale_x: float
    scale_y: float
    left: float
    top: float

    def matrix(self) -> FloatArray:
        """Return the 2x3 affine matrix from image to input coordinates."""
        matrix: FloatArray = np.array([[self.scale_x, 0, self.left], [0, self.scale_y, self.top]])
        return matrix

    def boxes_to_image(self, boxes_xyxy: FloatArray) -> FloatArray:
        """Convert boxes (N, 4) from input to image coordinates."""
        offset = np.array([self.left, self.top] * 2)
        image_boxes_xyxy: FloatArray = (boxes_xyxy - offset) / np.array([self.scale_x, self.scale_y] * 2)
        return image_boxes_xyxy


def fit_transform_for(spec: InputSpec, image_wh: tuple[int, int]) -> LetterboxTransform:
    """Return the transform that fits an image of ``image_wh`` pixels into the input of a model."""
    width, height = image_wh
    input_width, input_height = spec.size
    scale_x = input_width / width
    scale_y = input_height / height
    if spec.fit == "letterbox":
        scale_x = scale_y = min(scale_x, scale_y)
    elif spec.fit == "crop":
        scale_x = scale_y = max(scale_x, scale_y)
    left = (input_width - width * scale_x) / 2
    top = (input_height - height * scale_y) / 2
    return LetterboxTransform(scale_x, scale_y, left, top)


def downscale(image: ImageArray, scale: float) -> ImageArray:
    """Resize an image by ``scale`` with area averaging; return it unchanged if ``scale`` is 1 or more."""
    if scale >= 1:
        return image
    height, width = image.shape[:2]
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def warp(image: ImageArray, matrix: FloatArray, size_wh: tuple[int, int]) -> ImageArray:
    """Warp an image with bilinear interpolation.

    Args:
        image: (H, W, 3) RGB.
        matrix: 2x3, in Saccade's convention: the origin is the corner of the top-left pixel.
        size_wh: Size of the result in pixels.
    """
    # OpenCV's origin is the centre of the top-left pixel, hence the half pixels.
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
    return np.asarray(
        cv2.warpAffine(image, shifted, size_wh, flags=cv2.INTER_LINEAR, borderValue=PADDING_RGB), dtype=np.uint8
    )


def fit_image(spec: InputSpec, image: ImageArray) -> tuple[ImageArray, LetterboxTransform]:
    """Return an RGB image (H, W, 3) at the input size of the model, and the transform that was applied."""
    height, width = image.shape[:2]
    transform = fit_transform_for(spec, (width, height))
    # Area averaging before the warp: bilinear interpolation alone would alias.
    small = downscale(image, max(transform.scale_x, transform.scale_y))
    to_original = np.diag([width / small.shape[1], height / small.shape[0], 1.0])
    return warp(small, transform.matrix() @ to_original, spec.size), transform


def normalize(spec: InputSpec, images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Normalise RGB images.

    Args:
        spec: Holds the mean and the standard deviation of each channel.
        images: (B, H, W, 3) uint8.
        device: Device of the result.

    Returns:
        (B, 3, H, W) float32, channels last in memory.
    """
    scale = torch.tensor([1 / (255 * std) for std in spec.std], device=device)
    offset = torch.tensor([mean / std for mean, std in zip(spec.mean, spec.std, strict=True)], device=device)
    return (images.to(device).float() * scale - offset).permute(0, 3, 1, 2)


def normalized_padding(spec: InputSpec, images: torch.Tensor) -> torch.Tensor:
    """Return the padding colour (3, 1, 1) as :func:`normalize` maps it, in the type and on the device of ``images``."""
    channels = zip(PADDING_RGB, spec.mean, spec.std, strict=True)
    color = [(value / 255 - mean) / std for value, mean, std in channels]
    return torch.tensor(color, dtype=images.dtype, device=images.device).reshape(3, 1, 1)
