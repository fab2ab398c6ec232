"""Format item values as table cells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from saccade.core.reader import Item
from saccade.core.schema import ImageRef, VideoRef
from saccade.core.text import format_count

_MAX_TEXT_LENGTH = 60


def item_rows(items: Iterable[Item]) -> list[list[Any]]:
    """Return a table row for each item: its key, then its formatted values."""
    return [[item.key, *map(format_value, item.values.values())] for item in items]


def format_value(value: Any) -> str:
    """Summarize a value in a few words."""
    if isinstance(value, ImageRef):
        frame = "" if value.frame is None else f" frame {value.frame}"
        return f"{value.width}x{value.height} {value.format}{frame}"
    if isinstance(value, VideoRef):
        return f"{value.width}x{value.height} {value.codec}, {value.frames:,} frames, {value.duration:.2f} s"
    if isinstance(value, tuple):
        return format_count(len(value), "object" if value and hasattr(value[0], "geometry") else "value")
    return "–" if value is None else str(value)[:_MAX_TEXT_LENGTH]
