"""The segmentation PNGs of Pascal VOC: one of numbers of objects, in the order of the XML, and one of classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError, MediaError
from saccade.core.geometry import convert, mask_from_array, mask_to_array
from saccade.core.objects import Box, Mask, Object, Objects, Polygon
from saccade.core.report import Action, Report
from saccade.formats.masks import read_numbers

OBJECTS, CLASSES = "SegmentationObject", "SegmentationClass"
_VOID = 255
_LEAST_SHARED = 0.3
_SLACK = 3


def mask_of(found: Object, size_wh: tuple[int, int] | None) -> Mask | None:
    """The pixels of a mask or polygon; None for other shapes, and where there are none."""
    if size_wh is None or not isinstance(found.geometry, Mask | Polygon):
        return None
    try:
        made = convert(found.geometry, "mask", size_wh)[0]
    except InvalidValueError:
        return None
    return made if isinstance(made, Mask) and made.area() and (made.width, made.height) == size_wh else None


@dataclass
class Segments:
    """The masks of one image while it is written, by the number of their object in the XML."""

    size_wh: tuple[int, int]
    masks: dict[int, tuple[Object, Mask]]

    def write(self, key: str, stem: str, folder: Path, classes: Mapping[str, int], report: Report) -> None:
        """Paint the masks over each other in order, report what is covered, and write both PNGs."""
        width, height = self.size_wh
        numbers = np.zeros((height, width), np.uint16)
        names = np.zeros((height, width), np.uint8)
        for number, (found, mask) in self.masks.items():
            pixels = mask_to_array(mask)
            numbers[pixels] = number
            names[pixels] = min(classes[found.class_name] + 1, _VOID - 1)
        for number, (found, mask) in self.masks.items():
            area = int(mask.area())
            lost = area - int((numbers == number).sum())
            if lost:
                reason = "mask that others cover, its box is left" if lost == area else "pixels under another object"
                report.add(Action.DROPPED, reason, key=key, object_id=found.id, detail=f"{lost} of {area}")
        few = max(self.masks) < _VOID
        _save(numbers.astype(np.uint8) if few else numbers, folder / OBJECTS / f"{stem}.png")
        _save(names, folder / CLASSES / f"{stem}.png")


def _save(numbers: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], path: Path) -> None:
    from PIL import Image

    image = Image.fromarray(numbers)
    if numbers.dtype == np.uint8:
        image.putpalette(_palette())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _palette() -> list[int]:
    """The devkit's colours: of each number the bits are spread over red, green and blue, the low ones first."""
    colors = []
    for number in range(256):
        color = [0, 0, 0]
        for at in range(8):
            for channel in range(3):
                color[channel] |= (number >> (3 * at + channel) & 1) << 7 - at if 3 * at + channel < 8 else 0
        colors += color
    return colors


def with_masks(objects: Objects, path: Path, key: str, size_wh: tuple[int, int] | None, report: Report) -> Objects:
    """The objects of an image with the masks that a PNG has for them, in place of their boxes."""

    def note(action: Action, reason: str, detail: str = "", object_id: str = "") -> None:
        report.add(action, reason, key=key, object_id=object_id, detail=detail)

    try:
        numbers, is_color = read_numbers(path)
    except MediaError as error:
        note(Action.DROPPED, "mask that cannot be read", str(error))
        return objects
    if is_color or (size_wh is not None and numbers.shape != size_wh[::-1]):
        detail = "it has colours" if is_color else f"{numbers.shape[1]} x {numbers.shape[0]}"
        note(Action.DROPPED, "masks that do not fit their image", detail)
        return objects
    by_id = {found.id: found for found in objects}
    masked: dict[str, Object] = {}
    for number in _numbers(numbers):
        found = by_id.get(str(number))
        if found is None:
            note(Action.DROPPED, "mask without an object", f"number {number}")
            continue
        mask = mask_from_array(numbers == number)
        assert isinstance(found.geometry, Box)
        if not _lies_in(mask, found.geometry):
            detail = f"{mask.bounds_xyxy()} for {found.geometry.bounds_xyxy()}"
            note(Action.DROPPED, "mask that does not lie where its box is", detail, found.id)
            continue
        apart = max(abs(a - b) for a, b in zip(mask.bounds_xyxy(), found.geometry.bounds_xyxy(), strict=True))
        if apart > _SLACK:
            detail = f"box {found.geometry.bounds_xyxy()}, mask {mask.bounds_xyxy()}"
            note(Action.NOTICED, "box and mask disagree, the mask is taken", detail, found.id)
        masked[found.id] = replace(found, geometry=mask)
    return tuple(masked.get(found.id, found) for found in objects)


def _numbers(pixels: npt.NDArray[np.int64]) -> Iterable[int]:
    found: list[int] = np.unique(pixels).tolist()
    return [number for number in found if number not in (0, _VOID)]


def _lies_in(mask: Mask, box: Box) -> bool:
    """Whether the bounds of a mask and a box share a fair part of what they cover together."""
    x1, y1, x2, y2 = mask.bounds_xyxy()
    width = min(x2, box.x2) - max(x1, box.x1)
    height = min(y2, box.y2) - max(y1, box.y1)
    shared = max(0.0, width) * max(0.0, height)
    return shared >= _LEAST_SHARED * ((x2 - x1) * (y2 - y1) + box.area() - shared)
