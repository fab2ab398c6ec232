"""Windows of 16-bit values: percentiles for low ranges, stated ranges, and images of one value."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.core.errors import InvalidValueError
from saccade.media.image import decode, verify
from saccade.media.window import (
    ValueWindow,
    has_wide_values,
    low_range_window,
    parse_window,
    window_of_mode,
    with_window,
)


def encoded(values: npt.NDArray[np.uint16], extension: str) -> bytes:
    return bytes(cv2.imencode(extension, values)[1].tobytes())


@pytest.mark.parametrize("extension", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_low_range_is_windowed(extension: str, channels: int, tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(100, 4000, 64).astype(np.uint16), (48, 1))
    values = ramp if channels == 1 else np.dstack([ramp] * 3)
    data = encoded(values, extension)
    window = verify(data).window
    assert window is not None
    assert 100 <= window.low < 300
    assert 3800 < window.high <= 4000
    pixels = decode(data)
    assert (pixels.min(), pixels.max()) == (0, 255)
    # A stated window gives the same brightness in every image.
    stated = decode(data, window=ValueWindow(0, 8000))
    assert abs(int(stated[0, -1, 0]) - 128) <= 1
    path = tmp_path / f"x{extension}"
    path.write_bytes(data)
    assert (decode(path) == pixels).all()


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_full_range_and_constant_images_have_no_window(extension: str) -> None:
    full = np.tile(np.linspace(0, 65_535, 64).astype(np.uint16), (48, 1))
    assert verify(encoded(full, extension)).window is None
    assert (decode(encoded(full, extension))[..., 0] == np.rint(full / 257)).all()
    for value in (0, 700, 65_535):
        constant = encoded(np.full((48, 64), value, np.uint16), extension)
        assert verify(constant).window is None
        assert set(decode(constant).ravel().tolist()) == {round(value / 257)}
        assert set(decode(constant, window=ValueWindow(0, 1400)).ravel().tolist()) <= {0, 128, 255}


def test_opacity_has_no_window() -> None:
    values = np.full((8, 8, 4), 65_535, np.uint16)
    values[..., :3] = np.linspace(0, 1000, 64).reshape(8, 8, 1)
    pixels = decode(encoded(values, ".png"))
    assert (pixels.min(), pixels.max()) == (0, 255)


@given(
    st.lists(st.integers(0, 65_535), min_size=1, max_size=50),
    st.floats(0, 60_000),
    st.floats(0, 60_000),
)
def test_window_is_monotonic_and_clipped(values: list[int], low: float, span: float) -> None:
    window = ValueWindow(low, low + span)
    pixels = window.apply(np.array(sorted(values), np.uint16)).astype(int)
    assert (np.diff(pixels) >= 0).all()
    for value, pixel in zip(sorted(values), pixels.tolist(), strict=True):
        if value <= window.low:
            assert pixel == 0
        if value >= window.high and value > window.low:
            assert pixel == 255
    wide = window.apply(np.array(sorted(values), np.float64)).astype(int)
    assert (wide == pixels).all()


@given(st.lists(st.integers(0, 65_535), min_size=1, max_size=200), st.integers(0, 60_000))
def test_low_range_window_lies_within_the_values(values: list[int], offset: int) -> None:
    array = np.array(values, np.uint16)
    window = low_range_window(array, 65_535)
    if window is not None:
        assert array.min() <= window.low < window.high <= array.max()
        assert window.high - window.low < 65_535 / 8
    assert low_range_window(np.full(5, offset, np.uint16), 65_535) is None
    assert low_range_window(np.zeros(0, np.uint16), 65_535) is None


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e6))
def test_stated_window_survives_in_the_mode(low: float, span: float) -> None:
    window = ValueWindow(low, low + span)
    assert window_of_mode(with_window("I;16", window)) == window
    assert parse_window(f"{window.low!r},{window.high!r}") == window


@pytest.mark.parametrize("text", ["1", "1,1", "2,1", "a,b", "0,nan", "0,inf", "1,2,3"])
def test_invalid_windows_are_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="is no range of values"):
        parse_window(text)


def test_modes() -> None:
    assert (parse_window(""), parse_window("percentiles"), window_of_mode("I;16")) == (None, None, None)
    assert [mode for mode in ("I;16", "F", "uint16x12", "float32", "RGB", "L", "uint8x5") if has_wide_values(mode)] == [
        "I;16",
        "F",
        "uint16x12",
        "float32",
    ]
