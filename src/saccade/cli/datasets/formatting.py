"""Values of items as the cells of a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from saccade.core.reader import Item
from saccade.core.schema import ImageRef, VideoRef


def rows_of_items(items: Iterable[Item]) -> list[list[Any]]:
    """A row an item: its key, then its values in short."""
    return [[item.key, *map(short, item.values.values())] for item in items]


def short(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, ImageRef):
        frame = "" if value.frame is None else f" frame {value.frame}"
        return f"{value.width}x{value.height} {value.format}{frame}"
    if isinstance(value, VideoRef):
        return f"{value.width}x{value.height} {value.codec}, {value.frames:,} frames, {value.duration:.2f} s"
    if isinstance(value, tuple):
        return f"{len(value)} objects" if value and hasattr(value[0], "geometry") else f"{len(value)} values"
    return "–" if value is None else str(value)[:60]
