"""The geometry of an object as one that a format holds."""

from __future__ import annotations

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import convert
from saccade.core.objects import Geometry, Keypoints, Mask, Object, Points
from saccade.core.report import Action, Report


def is_simple(geometry: Geometry) -> bool:
    """Whether a polygon is one ring without holes; true of everything else."""
    parts = getattr(geometry, "parts", None)
    return parts is None or (len(parts) == 1 and len(parts[0]) == 1)


def held(found: Object, wanted: str, size_wh: tuple[int, int] | None, key: str, report: Report) -> Geometry | None:
    """The geometry as one of the type ``wanted``, or as it is where that is empty.

    What changes is reported, and so is what cannot be written at all, for which None is given: a shape that cannot
    become one of that type, or a mask without pixels.
    """
    geometry = found.geometry
    words = geometry.type.replace("_", " ")
    made: Geometry
    try:
        if wanted == Points.type and isinstance(geometry, Keypoints):
            made = Points(geometry.points)
        else:
            made = convert(geometry, wanted, size_wh)[0] if wanted else geometry
    except InvalidValueError as error:
        refuse(found, key, report, f"a {words}: {error}")
        return None
    if isinstance(made, Mask) and not made.area():
        refuse(found, key, report, f"a {words} without pixels")
        return None
    if wanted:
        reason = f"shape of a {words}, written as {wanted.replace('_', ' ')}"
        report.add(Action.DROPPED, reason, key=key, object_id=found.id)
    return made


def refuse(found: Object, key: str, report: Report, why: str) -> None:
    """Report an object that is left out for its shape."""
    report.add(Action.DROPPED, "shape that cannot be written", key=key, object_id=found.id, detail=why)
