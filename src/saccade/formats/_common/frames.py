"""The frame of an image's labels: the size that their coordinates refer to, which may not be that of the image file.

Two reasons are common. A tool that ignores the EXIF orientation labels the stored pixels of a photo, while everything
here refers to the image as displayed. And images are scaled after they were labelled. Both are repaired if the sizes
leave no doubt; otherwise the labels are dropped, because in the wrong place they would do more harm than none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.core.errors import SaccadeError
from saccade.core.geometry import orientation_matrix, transform_geometry
from saccade.core.objects import Box, Geometry, Keypoints, Mask, Object, Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.core.text import format_count
from saccade.formats.base import MediaSource, SizeWH

TURNED = "labels of the stored pixels, turned by the EXIF orientation"
SCALED = "labels of another image size, scaled"
LOST = "labels of another image size"

_MAX_ASPECT_DIFFERENCE = 0.05
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ImageSize:
    """The sizes of an image file.

    Attributes:
        size_wh: width and height as displayed, after EXIF orientation.
        orientation: EXIF orientation, 1 to 8.
    """

    size_wh: SizeWH
    orientation: int = 1

    @property
    def stored_wh(self) -> SizeWH:
        width, height = self.size_wh
        return (height, width) if self.orientation >= 5 else (width, height)


@dataclass(frozen=True, slots=True)
class _Mapping:
    """How coordinates get from one size to that of the image.

    Attributes:
        matrix: affine matrix (2, 3), or None if the sizes have no clear relation.
    """

    matrix: Matrix | None
    is_turned: bool = False
    is_scaled: bool = False


@lru_cache(maxsize=256)
def _mapping(stated_wh: SizeWH, image: ImageSize) -> _Mapping:
    if stated_wh == image.stored_wh and image.orientation >= 5:
        return _Mapping(orientation_matrix(image.orientation, stated_wh), is_turned=True)
    if has_same_aspect(stated_wh, image.size_wh):
        return _Mapping(_scale_matrix(stated_wh, image.size_wh), is_scaled=True)
    if image.orientation >= 5 and has_same_aspect(stated_wh, image.stored_wh):
        turned = orientation_matrix(image.orientation, stated_wh)
        scale = _scale_matrix((stated_wh[1], stated_wh[0]), image.size_wh)
        return _Mapping(np.diag(scale)[:, None] * turned, is_turned=True, is_scaled=True)
    return _Mapping(None)


def has_same_aspect(first_wh: SizeWH, second_wh: SizeWH) -> bool:
    """Whether one size is the other one scaled by some factor, with its sides rounded up or down to whole pixels.

    >>> has_same_aspect((4032, 3024), (640, 480)), has_same_aspect((640, 480), (640, 640))
    (True, False)
    """
    small, large = sorted((first_wh, second_wh))
    if min(small) < 1 or min(large) < 1:
        return False
    # For a few pixels, almost any size could come from rounding.
    if abs(math.log(small[0] * large[1] / (small[1] * large[0]))) > _MAX_ASPECT_DIFFERENCE:
        return False
    # Each side allows an interval of factors; there must be one that suits both.
    low = max((small_side - 1) / side for small_side, side in zip(small, large, strict=True))
    high = min((small_side + 1) / side for small_side, side in zip(small, large, strict=True))
    return low < high


def _scale_matrix(from_wh: SizeWH, to_wh: SizeWH) -> Matrix:
    return np.array([(to_wh[0] / from_wh[0], 0.0, 0.0), (0.0, to_wh[1] / from_wh[1], 0.0)])


@dataclass(slots=True)
class LabelFrame:
    """The frame of the labels of one image.

    Read the shapes as lying in an image of ``size_wh``, and then map them by :meth:`to_image`.

    Attributes:
        size_wh: size that the labels refer to; None if it is unknown.
        image_wh: size of the image as displayed, or the stated one if the image cannot be read.
    """

    size_wh: SizeWH | None
    image_wh: SizeWH | None
    _stated_wh: SizeWH | None
    _image: ImageSize | None
    _report: ConversionReport
    _key: str
    _is_relative: bool
    _is_reported: bool = field(default=False, init=False)

    @classmethod
    def create(
        cls,
        image: ImageSize | None,
        stated_wh: SizeWH | None,
        report: ConversionReport,
        key: str,
        *,
        relative: bool = False,
    ) -> LabelFrame:
        """Compare the size that a label file states with the image.

        Args:
            image: sizes of the image file; None if it cannot be read.
            stated_wh: size that the label file states, if any.
            report: receives what is repaired or dropped.
            key: key of the item, for the report.
            relative: whether coordinates are shares of the sides, for which scaling is no repair.
        """
        if image is None:
            return cls(stated_wh, stated_wh, stated_wh, None, report, key, relative)
        size_wh = image.size_wh
        if stated_wh is not None and stated_wh != size_wh and _mapping(stated_wh, image).matrix is not None:
            size_wh = stated_wh
        return cls(size_wh, image.size_wh, stated_wh, image, report, key, relative)

    def to_image(self, objects: Objects | None) -> Objects | None:
        """Map objects into the image as displayed; a mask by the size that it has itself.

        Returns:
            None, and reported, if the stated size has no clear relation to the image's.
        """
        if not objects:
            return objects
        objects = self._drop_outside(objects)
        if self._image is None:
            return objects
        mapping = None
        if self._stated_wh is not None and self._stated_wh != self._image.size_wh:
            mapping = _mapping(self._stated_wh, self._image)
            self._report_mapping(mapping, len(objects))
            if mapping.matrix is None:
                return None
        if mapping is None and not any(isinstance(obj.geometry, Mask) for obj in objects):
            return objects
        mapped = (self._map(obj, mapping) for obj in objects)
        return tuple(obj for obj in mapped if obj is not None)

    def _drop_outside(self, objects: Objects) -> Objects:
        """Drop shapes that lie outside the image as a whole; boxes and masks are clipped when they are read.

        Keypoints may lie outside. They are kept, with a warning, if the label file states the size of the image, so
        that they are not those of another size.
        """
        if self.size_wh is None or all(isinstance(obj.geometry, Box | Mask) for obj in objects):
            return objects
        inside = []
        for obj in objects:
            if isinstance(obj.geometry, Box | Mask) or _touches(obj.geometry, self.size_wh):
                inside.append(obj)
                continue
            detail = f"bounds {obj.geometry.bounds_xyxy()} in an image of {_text(self.size_wh)}"
            if isinstance(obj.geometry, Keypoints) and self._stated_wh == self.size_wh:
                inside.append(obj)
                reason = "keypoints outside the image"
                self._report.add(FindingType.WARNING, reason, key=self._key, object_id=obj.id, detail=detail)
                continue
            reason = "shape outside the image"
            self._report.add(FindingType.DROPPED, reason, key=self._key, object_id=obj.id, detail=detail)
        return tuple(inside)

    def _report_mapping(self, mapping: _Mapping, count: int) -> None:
        assert self._stated_wh is not None
        if self._is_reported or (mapping.is_scaled and not mapping.is_turned and self._is_relative):
            return
        self._is_reported = True
        detail = f"{_text(self._stated_wh)} stated, {_text(self.image_wh)} actual"
        if mapping.matrix is None:
            self._report.add(
                FindingType.DROPPED, LOST, key=self._key, detail=f"{format_count(count, 'object')}: {detail}"
            )
        else:
            reason = TURNED if mapping.is_turned else SCALED
            self._report.add(FindingType.REPAIRED, reason, key=self._key, detail=detail)

    def _map(self, obj: Object, mapping: _Mapping | None) -> Object | None:
        assert self._image is not None
        geometry = obj.geometry
        if isinstance(geometry, Mask):
            return self._map_mask(obj, geometry, self._image)
        if mapping is None or mapping.matrix is None:
            return obj
        return replace(obj, geometry=map_geometry(geometry, mapping.matrix, self._image.size_wh))

    def _map_mask(self, obj: Object, mask: Mask, image: ImageSize) -> Object | None:
        mask_wh = (mask.width, mask.height)
        if mask_wh == image.size_wh:
            return obj
        mapping = _mapping(mask_wh, image)
        detail = f"{_text(mask_wh)} for {_text(image.size_wh)}"
        if mapping.matrix is None:
            reason = "mask of another size than its image"
            self._report.add(FindingType.DROPPED, reason, key=self._key, object_id=obj.id, detail=detail)
            return None
        if mask_wh != self._stated_wh:
            reason = "mask of another size than its image, turned or scaled to it"
            self._report.add(FindingType.REPAIRED, reason, key=self._key, object_id=obj.id, detail=detail)
        mapped = transform_geometry(mask, mapping.matrix, image.size_wh)
        if mask.area() and not mapped.area():
            reason = "mask without pixels after scaling"
            self._report.add(FindingType.DROPPED, reason, key=self._key, object_id=obj.id, detail=detail)
            return None
        return replace(obj, geometry=mapped)


def _touches(geometry: Geometry, size_wh: SizeWH) -> bool:
    x1, y1, x2, y2 = geometry.bounds_xyxy()
    return x1 <= size_wh[0] and y1 <= size_wh[1] and x2 >= 0 and y2 >= 0


def map_geometry(geometry: Geometry, matrix: Matrix, size_wh: SizeWH) -> Geometry:
    """Map a geometry other than a mask into an image of ``size_wh``."""
    mapped = transform_geometry(geometry, matrix, size_wh)
    if isinstance(mapped, Box):
        # Scaling may exceed the edge by a rounding error.
        return _clamp(mapped, size_wh)
    if isinstance(mapped, Keypoints) and isinstance(geometry, Keypoints):
        pairs = zip(geometry.points, mapped.points, geometry.visibility, strict=True)
        # A point that is not labelled has no place: formats write (0, 0) for it.
        points = tuple(old if not seen and old == (0.0, 0.0) else new for old, new, seen in pairs)
        return replace(mapped, points=points)
    return mapped


def _clamp(box: Box, size_wh: SizeWH) -> Box:
    tolerance = 1e-9 * max(size_wh)
    x1, y1, x2, y2 = box.bounds_xyxy()
    width, height = map(float, size_wh)
    if x1 < -tolerance or y1 < -tolerance or x2 > width + tolerance or y2 > height + tolerance:
        return box
    return Box(max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height))


def read_image_size(media: MediaSource) -> ImageSize | None:
    """Read the sizes of an image from its header; None if it cannot be read."""
    from saccade.media.image import probe

    try:
        result = probe(media.path or media.read())
    except (SaccadeError, OSError):
        return None
    return ImageSize(result.size_wh, result.orientation)


def _text(size_wh: SizeWH | None) -> str:
    return "unknown" if size_wh is None else f"{size_wh[0]} x {size_wh[1]}"


def to_size_wh(width: Any, height: Any) -> SizeWH | None:
    """Return a stated size; None if it is not two whole numbers above 0, as numbers or as text.

    >>> to_size_wh("640", 480.0), to_size_wh(0, 0)
    ((640, 480), None)
    """
    sides = []
    for side in (width, height):
        try:
            number = 0.0 if isinstance(side, bool) else float(side)
        except (TypeError, ValueError, OverflowError):
            return None
        if not 1 <= number < 1e9 or number != int(number):
            return None
        sides.append(int(number))
    return sides[0], sides[1]
