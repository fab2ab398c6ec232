"""Operations on the objects of items: choose, rename, thin out, change their geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from saccade.core.errors import InvalidValueError
from saccade.core.geometry.contours import mask_to_polygon
from saccade.core.geometry.convert import convert
from saccade.core.geometry.masks import subtract_masks
from saccade.core.geometry.nms import without_overlap
from saccade.core.objects import Mask, Object, Polygon
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.operations.base import Context, Parameters, column_of, per_item

_LIBRARIES = ("numpy", "opencv-python-headless")


class OnObjects(Parameters):
    """What all operations on objects take."""

    objects: str | None = Field(None, description="The column of objects; the first one where none is named.")


def _column(parameters: OnObjects, schema: Schema) -> Column:
    return column_of(schema, parameters.objects, Kind.OBJECTS)


def _reads(parameters: OnObjects, schema: Schema) -> Sequence[str]:
    return [_column(parameters, schema).name]


def _writes(parameters: OnObjects, schema: Schema) -> Sequence[Column]:
    return [_column(parameters, schema)]


class ChooseParameters(OnObjects):
    classes: list[str] | None = Field(None, description="Keep only objects of these classes.")
    without: list[str] = Field([], description="Leave out objects of these classes.")
    min_score: float | None = Field(None, description="Leave out objects with a lower score, and those without one.")
    min_area: float = Field(0, ge=0, description="Leave out objects with a smaller area, in square pixels.")
    max_area: float | None = Field(None, gt=0, description="Leave out objects with a larger area.")
    min_side: float = Field(0, ge=0, description="Leave out objects whose bounds have a shorter side, in pixels.")
    most: int | None = Field(None, ge=1, description="Keep so many at most: those of the highest score.")


def _writes_chosen(parameters: ChooseParameters, schema: Schema) -> Sequence[Column]:
    column = _column(parameters, schema)
    unknown = [name for name in (*(parameters.classes or ()), *parameters.without) if name not in column.class_names]
    if unknown and column.class_names:
        raise InvalidValueError(
            f"The column '{column.name}' has no class '{unknown[0]}'.",
            hint=f"Classes: {', '.join(column.class_names)}.",
        )
    kept = [one for one in column.classes if parameters.classes is None or one.name in parameters.classes]
    return [replace(column, classes=tuple(one for one in kept if one.name not in parameters.without))]


@per_item("choose_objects", parameters=ChooseParameters, reads=_reads, writes=_writes_chosen, bound=True)
def choose_objects(parameters: ChooseParameters, schema: Schema) -> Any:
    """Keep objects by class, score and size."""
    name = _column(parameters, schema).name
    wanted = None if parameters.classes is None else set(parameters.classes)
    without = set(parameters.without)

    def stays(one: Object) -> bool:
        if one.class_name in without or (wanted is not None and one.class_name not in wanted):
            return False
        if parameters.min_score is not None and (one.score is None or one.score < parameters.min_score):
            return False
        area = one.geometry.area()
        if area < parameters.min_area or (parameters.max_area is not None and area > parameters.max_area):
            return False
        x1, y1, x2, y2 = one.geometry.bounds_xyxy()
        return min(x2 - x1, y2 - y1) >= parameters.min_side

    def choose(item: Item, context: Context) -> Mapping[str, Any]:
        if item[name] is None:
            return {name: None}
        found = [one for one in item[name] if stays(one)]
        if parameters.most is not None and len(found) > parameters.most:
            best = sorted(found, key=lambda one: -1.0 if one.score is None else one.score, reverse=True)
            ids = {one.id for one in best[: parameters.most]}
            found = [one for one in found if one.id in ids]
        return {name: tuple(found)}

    return choose


class RelabelParameters(OnObjects):
    classes: dict[str, str | None] = Field(description="New names by old ones; null leaves the objects out.")
    others: Literal["keep", "drop"] = Field("keep", description="What is done with classes that are not named.")


def _renamed(parameters: RelabelParameters, name: str) -> str | None:
    return parameters.classes.get(name, name if parameters.others == "keep" else None)


def _writes_relabelled(parameters: RelabelParameters, schema: Schema) -> Sequence[Column]:
    column = _column(parameters, schema)
    if unknown := [name for name in parameters.classes if column.classes and name not in column.class_names]:
        raise InvalidValueError(
            f"The column '{column.name}' has no class '{unknown[0]}'.",
            hint=f"Classes: {', '.join(column.class_names)}.",
        )
    made: dict[str, ClassInfo] = {}
    for one in column.classes:
        name = _renamed(parameters, one.name)
        if name is not None:
            made.setdefault(name, replace(one, name=name))
    return [replace(column, classes=tuple(made.values()))]


@per_item("relabel", parameters=RelabelParameters, reads=_reads, writes=_writes_relabelled, bound=True)
def relabel(parameters: RelabelParameters, schema: Schema) -> Any:
    """Give classes other names; several may become one."""
    column = _column(parameters, schema).name

    def rename(item: Item, context: Context) -> Mapping[str, Any]:
        if item[column] is None:
            return {column: None}
        named = [(one, _renamed(parameters, one.class_name)) for one in item[column]]
        return {column: tuple(replace(one, class_name=name) for one, name in named if name is not None)}

    return rename


class NmsParameters(OnObjects):
    iou: float = Field(0.5, gt=0, le=1, description="Objects that overlap more are one.")
    by_class: bool = Field(True, description="Only objects of one class are compared.")
    measure: Literal["iou", "smaller"] = Field(
        "iou", description="Overlap as a share of both together, or of the smaller one."
    )


@per_item("nms", parameters=NmsParameters, reads=_reads, writes=_writes, libraries=("numpy",), bound=True)
def nms(parameters: NmsParameters, schema: Schema) -> Any:
    """Non-maximum suppression: of objects that overlap the one of the highest score stays."""
    name = _column(parameters, schema).name

    def thin(item: Item, context: Context) -> Mapping[str, Any]:
        if item[name] is None:
            return {name: None}
        kept = without_overlap(item[name], parameters.iou, measure=parameters.measure, by_class=parameters.by_class)
        return {name: tuple(kept)}

    return thin


class ToMasksParameters(OnObjects):
    image: str | None = Field(None, description="The column of the image, whose size masks have.")
    apart: bool = Field(False, description="A pixel belongs to one object only: to the last one that covers it.")


def _reads_both(parameters: ToMasksParameters, schema: Schema) -> Sequence[str]:
    return [_column(parameters, schema).name, column_of(schema, parameters.image, Kind.IMAGE).name]


@per_item("to_masks", parameters=ToMasksParameters, reads=_reads_both, writes=_writes, libraries=_LIBRARIES, bound=True)
def to_masks(parameters: ToMasksParameters, schema: Schema) -> Any:
    """Make masks of boxes, polygons and ellipses; what has no area, as a point, stays as it is."""
    name = _column(parameters, schema).name
    image = column_of(schema, parameters.image, Kind.IMAGE).name

    def masks(item: Item, context: Context) -> Mapping[str, Any]:
        if item[name] is None or item[image] is None:
            return {name: item[name]}
        size = (item[image].width, item[image].height)
        made = [replace(one, geometry=_as_mask(one, size)) for one in item[name]]
        return {name: tuple(_apart(made) if parameters.apart else made)}

    return masks


def _as_mask(one: Object, size_wh: tuple[int, int]) -> Any:
    if one.geometry.type in ("polyline", "points", "keypoints"):
        return one.geometry
    return convert(one.geometry, "mask", size_wh)[0]


def _apart(objects: list[Object]) -> list[Object]:
    """Objects whose masks share no pixel: each loses what a later one covers."""
    found = []
    for at, one in enumerate(objects):
        over = [other.geometry for other in objects[at + 1 :] if isinstance(other.geometry, Mask)]
        if isinstance(one.geometry, Mask) and over:
            found.append(replace(one, geometry=subtract_masks(one.geometry, over)))
        else:
            found.append(one)
    return found


class ToShapesParameters(OnObjects):
    shape: Literal["polygon", "box", "rotated_box"] = Field("polygon", description="What masks become.")
    tolerance: float = Field(
        0, ge=0, description="How far the line may leave the border, in pixels; 0 follows every pixel."
    )


@per_item("to_shapes", parameters=ToShapesParameters, reads=_reads, writes=_writes, libraries=_LIBRARIES, bound=True)
def to_shapes(parameters: ToShapesParameters, schema: Schema) -> Any:
    """Make polygons (with holes), boxes or turned boxes of masks; an empty mask is left out."""
    name = _column(parameters, schema).name

    def shapes(item: Item, context: Context) -> Mapping[str, Any]:
        if item[name] is None:
            return {name: None}
        made = []
        for one in item[name]:
            if not isinstance(one.geometry, Mask):
                made.append(one)
            elif one.geometry.area():
                made.append(replace(one, geometry=_shape(one.geometry, parameters)))
        return {name: tuple(made)}

    return shapes


def _shape(mask: Mask, parameters: ToShapesParameters) -> Any:
    if parameters.shape != "polygon":
        return convert(mask, parameters.shape)[0]
    polygon = mask_to_polygon(mask)
    return simplified(polygon, parameters.tolerance) if parameters.tolerance else polygon


def simplified(polygon: Polygon, tolerance: float) -> Polygon:
    """The polygon with fewer points, none of its border farther away than ``tolerance`` (Douglas and Peucker 1973).

    A hole that would have fewer than three points is filled; an outer ring stays as it is.
    """
    import cv2
    import numpy as np

    parts = []
    for outer, *holes in polygon.parts:
        rings = []
        for number, ring in enumerate((outer, *holes)):
            found = cv2.approxPolyDP(np.array(ring, np.float32)[:, None], tolerance, True)[:, 0].tolist()
            if len(found) >= 3:
                rings.append(tuple((float(x), float(y)) for x, y in found))
            elif number == 0:
                rings.append(ring)
        parts.append(tuple(rings))
    return Polygon(tuple(parts))
