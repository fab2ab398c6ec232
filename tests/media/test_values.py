"""TIFFs of many channels, wide values and several pages: their values as they are, and something to look at."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from saccade.core.errors import MediaError, NotFoundError
from saccade.media.image import decode, probe, read_values, verify

TYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32"]


def tiff_of(values: npt.NDArray[Any], **options: Any) -> bytes:
    """The values as a TIFF, written by libvips."""
    made: bytes = pyvips.Image.new_from_array(values).copy(interpretation="multiband").tiffsave_buffer(**options)
    return made


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=st.sampled_from(TYPES).flatmap(
        lambda name: arrays.arrays(name, st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 7)))
    ),
    tiled=st.booleans(),
    compression=st.sampled_from(["none", "deflate", "lzw"]),
)
def test_values_come_as_they_were_written(values: npt.NDArray[Any], tiled: bool, compression: str) -> None:
    data = tiff_of(values, tile=tiled, compression=compression)
    found = read_values(data)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)
    facts = verify(data)
    assert (facts.width, facts.height, facts.channels) == (values.shape[1], values.shape[0], values.shape[2])
    assert facts.has_unknown_range == (values.dtype not in (np.uint8, np.uint16))
    pixels = decode(data)
    assert pixels.shape == (*values.shape[:2], 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("dtype", ["uint32", "int16", "int32", "float32"])
def test_open_ranges_are_stretched(dtype: str) -> None:
    values = np.array([[[-50], [0], [150]], [[25], [50], [100]]] if dtype != "uint32" else [[[0], [50], [200]]], dtype)
    low, high = values.min(), values.max()
    expected = np.rint((values[..., 0].astype(float) - low) * 255 / (high - low))
    pixels = decode(tiff_of(values))
    np.testing.assert_allclose(pixels, np.repeat(expected[..., None], 3, -1), atol=1)
    np.testing.assert_allclose(decode(tiff_of(values), mode="L"), expected, atol=1)


def test_floats_between_0_and_1_mean_these() -> None:
    values = np.array([[[0.2], [0.4]]], np.float32)
    assert decode(tiff_of(values))[0, :, 0].tolist() == [51, 102]


def test_what_is_no_number_or_infinite_does_not_spoil_the_rest() -> None:
    values = np.array([[[np.nan], [np.inf], [-np.inf], [10.0], [20.0], [0.0]]], np.float32)
    assert decode(tiff_of(values))[0, 3:, 0].tolist() == [128, 255, 0]
    constant = np.full((2, 3, 1), 7.5, np.float32)
    assert decode(tiff_of(constant)).tolist() == np.zeros((2, 3, 3)).tolist()


def test_the_first_three_of_many_channels_are_shown() -> None:
    values = np.random.default_rng(1).integers(0, 256, (6, 8, 12)).astype(np.uint8)
    data = tiff_of(values)
    np.testing.assert_array_equal(decode(data), values[..., :3])
    assert (probe(data).mode, probe(data).channels) == ("uint8x12", 12)
    deep = np.random.default_rng(1).integers(0, 65_536, (6, 8, 5)).astype(np.uint16)
    np.testing.assert_array_equal(decode(tiff_of(deep)), np.rint(deep[..., :3] / 257))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_values_are_turned_as_pixels_are(orientation: int) -> None:
    values = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5)
    image = pyvips.Image.new_from_array(values).copy(interpretation="multiband").copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    data = image.tiffsave_buffer()
    plain = Image.fromarray(values[..., 0].astype(np.uint8))
    exif = Image.Exif()
    exif[274] = orientation
    out = io.BytesIO()
    plain.save(out, "TIFF", exif=exif, tiffinfo=exif)
    assert probe(data).orientation == orientation
    turned = read_values(data)
    np.testing.assert_array_equal(turned[..., 0], decode(out.getvalue())[..., 0])
    assert decode(data).shape[:2] == turned.shape[:2] == probe(data).size_wh[::-1]


def test_pages_of_a_tiff() -> None:
    pages = [Image.new("RGB", (20 + number, 10), (number * 50, 0, 0)) for number in range(4)]
    out = io.BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    data = out.getvalue()
    assert probe(data).frames == 4
    for number in range(4):
        assert probe(data, frame=number).size_wh == (20 + number, 10)
        assert verify(data, frame=number).width == 20 + number
        pixels = decode(data, frame=number)
        assert pixels.shape == (10, 20 + number, 3)
        assert pixels[0, 0].tolist() == [number * 50, 0, 0]
        assert read_values(data, frame=number).shape == (10, 20 + number, 3)
    for read in (probe, verify, decode, read_values):
        with pytest.raises(NotFoundError, match="There is no frame 4"):
            read(data, frame=4)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_frames_of_images_that_move(format: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    out = io.BytesIO()
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    frames[0].save(out, format, save_all=True, append_images=frames[1:], **options)
    data = out.getvalue()
    found = [decode(data, frame=number)[5, 5].tolist() for number in range(3)]
    assert found == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert verify(data, frame=2).frames == 3
    with pytest.raises(NotFoundError):
        decode(data, frame=3)


def test_the_levels_of_a_pyramid_are_no_frames() -> None:
    values = np.random.default_rng(0).integers(0, 256, (700, 900, 3)).astype(np.uint8)
    data = tiff_of(values, tile=True, pyramid=True)
    assert probe(data).frames == 1
    np.testing.assert_array_equal(decode(data), values)


def test_values_of_other_formats() -> None:
    deep = np.random.default_rng(0).integers(0, 65_536, (5, 6, 3)).astype(np.uint16)
    data = pyvips.Image.new_from_array(deep).copy(interpretation="rgb16").pngsave_buffer()
    np.testing.assert_array_equal(read_values(data), deep)
    out = io.BytesIO()
    Image.fromarray(deep[..., 0].astype(np.uint8)).save(out, "BMP")
    np.testing.assert_array_equal(read_values(out.getvalue())[..., 0], deep[..., 0].astype(np.uint8))


def test_values_of_64_bits_are_refused() -> None:
    data = tiff_of(np.zeros((3, 4, 1), np.float64))
    assert probe(data).mode == "float64"
    for read in (verify, decode, read_values):
        with pytest.raises(MediaError, match="values of 64 bits; at most 32"):
            read(data)


def test_damaged_values_are_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(60, 60, 5)).astype(np.float32)
    data = tiff_of(values, compression="deflate")
    path = tmp_path / "a.tif"
    path.write_bytes(data.replace(data[2000:4000], b"\xff" * 2000))
    for read in (verify, decode, read_values):
        with pytest.raises(MediaError, match=r"'a\.tif' is damaged or truncated"):
            read(path)


def test_pieces_that_are_too_large_are_refused() -> None:
    values = np.zeros((40, 40, 5), np.float32)
    data = bytearray(tiff_of(values))
    for tag in (256, 257, 278):  # width, height and rows in a strip, all to 60,000
        at = data.index(tag.to_bytes(2, "little"), len(data) - 400)
        data[at + 2 : at + 4] = (4).to_bytes(2, "little")
        data[at + 8 : at + 12] = (60_000).to_bytes(4, "little")
    with pytest.raises(MediaError, match=r"stored in blocks of 60,000 x 60,000 pixels"):
        verify(bytes(data))
    with pytest.raises(MediaError, match="at most 200,000,000"):
        decode(bytes(data))
