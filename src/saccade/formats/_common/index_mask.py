"""Index masks: images whose pixels are numbers of objects or classes, for formats in which objects do not overlap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.core.errors import MediaError
from saccade.core.geometry import mask_to_array
from saccade.core.objects import Keypoints, Mask, Object, Points, Polyline
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.geometry import coerce_geometry, drop_object
from saccade.formats._common.source_files import mark_read
from saccade.formats.base import SizeWH

_MAX_PIXELS = 1 << 28
IndexArray = npt.NDArray[Any]


def read_index_png(path: Path) -> tuple[IndexArray, bool]:
    """Read a PNG whose pixels are numbers or colours.

    Returns:
        Whole numbers (height, width), and whether they are colours; a colour is ``red << 16 | green << 8 | blue``.

    Raises:
        MediaError: if it is no PNG, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    mark_read(path)
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise MediaError(f"The mask '{path.name}' of {image.width} x {image.height} pixels is too large.")
            if image.mode in ("RGB", "RGBA"):
                # Read as one number for each pixel, instead of combining three arrays.
                red_first = np.asarray(image.convert("RGBA")).view(">u4")[..., 0]
                return (red_first >> 8).astype(np.int32), True
            # Unsigned numbers would overflow in sums and shifts of their users.
            return np.asarray(image.convert("L") if image.mode in ("1", "LA") else image), False
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise MediaError(f"The mask '{path.name}' cannot be read: {error}.") from None


class IndexMaskPainter:
    """Paints the objects of an image over each other.

    Attributes:
        object_numbers: uint32 (height, width); the number, from 1, of the object at each pixel, 0 for none.
    """

    def __init__(self, size_wh: SizeWH, key: str, report: ConversionReport) -> None:
        self.object_numbers: npt.NDArray[np.uint32] = np.zeros((size_wh[1], size_wh[0]), np.uint32)
        self._size_wh = size_wh
        self._key = key
        self._report = report
        self._painted: list[tuple[Object, Mask]] = []

    def add(self, obj: Object) -> None:
        """Paint an object over the earlier ones; an object without area is reported instead."""
        mask = to_area_mask(obj, self._size_wh, self._key, self._report)
        if mask is not None:
            self._painted.append((obj, mask))
            self.object_numbers[mask_to_array(mask)] = len(self._painted)

    def visible_objects(self) -> Iterator[tuple[int, Object]]:
        """Iterate over the numbers and objects that have visible pixels; what is covered is reported."""
        values, counts = np.unique(self.object_numbers, return_counts=True)
        visible_pixels = dict(zip(values.tolist(), counts.tolist(), strict=True))
        for number, (obj, mask) in enumerate(self._painted, 1):
            covered = int(mask.area()) - visible_pixels.get(number, 0)
            if number not in visible_pixels:
                drop_object(obj, self._key, self._report, "other objects cover it")
                continue
            if covered:
                detail = f"{covered} of {int(mask.area())}"
                reason = "pixels under another object"
                self._report.add(FindingType.DROPPED, reason, key=self._key, object_id=obj.id, detail=detail)
            yield number, obj


def to_area_mask(obj: Object, size_wh: SizeWH | None, key: str, report: ConversionReport) -> Mask | None:
    """Convert an object's geometry to a mask.

    Args:
        size_wh: size of the image; without it, only masks can be converted.
        key: key of the object's item.

    Returns:
        None, and reported, if the geometry has no area or cannot be converted.
    """
    if isinstance(obj.geometry, Points | Polyline | Keypoints):
        drop_object(obj, key, report, f"a {obj.geometry.type} has no area")
        return None
    mask = coerce_geometry(obj, "" if isinstance(obj.geometry, Mask) else "mask", size_wh, key, report)
    return mask if isinstance(mask, Mask) else None


def report_dropped_fields(obj: Object, key: str, report: ConversionReport, *, supported: tuple[str, ...] = ()) -> None:
    """Report an object's score, track and attributes as dropped.

    Args:
        supported: "score", "track" and the names of flag attributes that the format can express.
    """
    for name, value in (("score", obj.score), ("track", obj.track)):
        if value is not None and name not in supported:
            report.add(FindingType.DROPPED, name, key=key, object_id=obj.id, detail=str(value))
    for name, attribute in obj.attributes.items():
        if name not in supported or attribute is not True:
            detail = f"{name} = {attribute!r}"
            report.add(FindingType.DROPPED, "attribute", key=key, object_id=obj.id, detail=detail)
