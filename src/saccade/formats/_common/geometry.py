"""Conversion of an object's geometry to a type that a format supports."""

from __future__ import annotations

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import convert
from saccade.core.objects import Geometry, Keypoints, Mask, Object, Points, Polygon
from saccade.core.report import ConversionReport, FindingType
from saccade.formats.base import SizeWH


def is_single_ring(geometry: Geometry) -> bool:
    """Whether a polygon has one part without holes; True for all other types."""
    return not isinstance(geometry, Polygon) or (len(geometry.parts) == 1 and len(geometry.parts[0]) == 1)


def coerce_geometry(
    obj: Object, target_type: str, size_wh: SizeWH | None, key: str, report: ConversionReport
) -> Geometry | None:
    """Convert an object's geometry, and report the change.

    Args:
        target_type: the geometry type to convert to; "" leaves the geometry as it is.
        size_wh: size of the image, which masks need.

    Returns:
        None, and reported, if the geometry cannot be converted or is a mask without pixels.
    """
    geometry = obj.geometry
    type_name = geometry.type.replace("_", " ")
    converted: Geometry
    try:
        if target_type == Points.type and isinstance(geometry, Keypoints):
            converted = Points(geometry.points)
        else:
            converted = convert(geometry, target_type, size_wh)[0] if target_type else geometry
    except InvalidValueError as error:
        drop_object(obj, key, report, f"a {type_name}: {error}")
        return None
    if isinstance(converted, Mask) and not converted.area():
        drop_object(obj, key, report, f"a {type_name} without pixels")
        return None
    if target_type:
        reason = f"shape of a {type_name}, written as {target_type.replace('_', ' ')}"
        report.add(FindingType.DROPPED, reason, key=key, object_id=obj.id)
    return converted


def drop_object(obj: Object, key: str, report: ConversionReport, detail: str) -> None:
    """Report an object that is not written because of its shape.

    Args:
        key: key of the object's item.
        detail: why, as a sentence part.
    """
    report.add(FindingType.DROPPED, "shape that cannot be written", key=key, object_id=obj.id, detail=detail)
