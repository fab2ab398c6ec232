"""From an image of any size to the tensor a model sees, and boxes back again."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from saccade.models.spec import InputSpec

FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.uint8]
PADDING = (114, 114, 114)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image lies in the input: ``input = image * (scale_x, scale_y) + (left, top)``, in pixels."""

    scale_x: float
    scale_y: float
    left: float
    top: float

    def matrix(self) -> FloatArray:
        """The 2x3 affine matrix from image to input coordinates."""
        matrix: FloatArray = np.array([[self.scale_x, 0, self.left], [0, self.scale_y, self.top]])
        return matrix

    def boxes_to_image(self, boxes_xyxy: FloatArray) -> FloatArray:
        """Boxes (N, 4) of the input in the image's own pixels."""
        offset = np.array([self.left, self.top] * 2)
        moved: FloatArray = (boxes_xyxy - offset) / np.array([self.scale_x, self.scale_y] * 2)
        return moved


def place(spec: InputSpec, image_wh: tuple[int, int]) -> Placement:
    """How an image of ``image_wh`` pixels is fitted into the input of a model."""
    (width, height), (input_width, input_height) = image_wh, spec.size
    scale_x, scale_y = input_width / width, input_height / height
    if spec.fit == "letterbox":
        scale_x = scale_y = min(scale_x, scale_y)
    elif spec.fit == "crop":
        scale_x = scale_y = max(scale_x, scale_y)
    left, top = (input_width - width * scale_x) / 2, (input_height - height * scale_y) / 2
    return Placement(scale_x, scale_y, left, top)


def shrink(image: ImageArray, scale: float) -> ImageArray:
    """An image made smaller by ``scale`` < 1, each new pixel the mean of those it covers; else the image itself."""
    if scale >= 1:
        return image
    height, width = image.shape[:2]
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def warp(image: ImageArray, matrix: FloatArray, size_wh: tuple[int, int]) -> ImageArray:
    """An image under a 2x3 matrix whose coordinates count from pixel corners, as everywhere in Saccade.

    OpenCV counts from pixel centres, hence the half pixels.
    """
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
    return np.asarray(
        cv2.warpAffine(image, shifted, size_wh, flags=cv2.INTER_LINEAR, borderValue=PADDING), dtype=np.uint8
    )


def fit_image(spec: InputSpec, image: ImageArray) -> tuple[ImageArray, Placement]:
    """An RGB image (H, W, 3) as the model's input size, and where it lies in it."""
    height, width = image.shape[:2]
    placement = place(spec, (width, height))
    small = shrink(image, max(placement.scale_x, placement.scale_y))
    scale = np.diag([width / small.shape[1], height / small.shape[0], 1.0])
    return warp(small, placement.matrix() @ scale, spec.size), placement


def normalize(spec: InputSpec, images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """RGB images (B, H, W, 3) of 0..255 uint8 as normalised float32 (B, 3, H, W), channels last in memory."""
    scale = torch.tensor([1 / (255 * std) for std in spec.std], device=device)
    offset = torch.tensor([mean / std for mean, std in zip(spec.mean, spec.std, strict=True)], device=device)
    return (images.to(device).float() * scale - offset).permute(0, 3, 1, 2)
