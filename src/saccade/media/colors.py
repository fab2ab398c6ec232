"""Colours of classes: fixed, told apart well on photographs, and the same for a name wherever it appears."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable

from saccade.core.digest import digest_bytes
from saccade.core.errors import InvalidValueError

RGB = tuple[int, int, int]

FIRST_COLORS = (
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
"""Told apart by people with any of the three kinds of colour blindness.

The first seven are those of Okabe and Ito ("Color Universal Design", 2008); the rest was chosen to lie farthest from
them in CIELAB, as seen through the simulation of Machado et al. (2009).
"""

COLORS = (
    *FIRST_COLORS,
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
    """The colour of a class, "#rrggbb", by a digest of its name; two names may share one."""
    return COLORS[int(digest_bytes(name.encode("utf-8", "surrogatepass"))[:8], 16) % len(COLORS)]


def palette(class_names: Iterable[str]) -> dict[str, str]:
    """A colour for each class in order, "#rrggbb", all different for up to 200 names."""
    names = list(dict.fromkeys(class_names))
    return {name: COLORS[index] if index < len(COLORS) else _further(index) for index, name in enumerate(names)}


def _further(index: int) -> str:
    """Hues one golden angle apart, in three steps of lightness."""
    hue = index * 0.618_033_988_75 % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, (0.45, 0.65, 0.3)[index % 3], 0.85)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def rgb_of(color: str) -> RGB:
    """Red, green and blue, 0 to 255, of "#rrggbb"."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        raise InvalidValueError(f"A colour is written '#rrggbb', not {color!r}.")
    value = int(color[1:], 16)
    return value >> 16, value >> 8 & 255, value & 255


def luminance(color: RGB) -> float:
    """Relative luminance, 0 (black) to 1 (white), as in WCAG 2."""
    linear = [(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in (part / 255 for part in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def text_on(color: RGB) -> RGB:
    """Black or white, whichever contrasts more with ``color``."""
    # The contrast with black, (L + 0.05) / 0.05, exceeds that with white, 1.05 / (L + 0.05), from this L on.
    return (0, 0, 0) if luminance(color) > 0.179 else (255, 255, 255)
