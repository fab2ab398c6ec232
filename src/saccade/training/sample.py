"""A training sample: an image and its labels, transformed together by one matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saccade.models.preprocess import FloatArray, ImageArray, warp

IDENTITY: FloatArray = np.array([[1.0, 0, 0], [0, 1.0, 0]])
# Thinner boxes are dropped: nothing can be learned from them.
_MIN_SIDE_PX = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """An image with boxes and their classes, or with one label.

    Geometric steps only change the matrix and the boxes. :meth:`render` warps the pixels and clips the boxes once, so
    that a box that one step moves out of the canvas and another step moves back stays whole.

    Attributes:
        image: (H, W, 3).
        matrix: 2x3, from image to canvas coordinates.
        size_wh: Size of the canvas in pixels.
        boxes_xyxy: (N, 4) in canvas coordinates.
        classes: (N,) class indices of the boxes.
        label: Class index of the image; -1 if it has boxes instead.
        min_visible: Minimum share of a box inside the canvas; boxes below are dropped by :meth:`render`.
    """

    image: ImageArray
    matrix: FloatArray
    size_wh: tuple[int, int]
    boxes_xyxy: FloatArray
    classes: NDArray[np.int64]
    label: int = -1
    min_visible: float = 0.0

    def transformed(self, matrix: FloatArray) -> Sample:
        """Apply a further 2x3 matrix; a box becomes the bounds of its transformed corners."""
        composed = matrix @ np.vstack([self.matrix, [0.0, 0.0, 1.0]])
        return replace(self, matrix=composed, boxes_xyxy=transform_boxes(self.boxes_xyxy, matrix))

    def with_min_visible(self, min_visible: float) -> Sample:
        """Return the sample with ``min_visible`` raised to at least this value."""
        return replace(self, min_visible=max(self.min_visible, min_visible))

    def render(self) -> Sample:
        """Warp the pixels to the canvas and clip the boxes to it."""
        clipped = self._clip_boxes()
        if self.image.shape[1::-1] == self.size_wh and np.array_equal(self.matrix, IDENTITY):
            return clipped
        return replace(clipped, image=warp(self.image, self.matrix, self.size_wh), matrix=IDENTITY)

    def _clip_boxes(self) -> Sample:
        width, height = self.size_wh
        clipped = np.clip(self.boxes_xyxy, 0, [width, height, width, height])
        area, visible_area = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (self.boxes_xyxy, clipped))
        shortest_side = (clipped[:, 2:] - clipped[:, :2]).min(axis=1, initial=np.inf)
        is_visible = (visible_area > self.min_visible * area) & (shortest_side >= _MIN_SIDE_PX)
        return replace(self, boxes_xyxy=clipped[is_visible], classes=self.classes[is_visible], min_visible=0.0)


def transform_boxes(boxes_xyxy: FloatArray, matrix: FloatArray) -> FloatArray:
    """Transform boxes (N, 4) by a 2x3 matrix; return the bounds (N, 4) of their transformed corners."""
    corners = boxes_xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    transformed = corners @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([transformed.min(axis=1), transformed.max(axis=1)], axis=1)
