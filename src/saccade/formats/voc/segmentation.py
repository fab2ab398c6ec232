"""The segmentation PNGs of Pascal VOC: one of object numbers, in the order of the XML file, and one of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError, MediaError
from saccade.core.geometry import convert, mask_to_array, masks_from_labels
from saccade.core.objects import Box, Mask, Object, Objects, Polygon
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.index_mask import read_index_png
from saccade.formats.base import SizeWH

OBJECTS = "SegmentationObject"
CLASSES = "SegmentationClass"
# Pixels of no object, such as the border around one.
_VOID = 255
# A mask belongs to a box only if the IoU of its bounds with the box reaches this.
_MIN_IOU = 0.3
# Pixels by which the sides of a mask's bounds and of its box may differ without a warning.
_MAX_SIDE_DIFFERENCE = 3


def to_mask(obj: Object, size_wh: SizeWH | None) -> Mask | None:
    """Return the mask of a mask or polygon; None for other geometries, and for a mask without pixels."""
    if size_wh is None or not isinstance(obj.geometry, Mask | Polygon):
        return None
    try:
        mask = convert(obj.geometry, "mask", size_wh)[0]
    except InvalidValueError:
        return None
    return mask if isinstance(mask, Mask) and mask.area() and (mask.width, mask.height) == size_wh else None


@dataclass
class SegmentationMasks:
    """The masks of an image that is written, by the number of their object in the XML file."""

    size_wh: SizeWH
    masks: dict[int, tuple[Object, Mask]]

    def write(
        self, key: str, stem: str, folder: Path, class_indices: Mapping[str, int], report: ConversionReport
    ) -> None:
        """Paint the masks over each other in order, report what is covered, and write both PNGs.

        Args:
            stem: path of the PNGs below their folders, without extension.
            folder: the dataset's folder.
            class_indices: indices of the classes, from 0.
        """
        width, height = self.size_wh
        object_numbers = np.zeros((height, width), np.uint16)
        class_numbers = np.zeros((height, width), np.uint8)
        for number, (obj, mask) in self.masks.items():
            pixels = mask_to_array(mask)
            object_numbers[pixels] = number
            class_numbers[pixels] = min(class_indices[obj.class_name] + 1, _VOID - 1)
        for number, (obj, mask) in self.masks.items():
            area = int(mask.area())
            covered = area - int((object_numbers == number).sum())
            if covered:
                is_hidden = covered == area
                reason = "mask that others cover, its box is left" if is_hidden else "pixels under another object"
                detail = f"{covered} of {area}"
                report.add(FindingType.DROPPED, reason, key=key, object_id=obj.id, detail=detail)
        fits_8_bits = max(self.masks) < _VOID
        _save(object_numbers.astype(np.uint8) if fits_8_bits else object_numbers, folder / OBJECTS / f"{stem}.png")
        _save(class_numbers, folder / CLASSES / f"{stem}.png")


def _save(numbers: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], path: Path) -> None:
    from PIL import Image

    image = Image.fromarray(numbers)
    if numbers.dtype == np.uint8:
        image.putpalette(_palette())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _palette() -> list[int]:
    """The devkit's colours: the bits of each number go in turn to red, green and blue, lowest bits first."""
    palette = []
    for number in range(256):
        color = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                if 3 * bit + channel < 8:
                    color[channel] |= (number >> (3 * bit + channel) & 1) << 7 - bit
        palette += color
    return palette


def apply_masks(objects: Objects, path: Path, key: str, size_wh: SizeWH | None, report: ConversionReport) -> Objects:
    """Replace the boxes of an image's objects by the masks in a PNG of object numbers.

    Args:
        objects: objects with boxes; their ids are the numbers in the PNG.
        path: the PNG.
        size_wh: size of the image.
    """

    def add(action: FindingType, reason: str, detail: str = "", object_id: str = "") -> None:
        report.add(action, reason, key=key, object_id=object_id, detail=detail)

    try:
        numbers, is_color = read_index_png(path)
    except MediaError as error:
        add(FindingType.DROPPED, "mask that cannot be read", str(error))
        return objects
    if is_color or (size_wh is not None and numbers.shape != size_wh[::-1]):
        detail = "it has colours" if is_color else f"{numbers.shape[1]} x {numbers.shape[0]}"
        add(FindingType.DROPPED, "masks that do not fit their image", detail)
        return objects
    by_id = {obj.id: obj for obj in objects}
    masked: dict[str, Object] = {}
    for (number,), mask in masks_from_labels(numbers):
        if number in (0, _VOID):
            continue
        obj = by_id.get(str(number))
        if obj is None:
            add(FindingType.DROPPED, "mask without an object", f"number {number}")
            continue
        box = obj.geometry
        assert isinstance(box, Box)
        if not _overlaps(mask, box):
            detail = f"{mask.bounds_xyxy()} for {box.bounds_xyxy()}"
            add(FindingType.DROPPED, "mask that does not lie where its box is", detail, obj.id)
            continue
        difference = max(abs(a - b) for a, b in zip(mask.bounds_xyxy(), box.bounds_xyxy(), strict=True))
        if difference > _MAX_SIDE_DIFFERENCE:
            detail = f"box {box.bounds_xyxy()}, mask {mask.bounds_xyxy()}"
            add(FindingType.WARNING, "box and mask disagree, the mask is taken", detail, obj.id)
        masked[obj.id] = replace(obj, geometry=mask)
    return tuple(masked.get(obj.id, obj) for obj in objects)


def _overlaps(mask: Mask, box: Box) -> bool:
    x1, y1, x2, y2 = mask.bounds_xyxy()
    width = min(x2, box.x2) - max(x1, box.x1)
    height = min(y2, box.y2) - max(y1, box.y1)
    intersection = max(0.0, width) * max(0.0, height)
    return intersection >= _MIN_IOU * ((x2 - x1) * (y2 - y1) + box.area() - intersection)
