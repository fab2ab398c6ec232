"""Losses of objects in formats with one type of geometry."""

from __future__ import annotations

from collections.abc import Iterable

from saccade.core.objects import BoundsXYXY, Box, Object
from saccade.core.report import ConversionReport, FindingType


class LossCounter:
    """Reports what a format cannot express of objects.

    Args:
        attributes: whether the format has attributes; likewise ``tracks`` and ``scores``.
        geometry_type: the type of geometry that the format writes.
    """

    def __init__(
        self,
        report: ConversionReport,
        *,
        attributes: bool,
        tracks: bool = False,
        scores: bool = False,
        geometry_type: str = Box.type,
    ) -> None:
        self._report = report
        self._has_attributes = attributes
        self._has_tracks = tracks
        self._has_scores = scores
        self._geometry_type = geometry_type
        self._renumbered = 0

    def count(self, key: str, obj: Object, position: int, geometry_type: str = "") -> None:
        """Report what is lost of an object.

        Args:
            position: the id, from 1, that the object gets when it is read back.
            geometry_type: the type of geometry written for this object, if it is not the format's usual one.
        """
        geometry_type = geometry_type or self._geometry_type
        self._renumbered += obj.id != str(position)
        if obj.score is not None and not self._has_scores:
            self._add("score", key, obj, str(obj.score))
        if obj.track is not None and not self._has_tracks:
            self._add("track", key, obj, obj.track)
        if not self._has_attributes:
            for name, value in obj.attributes.items():
                self._add("attribute", key, obj, f"{name} = {value!r}")
        if obj.geometry.type != geometry_type:
            source = obj.geometry.type.replace("_", " ")
            target = geometry_type.replace("_", " ")
            self._add(f"shape of a {source}, written as its {target}", key, obj, "")

    def bounds_xyxy(self, key: str, obj: Object) -> BoundsXYXY | None:
        """Return the bounding box in pixels; None, and reported, if it has no area."""
        bounds = obj.geometry.bounds_xyxy()
        if bounds[0] < bounds[2] and bounds[1] < bounds[3]:
            return bounds
        self._add("object without area", key, obj, f"a {obj.geometry.type.replace('_', ' ')}")
        return None

    def report(self) -> None:
        report_renumbered(self._report, self._renumbered)

    def _add(self, reason: str, key: str, obj: Object, detail: str) -> None:
        self._report.add(FindingType.DROPPED, reason, key=key, object_id=obj.id, detail=detail)


def report_unsized_objects(objects: Iterable[Object], key: str, report: ConversionReport) -> None:
    """Report objects as dropped that a format cannot write without the size of their image."""
    for obj in objects:
        report.add(FindingType.DROPPED, "object of an image of unknown size", key=key, object_id=obj.id)


def report_renumbered(report: ConversionReport, count: int) -> None:
    """Report that ``count`` objects lose their ids, if any do."""
    if count:
        report.add(FindingType.DROPPED, "ids of objects", detail=f"{count} objects are numbered anew")
