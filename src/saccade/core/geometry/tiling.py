"""Objects within a window of their image: clip them to it, and translate them back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from saccade.core.geometry.clip import clip_geometry, visible_share
from saccade.core.geometry.transforms import transform_geometry
from saccade.core.objects import Mask, Object


def translate(obj: Object, x: float, y: float, size_wh: tuple[int, int]) -> Object:
    """Translate an object's geometry by (x, y) pixels.

    Args:
        obj: the object.
        x: offset to the right.
        y: offset down.
        size_wh: the size of the target image; a mask gets this size.
    """
    matrix = [[1.0, 0.0, x], [0.0, 1.0, y]]
    return replace(obj, geometry=transform_geometry(obj.geometry, matrix, size_wh))


def clip_to_window(
    objects: Iterable[Object] | None, window_xywh: tuple[int, int, int, int], min_visible: float
) -> tuple[Object, ...] | None:
    """Clip objects to a window and express them in its coordinates.

    Args:
        objects: the objects of the image, or None if it is unlabelled.
        window_xywh: left, top, width and height of the window in pixels.
        min_visible: drop objects of which a smaller share of the area (0 to 1) lies in the window.

    Returns:
        The clipped objects, or None if the image is unlabelled.
    """
    if objects is None:
        return None
    x, y, width, height = window_xywh
    size_wh = (width, height)
    clipped_objects = []
    for obj in objects:
        # Most objects of a large image lie outside of the window: compare bounds before any geometry is computed.
        x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
        if x2 <= x or y2 <= y or x1 >= x + width or y1 >= y + height:
            continue
        moved = translate(obj, -x, -y, size_wh)
        share = _visible_share(obj, moved, size_wh)
        if share < min_visible or share <= 0:
            continue
        clipped = clip_geometry(moved.geometry, size_wh)
        if clipped is not None:
            clipped_objects.append(moved if clipped is moved.geometry else replace(moved, geometry=clipped))
    return tuple(clipped_objects)


def _visible_share(obj: Object, moved: Object, size_wh: tuple[int, int]) -> float:
    if isinstance(obj.geometry, Mask):  # translating a mask has clipped it already
        area = obj.geometry.area()
        return moved.geometry.area() / area if area else 0.0
    return visible_share(moved.geometry, size_wh)
