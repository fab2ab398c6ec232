"""Operations on the objects of items: filter, rename classes, suppress duplicates, convert geometry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from saccade.core.errors import InvalidValueError
from saccade.core.geometry.contours import mask_to_polygon
from saccade.core.geometry.convert import convert
from saccade.core.geometry.masks import subtract_masks
from saccade.core.geometry.nms import non_max_suppression
from saccade.core.objects import Mask, Object, Polygon
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.operations.base import Context, Parameters, per_item, resolve_column

_LIBRARIES = ("numpy", "opencv-python-headless")


class ObjectsParameters(Parameters):
    """Parameters shared by the operations on objects."""

    objects: str | None = Field(None, description="The objects column; default: the first one.")


def _objects_column(parameters: ObjectsParameters, schema: Schema) -> Column:
    return resolve_column(schema, parameters.objects, Kind.OBJECTS)


def _input_columns(parameters: ObjectsParameters, schema: Schema) -> Sequence[str]:
    return [_objects_column(parameters, schema).name]


def _output_columns(parameters: ObjectsParameters, schema: Schema) -> Sequence[Column]:
    return [_objects_column(parameters, schema)]


class ChooseParameters(ObjectsParameters):
    classes: list[str] | None = Field(None, description="Keep only objects of these classes.")
    without: list[str] = Field([], description="Drop objects of these classes.")
    min_score: float | None = Field(None, description="Drop objects with a lower score, or without one.")
    min_area: float = Field(0, ge=0, description="Drop objects with a smaller area, in square pixels.")
    max_area: float | None = Field(None, gt=0, description="Drop objects with a larger area, in square pixels.")
    min_side: float = Field(0, ge=0, description="Drop objects whose bounding box has a shorter side, in pixels.")
    most: int | None = Field(None, ge=1, description="Keep at most this many objects, those with the highest scores.")


def _check_classes(column: Column, names: Iterable[str]) -> None:
    """Raise InvalidValueError if a column with declared classes lacks one of the names."""
    unknown = [name for name in names if name not in column.class_names]
    if unknown and column.class_names:
        raise InvalidValueError(
            f"The column '{column.name}' has no class '{unknown[0]}'.",
            hint=f"Classes: {', '.join(column.class_names)}.",
        )


def _chosen_output(parameters: ChooseParameters, schema: Schema) -> Sequence[Column]:
    column = _objects_column(parameters, schema)
    _check_classes(column, (*(parameters.classes or ()), *parameters.without))
    selected = [info for info in column.classes if parameters.classes is None or info.name in parameters.classes]
    return [replace(column, classes=tuple(info for info in selected if info.name not in parameters.without))]


@per_item(
    "choose_objects",
    parameters=ChooseParameters,
    input_columns=_input_columns,
    output_columns=_chosen_output,
    prepared=True,
)
def choose_objects(parameters: ChooseParameters, schema: Schema) -> Any:
    """Keep objects by class, score and size."""
    name = _objects_column(parameters, schema).name
    included = None if parameters.classes is None else set(parameters.classes)
    excluded = set(parameters.without)

    def matches(obj: Object) -> bool:
        if obj.class_name in excluded or (included is not None and obj.class_name not in included):
            return False
        if parameters.min_score is not None and (obj.score is None or obj.score < parameters.min_score):
            return False
        area = obj.geometry.area()
        if area < parameters.min_area or (parameters.max_area is not None and area > parameters.max_area):
            return False
        x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
        return min(x2 - x1, y2 - y1) >= parameters.min_side

    def choose(item: Item, context: Context) -> Mapping[str, Any]:
        if item[name] is None:
            return {name: None}
        objects = [obj for obj in item[name] if matches(obj)]
        if parameters.most is not None and len(objects) > parameters.most:
            best = sorted(objects, key=lambda obj: -1.0 if obj.score is None else obj.score, reverse=True)
            ids = {obj.id for obj in best[: parameters.most]}
            objects = [obj for obj in objects if obj.id in ids]
        return {name: tuple(objects)}

    return choose


class RelabelParameters(ObjectsParameters):
    classes: dict[str, str | None] = Field(description="New class names by old ones; null drops the objects.")
    others: Literal["keep", "drop"] = Field("keep", description="What to do with objects of other classes.")


def _new_class_name(parameters: RelabelParameters, name: str) -> str | None:
    return parameters.classes.get(name, name if parameters.others == "keep" else None)


def _relabelled_output(parameters: RelabelParameters, schema: Schema) -> Sequence[Column]:
    column = _objects_column(parameters, schema)
    _check_classes(column, parameters.classes)
    renamed: dict[str, ClassInfo] = {}
    for info in column.classes:
        name = _new_class_name(parameters, info.name)
        if name is not None:
            renamed.setdefault(name, replace(info, name=name))
    return [replace(column, classes=tuple(renamed.values()))]


@per_item(
    "relabel",
    parameters=RelabelParameters,
    input_columns=_input_columns,
    output_columns=_relabelled_output,
    prepared=True,
)
def relabel(parameters: RelabelParameters, schema: Schema) -> Any:
    """Rename, merge or drop classes."""
    column = _objects_column(parameters, schema).name

    def rename(item: Item, context: Context) -> Mapping[str, Any]:
        if item[column] is None:
            return {column: None}
        named = [(obj, _new_class_name(parameters, obj.class_name)) for obj in item[column]]
        return {column: tuple(replace(obj, class_name=name) for obj, name in named if name is not None)}

    return rename


class NmsParameters(ObjectsParameters):
    iou: float = Field(0.5, gt=0, le=1, description="The overlap above which objects count as duplicates.")
    by_class: bool = Field(True, description="Compare objects of the same class only.")
    measure: Literal["iou", "smaller"] = Field(
        "iou", description="Measure of overlap: IoU, or the intersection as a share of the smaller box."
    )


@per_item(
    "nms",
    parameters=NmsParameters,
    input_columns=_input_columns,
    output_columns=_output_columns,
    libraries=("numpy",),
    prepared=True,
)
def nms(parameters: NmsParameters, schema: Schema) -> Any:
    """Apply non-maximum suppression: of overlapping objects keep the one with the highest score."""
    name = _objects_column(parameters, schema).name

    def suppress(item: Item, context: Context) -> Mapping[str, Any]:
        if item[name] is None:
            return {name: None}
        objects = non_max_suppression(
            item[name], parameters.iou, measure=parameters.measure, per_class=parameters.by_class
        )
        return {name: tuple(objects)}

    return suppress


class ToMasksParameters(ObjectsParameters):
    image: str | None = Field(None, description="The image column, which gives the size of the masks.")
    apart: bool = Field(
        False, description="Make the masks disjoint: a pixel belongs only to the last object that covers it."
    )


def _objects_and_image(parameters: ToMasksParameters, schema: Schema) -> Sequence[str]:
    return [_objects_column(parameters, schema).name, resolve_column(schema, parameters.image, Kind.IMAGE).name]


@per_item(
    "to_masks",
    parameters=ToMasksParameters,
    input_columns=_objects_and_image,
    output_columns=_output_columns,
    libraries=_LIBRARIES,
    prepared=True,
)
def to_masks(parameters: ToMasksParameters, schema: Schema) -> Any:
    """Convert boxes, polygons and ellipses to masks; geometries without an area, such as points, are kept."""
    name = _objects_column(parameters, schema).name
    image = resolve_column(schema, parameters.image, Kind.IMAGE).name

    def rasterize(item: Item, context: Context) -> Mapping[str, Any]:
        if item[name] is None or item[image] is None:
            return {name: item[name]}
        size_wh = (item[image].width, item[image].height)
        objects = [replace(obj, geometry=_as_mask(obj, size_wh)) for obj in item[name]]
        return {name: tuple(_remove_mask_overlap(objects) if parameters.apart else objects)}

    return rasterize


def _as_mask(obj: Object, size_wh: tuple[int, int]) -> Any:
    if obj.geometry.type in ("polyline", "points", "keypoints"):
        return obj.geometry
    return convert(obj.geometry, "mask", size_wh)[0]


def _remove_mask_overlap(objects: list[Object]) -> list[Object]:
    """Subtract from each mask the masks of all later objects."""
    disjoint = []
    for number, obj in enumerate(objects):
        later = [other.geometry for other in objects[number + 1 :] if isinstance(other.geometry, Mask)]
        if isinstance(obj.geometry, Mask) and later:
            disjoint.append(replace(obj, geometry=subtract_masks(obj.geometry, later)))
        else:
            disjoint.append(obj)
    return disjoint


class ToShapesParameters(ObjectsParameters):
    shape: Literal["polygon", "box", "rotated_box"] = Field("polygon", description="The target geometry.")
    tolerance: float = Field(
        0, ge=0, description="The largest distance between contour and mask border, in pixels; 0 follows every pixel."
    )


@per_item(
    "to_shapes",
    parameters=ToShapesParameters,
    input_columns=_input_columns,
    output_columns=_output_columns,
    libraries=_LIBRARIES,
    prepared=True,
)
def to_shapes(parameters: ToShapesParameters, schema: Schema) -> Any:
    """Convert masks to polygons (with holes), boxes or rotated boxes; empty masks are dropped."""
    name = _objects_column(parameters, schema).name

    def vectorize(item: Item, context: Context) -> Mapping[str, Any]:
        if item[name] is None:
            return {name: None}
        objects = []
        for obj in item[name]:
            if not isinstance(obj.geometry, Mask):
                objects.append(obj)
            elif obj.geometry.area():
                objects.append(replace(obj, geometry=_to_shape(obj.geometry, parameters)))
        return {name: tuple(objects)}

    return vectorize


def _to_shape(mask: Mask, parameters: ToShapesParameters) -> Any:
    if parameters.shape != "polygon":
        return convert(mask, parameters.shape)[0]
    polygon = mask_to_polygon(mask)
    return simplify_polygon(polygon, parameters.tolerance) if parameters.tolerance else polygon


def simplify_polygon(polygon: Polygon, tolerance: float) -> Polygon:
    """Simplify a polygon with the algorithm of Douglas and Peucker (1973).

    A hole that would have fewer than three points is filled; an outer ring then stays as it is.

    Args:
        polygon: the polygon.
        tolerance: the largest distance of the new border from the old one, in pixels.
    """
    import cv2
    import numpy as np

    parts = []
    for outer, *holes in polygon.parts:
        rings = []
        for number, ring in enumerate((outer, *holes)):
            points = cv2.approxPolyDP(np.array(ring, np.float32)[:, None], tolerance, True)[:, 0].tolist()
            if len(points) >= 3:
                rings.append(tuple((float(x), float(y)) for x, y in points))
            elif number == 0:
                rings.append(ring)
        parts.append(tuple(rings))
    return Polygon(tuple(parts))
