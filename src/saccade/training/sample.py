"""One training sample: an image with its labels, moved together by one matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saccade.models.preprocess import FloatArray, ImageArray, warp


@dataclass(frozen=True, slots=True)
class Sample:
    """An image (H, W, 3) with boxes (N, 4) xyxy and their classes (N,), or with one label.

    ``matrix`` maps the image to the canvas of ``size_wh`` pixels in which the boxes are given; geometric steps only
    change it and the boxes. The pixels are moved, and the boxes cut at the canvas, once, by :meth:`rendered`: what one
    step moves out of sight and another back is whole. ``min_visible`` is the share of a box that must then be left.
    """

    image: ImageArray
    matrix: FloatArray
    size_wh: tuple[int, int]
    boxes_xyxy: FloatArray
    classes: NDArray[np.int64]
    label: int = -1
    min_visible: float = 0.0

    def transformed(self, matrix: FloatArray) -> Sample:
        """The sample under a further 2x3 matrix; a box becomes the box around its moved corners."""
        composed = matrix @ np.vstack([self.matrix, [0.0, 0.0, 1.0]])
        return replace(self, matrix=composed, boxes_xyxy=transform_boxes(self.boxes_xyxy, matrix))

    def with_min_visible(self, min_visible: float) -> Sample:
        """The sample, to lose boxes of which a smaller share is left when it is rendered."""
        return replace(self, min_visible=max(self.min_visible, min_visible))

    def render(self) -> Sample:
        """The same sample with its pixels moved to the canvas and its boxes cut at it."""
        cut = self._clip_boxes()
        if self.image.shape[1::-1] == self.size_wh and np.array_equal(self.matrix, IDENTITY):
            return cut
        return replace(cut, image=warp(self.image, self.matrix, self.size_wh), matrix=IDENTITY)

    def _clip_boxes(self) -> Sample:
        width, height = self.size_wh
        cut = np.clip(self.boxes_xyxy, 0, [width, height, width, height])
        area, left = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (self.boxes_xyxy, cut))
        sides = (cut[:, 2:] - cut[:, :2]).min(axis=1, initial=np.inf)
        keep = (left > self.min_visible * area) & (sides >= _MIN_SIDE_PX)
        return replace(self, boxes_xyxy=cut[keep], classes=self.classes[keep], min_visible=0.0)


_MIN_SIDE_PX = 2.0
"""Pixels; nothing can be learned from a box that is thinner."""
IDENTITY: FloatArray = np.array([[1.0, 0, 0], [0, 1.0, 0]])


def transform_boxes(boxes_xyxy: FloatArray, matrix: FloatArray) -> FloatArray:
    """The boxes (N, 4) around the corners of boxes moved by a 2x3 matrix."""
    corners = boxes_xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
