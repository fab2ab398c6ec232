"""Objects painted over each other into one picture of numbers, and what is covered by that."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from saccade.core.geometry import mask_to_array
from saccade.core.objects import Keypoints, Mask, Object, Points, Polyline
from saccade.core.report import Action, Report
from saccade.formats._common.geometry import held, refuse
from saccade.formats._common.per_image import SizeWH


class Painting:
    """Numbers of objects from 1 by pixel, for formats in which no two objects share one.

    Attributes:
        numbers: uint32 (height, width); 0 where nothing is.
    """

    def __init__(self, size_wh: tuple[int, int], key: str, report: Report) -> None:
        self.numbers: npt.NDArray[np.uint32] = np.zeros((size_wh[1], size_wh[0]), np.uint32)
        self._size_wh, self._key, self._report = size_wh, key, report
        self._painted: list[tuple[Object, Mask]] = []

    def add(self, found: Object) -> None:
        """Paint an object over those before it; what has no area is reported."""
        mask = area_mask(found, self._size_wh, self._key, self._report)
        if mask is not None:
            self._painted.append((found, mask))
            self.numbers[mask_to_array(mask)] = len(self._painted)

    def seen(self) -> Iterator[tuple[int, Object]]:
        """The numbers of the objects of which anything is seen; what is covered is reported."""
        values, counts = np.unique(self.numbers, return_counts=True)
        pixels = dict(zip(values.tolist(), counts.tolist(), strict=True))
        for number, (found, mask) in enumerate(self._painted, 1):
            lost = int(mask.area()) - pixels.get(number, 0)
            if number not in pixels:
                refuse(found, self._key, self._report, "other objects cover it")
                continue
            if lost:
                detail = f"{lost} of {int(mask.area())}"
                reason = "pixels under another object"
                self._report.add(Action.DROPPED, reason, key=self._key, object_id=found.id, detail=detail)
            yield number, found


def area_mask(found: Object, size_wh: SizeWH, key: str, report: Report) -> Mask | None:
    """The pixels of an object; None, reported, where it has no area."""
    if isinstance(found.geometry, Points | Polyline | Keypoints):
        refuse(found, key, report, f"a {found.geometry.type} has no area")
        return None
    mask = held(found, "" if isinstance(found.geometry, Mask) else "mask", size_wh, key, report)
    return mask if isinstance(mask, Mask) else None


def drop_beside_shape(found: Object, key: str, report: Report, *, kept: tuple[str, ...] = ()) -> None:
    """Report score, track and attributes, but for those that a format holds."""
    given = {"score": found.score, "track": found.track}
    for what, value in given.items():
        if value is not None and what not in kept:
            report.add(Action.DROPPED, what, key=key, object_id=found.id, detail=str(value))
    for name, attribute in found.attributes.items():
        if name not in kept or attribute is not True:
            report.add(Action.DROPPED, "attribute", key=key, object_id=found.id, detail=f"{name} = {attribute!r}")
