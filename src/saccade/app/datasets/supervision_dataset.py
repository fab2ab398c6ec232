"""A dataset version as a ``supervision.DetectionDataset``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import supervision as sv

from saccade.core.schema import ImageRef
from saccade.media.loader import read_image


class VersionDetections(sv.DetectionDataset):
    """Detections by item key; images are decoded on use, in BGR as elsewhere in supervision."""

    def __init__(
        self, version: Any, classes: list[str], images: Mapping[str, ImageRef], annotations: dict[str, Any]
    ) -> None:
        super().__init__(classes, list(images), annotations)
        self._version = version
        self._refs = images

    def _get_image(self, image_path: str) -> Any:
        return np.ascontiguousarray(read_image(self._version, self._refs[image_path])[:, :, ::-1])

    def split(self, *args: Any, **options: Any) -> tuple[VersionDetections, VersionDetections]:
        """Split into two; arguments as in ``supervision.DetectionDataset.split``."""
        first, second = super().split(*args, **options)
        return self._subset(first), self._subset(second)

    def _subset(self, part: Any) -> VersionDetections:
        images = {key: self._refs[key] for key in part.image_paths}
        return VersionDetections(self._version, self.classes, images, part.annotations)
