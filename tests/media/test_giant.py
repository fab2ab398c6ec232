"""Parts of giant images are what the whole image has there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saccade.core.errors import InvalidValueError, MediaError
from saccade.media.image import ImageLimits, decode, probe, verify
from saccade.media.pyramid import PyramidImage, build_pyramid, needs_pyramid

HEIGHT, WIDTH = 1500, 1900


@pytest.fixture(scope="module")
def whole() -> npt.NDArray[np.uint8]:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    waves = 127 + 120 * np.sin(xs / 90) * np.cos(ys / 70)
    return np.stack([waves, xs * 255 / WIDTH, ys * 255 / HEIGHT], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def files(whole: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("giants")
    image = pyvips.Image.new_from_array(whole)
    image.pngsave(str(folder / "plain.png"), compression=1)
    image.pngsave(str(folder / "interlaced.png"), compression=1, interlace=True)
    image.jpegsave(str(folder / "plain.jpg"), Q=95)
    image.jpegsave(str(folder / "progressive.jpg"), interlace=True)
    image.tiffsave(str(folder / "strips.tif"))
    image.tiffsave(str(folder / "pages.tif"), tile=True, pyramid=True, compression="deflate")
    image.tiffsave(str(folder / "subs.tif"), tile=True, pyramid=True, subifd=True, compression="deflate")
    return folder


def test_which_need_a_pyramid(files: Path) -> None:
    needing = {path.name for path in files.iterdir() if needs_pyramid(path)}
    assert needing == {"plain.png", "interlaced.png", "plain.jpg", "progressive.jpg", "strips.tif"}


@pytest.mark.parametrize("name", ["plain.png", "strips.tif"])
def test_a_pyramid_holds_the_same_pixels(name: str, files: Path, whole: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    shares: list[float] = []
    build_pyramid(files / name, tmp_path / "p.tif", progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] > 0.9
    giant = PyramidImage(tmp_path / "p.tif")
    assert giant.size_wh == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(giant.read_region((100, 200, 1500, 900)), whole[200:900, 100:1500])
    assert probe(tmp_path / "p.tif").frames == 1


def test_work_on_a_pyramid_can_be_ended(files: Path, tmp_path: Path) -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_pyramid(files / "plain.png", tmp_path / "p.tif", progress=stop)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["pages.tif", "subs.tif"]),
    x=st.floats(-50, WIDTH),
    y=st.floats(-50, HEIGHT),
    width=st.floats(1, 1000),
    height=st.floats(1, 1000),
    max_size=st.none() | st.integers(1, 400),
)
def test_parts_are_parts_of_the_whole(
    files: Path,
    whole: npt.NDArray[np.uint8],
    name: str,
    x: float,
    y: float,
    width: float,
    height: float,
    max_size: int | None,
) -> None:
    giant = _open(files / name)
    x1, y1 = max(0, int(np.floor(x))), max(0, int(np.floor(y)))
    x2, y2 = min(WIDTH, int(np.ceil(x + width))), min(HEIGHT, int(np.ceil(y + height)))
    if x1 >= x2 or y1 >= y2:
        with pytest.raises(InvalidValueError, match="lies outside the image"):
            giant.read_region((x, y, x + width, y + height), max_size=max_size)
        return
    found = giant.read_region((x, y, x + width, y + height), max_size=max_size)
    expected: Any = whole[y1:y2, x1:x2]
    if max_size is None or max(expected.shape[:2]) <= max_size:
        np.testing.assert_array_equal(found, expected)
        return
    scale = max_size / max(expected.shape[:2])
    size_wh = max(1, round(expected.shape[1] * scale)), max(1, round(expected.shape[0] * scale))
    assert found.shape[1::-1] == size_wh
    small = cv2.resize(expected, size_wh, interpolation=cv2.INTER_AREA)
    assert np.abs(found.astype(int) - small).mean() < (5 if min(size_wh) > 16 else 30)


_OPEN: dict[Path, PyramidImage] = {}


def _open(path: Path) -> PyramidImage:
    return _OPEN.setdefault(path, PyramidImage(path))


@pytest.mark.slow
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_giants(orientation: int, whole: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "turned.tif"
    image = pyvips.Image.new_from_array(whole).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    image.tiffsave(str(path), tile=True, pyramid=True, compression="deflate")
    upright = decode(path)
    giant = PyramidImage(path)
    assert giant.size_wh == upright.shape[1::-1] == probe(path).size_wh
    np.testing.assert_array_equal(giant.read_region((300, 700, 800, 1400)), upright[700:1400, 300:800])
    small = giant.read_region((0, 0, *giant.size_wh), max_size=300)
    expected = decode(path, max_size=300)
    assert small.shape == expected.shape
    assert np.abs(small.astype(int) - expected).mean() < 2


def test_giants_are_checked_and_scaled_without_being_held(files: Path, whole: npt.NDArray[np.uint8]) -> None:
    limits = ImageLimits(max_pixels=1_000_000)
    small = cv2.resize(whole, (190, 150), interpolation=cv2.INTER_AREA).astype(int)
    for name in ("plain.png", "plain.jpg", "strips.tif", "pages.tif"):
        assert verify(files / name, limits=limits).size_wh == (WIDTH, HEIGHT)
        with pytest.raises(MediaError, match="at most 1,000,000"):
            decode(files / name, limits=limits)
        found = decode(files / name, max_size=190, limits=limits)
        assert found.shape == small.shape
        assert np.abs(found - small).mean() < 3, name
    for name, kind in (("interlaced.png", "interlaced PNG"), ("progressive.jpg", "progressive JPEG")):
        with pytest.raises(MediaError, match=f"too large for a {kind}"):
            verify(files / name, limits=limits)
    data = (files / "plain.png").read_bytes()
    with pytest.raises(MediaError, match="damaged or truncated"):
        verify(data[: len(data) // 2], limits=limits)


def test_more_than_may_be_held_is_refused(files: Path) -> None:
    giant = PyramidImage(files / "pages.tif", limits=ImageLimits(max_pixels=1_000_000))
    assert giant.read_region((0, 0, 900, 900)).shape == (900, 900, 3)
    with pytest.raises(MediaError, match="at most 1,000,000"):
        giant.read_region((0, 0, 1400, 1200))
    with pytest.raises(MediaError, match="not a pyramidal TIFF"):
        PyramidImage(files / "plain.png")
