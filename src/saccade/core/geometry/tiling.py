"""Objects seen through a window of their image, and put back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from saccade.core.geometry.clip import clip_geometry, visible_share
from saccade.core.geometry.transforms import transform_geometry
from saccade.core.objects import Mask, Object


def shifted(one: Object, x: float, y: float, size_wh: tuple[int, int]) -> Object:
    """The object with its geometry moved; ``size_wh`` is the size of the image that a mask is then of."""
    matrix = [[1.0, 0.0, x], [0.0, 1.0, y]]
    return replace(one, geometry=transform_geometry(one.geometry, matrix, size_wh))


def in_window(
    objects: Iterable[Object] | None, window_xywh: tuple[int, int, int, int], min_visible: float
) -> tuple[Object, ...] | None:
    """What of the objects lies in a window, in its own coordinates; None for none that are known.

    Args:
        min_visible: objects of which a smaller share (0 to 1) lies in it are left out.
    """
    if objects is None:
        return None
    x, y, width, height = window_xywh
    found = []
    for one in objects:
        x1, y1, x2, y2 = one.geometry.bounds_xyxy()
        if x2 <= x or y2 <= y or x1 >= x + width or y1 >= y + height:
            continue
        moved = _moved(one, x, y, (width, height))
        share = _share(one, moved, (width, height))
        if share < min_visible or share <= 0:
            continue
        cut = clip_geometry(moved.geometry, (width, height))
        if cut is not None:
            found.append(moved if cut is moved.geometry else replace(moved, geometry=cut))
    return tuple(found)


def _moved(one: Object, x: int, y: int, size_wh: tuple[int, int]) -> Object:
    return shifted(one, -x, -y, size_wh)


def _share(one: Object, moved: Object, size_wh: tuple[int, int]) -> float:
    if isinstance(one.geometry, Mask):  # moving it has cut it already
        whole = one.geometry.area()
        return moved.geometry.area() / whole if whole else 0.0
    return visible_share(moved.geometry, size_wh)
