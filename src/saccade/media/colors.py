"""Colours of classes: a fixed palette that is distinct on photographs, and a stable colour for each class name."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping
from dataclasses import replace

from saccade.core.digest import digest_bytes
from saccade.core.errors import InvalidValueError
from saccade.core.schema import ClassInfo, Column, is_hex_color

RGB = tuple[int, int, int]

COLORBLIND_SAFE_COLORS = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#cc79a7",
    "#9114ff",
    "#13137f",
    "#cbffc3",
)
"""Distinguishable with any of the three kinds of colour blindness.

The first seven are from Okabe and Ito ("Color Universal Design", 2008); the others maximise the distance to them in
CIELAB under the simulation of Machado et al. (2009).
"""

COLORS = (
    *COLORBLIND_SAFE_COLORS,
    "#4bff7b",
    "#ff1453",
    "#785c23",
    "#a787ff",
    "#14ffef",
    "#a00d83",
    "#5c7678",
    "#f0bfb8",
    "#c8b56a",
    "#a02f4d",
    "#f013c4",
    "#863bc8",
    "#99c5c8",
    "#ebc3ff",
)


def class_color(name: str) -> str:
    """Return the colour of a class, "#rrggbb", from the hash of its name; two names may share a colour."""
    return COLORS[int(digest_bytes(name.encode("utf-8", "surrogatepass"))[:8], 16) % len(COLORS)]


def palette(class_names: Iterable[str]) -> dict[str, str]:
    """Assign each class a colour, "#rrggbb", in order; all are different for up to 200 names."""
    names = list(dict.fromkeys(class_names))
    return {name: COLORS[index] if index < len(COLORS) else _generated_color(index) for index, name in enumerate(names)}


def effective_colors(column: Column) -> dict[str, str]:
    """Return the display colours; that of a class without an explicit colour depends on its position."""
    defaults = palette(column.class_names)
    return {info.name: info.color or defaults[info.name] for info in column.classes}


def keep_colors(before: Column, after: Column, previous_names: Mapping[str, str]) -> Column:
    """Set the colour of each class whose default colour would change, and give new classes an unused colour.

    Args:
        before: the column in the previous version.
        after: the column to return with colours.
        previous_names: the names in the previous version of classes that existed, by their new name.
    """
    previous_colors = effective_colors(before)
    inherited = {name: previous_colors[previous] for name, previous in previous_names.items()}
    defaults = palette(after.class_names)
    used = {info.color or inherited.get(info.name) for info in after.classes}

    def with_color(info: ClassInfo) -> ClassInfo:
        if info.color is not None:
            return info
        color = inherited.get(info.name)
        if color is None:
            unused = (color for color in (defaults[info.name], *COLORS) if color not in used)
            color = next(unused, defaults[info.name])
            used.add(color)
        return info if color == defaults[info.name] else replace(info, color=color)

    return replace(after, classes=tuple(map(with_color, after.classes)))


def _generated_color(index: int) -> str:
    """Return a colour beyond the fixed palette: hues one golden angle apart, in three lightnesses."""
    hue = index * 0.618_033_988_75 % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, (0.45, 0.65, 0.3)[index % 3], 0.85)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def hex_to_rgb(color: str) -> RGB:
    """Convert "#rrggbb" to red, green and blue, 0 to 255.

    Raises:
        InvalidValueError: the text is not a colour.
    """
    if not is_hex_color(color):
        raise InvalidValueError(f"A colour must have the form '#rrggbb', not {color!r}.")
    value = int(color[1:], 16)
    return value >> 16, value >> 8 & 255, value & 255


def luminance(color: RGB) -> float:
    """Relative luminance, 0 (black) to 1 (white), as in WCAG 2."""
    srgb = [channel / 255 for channel in color]
    linear = [(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in srgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrasting_text_color(color: RGB) -> RGB:
    """Return black or white, whichever has the higher contrast with ``color``."""
    # Above this luminance L, the contrast with black, (L + 0.05) / 0.05, exceeds the one with white, 1.05 / (L + 0.05).
    return (0, 0, 0) if luminance(color) > 0.179 else (255, 255, 255)
