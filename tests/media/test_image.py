"""Every format, mode and orientation decodes to the right pixels; bad files are refused with a reason."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile, ImageOps, features

from saccade.core.errors import InvalidValueError, MediaError, NotFoundError
from saccade.media.image import ImageLimits, Pixels, decode, encode, probe, thumbnail, verify

WIDTH, HEIGHT = 61, 40


def smooth(width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    ys, xs = np.mgrid[:height, :width]
    return np.stack([xs * 255 // width, ys * 255 // height, (xs + ys) * 2 % 256], axis=-1).astype(np.uint8)


def file_of(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return bytes(buffer.getvalue())


def pillow_rgb(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png16(pixels: np.ndarray[Any, np.dtype[np.uint16]]) -> bytes:
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return png(width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], rows)


def tiff(pixels: np.ndarray[Any, Any], *, bits: int, orientation: int = 1, sample_format: int = 1) -> bytes:
    """An uncompressed little-endian TIFF of one strip, with tags that Pillow cannot write."""
    height, width, channels = pixels.shape
    body = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    count = 11
    bits_at = 8 + 2 + 12 * count + 4
    strip_at = bits_at + 2 * channels
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, channels, bits if channels == 1 else bits_at),
        (259, 3, 1, 1),
        (262, 3, 1, 1 if channels == 1 else 2),
        (273, 4, 1, strip_at),
        (274, 3, 1, orientation),
        (277, 3, 1, channels),
        (278, 4, 1, height),
        (279, 4, 1, len(body)),
        (339, 3, 1, sample_format),
    ]
    directory = struct.pack("<H", count) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return b"".join([b"II*\0", struct.pack("<I", 8), directory, struct.pack("<H", bits) * channels, body])


PLAIN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg": ("JPEG", "RGB", {"quality": 92}),
    "jpeg 4:4:4": ("JPEG", "RGB", {"quality": 92, "subsampling": 0}),
    "jpeg progressive": ("JPEG", "RGB", {"quality": 80, "progressive": True}),
    "jpeg grey": ("JPEG", "L", {}),
    "png": ("PNG", "RGB", {}),
    "png grey": ("PNG", "L", {}),
    "png palette": ("PNG", "P", {}),
    "png 1-bit": ("PNG", "1", {}),
    "bmp": ("BMP", "RGB", {}),
    "bmp grey": ("BMP", "L", {}),
    "bmp palette": ("BMP", "P", {}),
    "bmp 1-bit": ("BMP", "1", {}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff lzw": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "tiff grey": ("TIFF", "L", {}),
    "tiff palette": ("TIFF", "P", {}),
    "tiff 1-bit": ("TIFF", "1", {"compression": "group4"}),
    "tiff cmyk": ("TIFF", "CMYK", {}),
    "jpeg cmyk": ("JPEG", "CMYK", {}),
    "webp": ("WEBP", "RGB", {"quality": 90}),
    "webp lossless": ("WEBP", "RGB", {"lossless": True}),
    "gif": ("GIF", "P", {}),
}


@pytest.mark.parametrize("case", PLAIN)
def test_decodes_as_pillow_does(case: str) -> None:
    format, mode, options = PLAIN[case]
    data = file_of(Image.fromarray(smooth()).convert(mode), format, **options)
    found = probe(data)
    assert (found.size_wh, found.format, found.orientation, found.frames) == ((WIDTH, HEIGHT), format.lower(), 1, 1)
    decoded = decode(data)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, pillow_rgb(data))
    assert verify(data) == found
    grey = decode(data, mode="L")
    assert grey.shape == (HEIGHT, WIDTH)
    np.testing.assert_allclose(grey, decoded @ [0.299, 0.587, 0.114], atol=1)


def exif_with(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_applies_exif_orientation(format: str, orientation: int) -> None:
    image = Image.fromarray(smooth())
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    data = file_of(image, format, exif=exif_with(orientation), **options)
    found = probe(data)
    assert found.orientation == orientation
    assert found.size_wh == ((HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT))
    decoded = decode(data)
    np.testing.assert_array_equal(decoded, pillow_rgb(data))
    assert decoded.shape == (found.height, found.width, 3)
    # Pillow's word is not enough: the top-left corner of the picture stands where the standard puts it.
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    np.testing.assert_allclose(decoded[corner[orientation]], smooth()[0, 0], atol=16)
    assert decode(data, max_size=20).shape[:2] == ((20, 13) if orientation >= 5 else (13, 20))


def test_orientation_of_zero_or_nine_and_broken_exif_count_as_upright() -> None:
    for value in (0, 9):
        assert probe(file_of(Image.fromarray(smooth()), "JPEG", exif=exif_with(value))).orientation == 1
    broken = file_of(Image.fromarray(smooth()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    assert probe(broken).orientation == 1
    assert decode(broken).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("mode", "format"), [("RGBA", "PNG"), ("LA", "PNG"), ("RGBA", "TIFF"), ("RGBA", "WEBP"), ("P", "PNG"), ("P", "GIF")]
)
def test_transparency_is_composited_over_white(mode: str, format: str) -> None:
    ramp = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    black = Image.merge("RGBA", [Image.new("L", (WIDTH, HEIGHT))] * 3 + [Image.fromarray(ramp)])
    options: dict[str, Any] = {"lossless": True, "exact": True} if format == "WEBP" else {}
    if mode == "P":
        image = Image.fromarray((ramp > 100).astype(np.uint8))
        image.putpalette([0, 0, 0, 10, 20, 30])
        options = {"transparency": 0}
        expected = np.where((ramp > 100)[..., None], [10, 20, 30], 255)
    else:
        image = black.convert(mode)
        expected = np.repeat(255 - ramp[..., None].astype(int), 3, axis=-1)
    np.testing.assert_allclose(decode(file_of(image, format, **options)), expected, atol=1)


def test_transparent_colour_of_an_rgb_png_is_white() -> None:
    image = Image.new("RGB", (8, 8), (10, 20, 30))
    image.putpixel((3, 3), (1, 2, 3))
    decoded = decode(file_of(image, "PNG", transparency=(10, 20, 30)))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert decoded[3, 3].tolist() == [1, 2, 3]


def test_palette_with_several_alphas_raises_no_warning() -> None:
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 4)
    image.putpalette([0, 0, 0] * 4)
    data = file_of(image, "PNG", transparency=bytes([0, 85, 170, 255]))
    assert decode(data)[0, :4, 0].tolist() == [255, 170, 85, 0]


def test_inverted_cmyk_of_adobe() -> None:
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[..., 1] = 255
    data = file_of(Image.merge("CMYK", ink_layers(inks)), "JPEG")
    assert b"Adobe" in data[:100]
    np.testing.assert_allclose(decode(data)[8, 8], [255, 0, 255], atol=6)


def ink_layers(inks: Pixels) -> list[Image.Image]:
    return [Image.fromarray(np.ascontiguousarray(inks[..., channel])) for channel in range(4)]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_keeps_its_whole_range(channels: int) -> None:
    values = np.linspace(0, 65_535, WIDTH).round().astype(np.uint16)
    pixels = np.tile(values[None, :, None], (HEIGHT, 1, channels))
    if channels in (2, 4):
        pixels[..., -1] = 65_535
    expected = np.repeat((values / 257)[None, :, None], 3, axis=-1)
    np.testing.assert_allclose(decode(png16(pixels)), np.broadcast_to(expected, (HEIGHT, WIDTH, 3)), atol=0.51)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bit_tiff_keeps_its_whole_range_and_is_turned(channels: int, orientation: int) -> None:
    grey = smooth()[..., :1].astype(np.uint16) * 257
    pixels = np.repeat(grey, channels, axis=-1)
    if channels == 4:
        pixels[..., 3] = 65_535
    plain = file_of(Image.fromarray(smooth()[..., 0]), "TIFF", exif=exif_with(orientation))
    np.testing.assert_array_equal(decode(tiff(pixels, bits=16, orientation=orientation)), decode(plain))


def test_16_bit_grey_big_endian_tiff() -> None:
    values = smooth()[..., 0].astype(np.uint16) * 257
    data = file_of(Image.frombytes("I;16B", (WIDTH, HEIGHT), values.astype(">u2").tobytes()), "TIFF")
    np.testing.assert_array_equal(decode(data)[..., 1], smooth()[..., 0])


def test_12_bit_tiff_is_scaled_by_its_own_range() -> None:
    packed = bytes([0xFF, 0xF0, 0x00, 0x80, 0x0F, 0xFF])  # 4095, 0, 2048, 4095
    data = bytearray(tiff(np.frombuffer(packed, np.uint8).reshape(1, 6, 1), bits=12))
    data[data.rindex(struct.pack("<HHII", 256, 4, 1, 6)) + 8] = 4
    assert decode(bytes(data))[0, :, 0].tolist() == [255, 0, 128, 255]


@pytest.mark.parametrize("format", ["GIF", "TIFF", "WEBP", "PNG"])
def test_first_of_several_frames(format: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    data = file_of(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert probe(data).frames == 3
    assert decode(data)[5, 5].tolist() == [255, 0, 0]


def test_frames_of_an_endless_gif_are_counted_only_so_far() -> None:
    frame = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    data = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 150_000
    assert probe(data).frames == 100_000


def huge_png() -> bytes:
    return png(60_000, 60_000, 8, 2, b"")


def jpeg_of(size: int = 200) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return encode(noise, "jpeg")


BAD_HEADERS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", r"is empty \(0 bytes\)"),
    "text": (lambda: b"hello, this is no image", "it is not an image file"),
    "pdf": (lambda: b"%PDF-1.7 ...", "it is a PDF document"),
    "zip": (lambda: b"PK\x03\x04 ...", "it is a ZIP archive"),
    "svg": (lambda: b"<svg xmlns='...'>", "it is an SVG drawing"),
    "html": (lambda: b"\n<html><body>Not found", "it is a web page"),
    "heif": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0", "it is a HEIC or video file"),
    "one byte": (lambda: b"\xff", "it is not an image file"),
    "jpeg header only": (lambda: jpeg_of()[:20], "broken or truncated JPEG header"),
    "png header only": (lambda: huge_png()[:20], "broken or truncated PNG header"),
    "gif header only": (lambda: b"GIF89a\1", "broken or truncated GIF header"),
    "webp header only": (lambda: b"RIFF\x10\0\0\0WEBPVP8 ", "broken or truncated WEBP header"),
    "tiff header only": (lambda: b"II*\0\x08\0\0\0", "broken or truncated TIFF header"),
    "bmp header only": (lambda: b"BM\1\2\3\4", "broken or truncated BMP header"),
    "png of no width": (lambda: png(0, 10, 8, 2, b""), "broken or truncated PNG header"),
}


def test_a_giant_header_without_pixels_behind_it() -> None:
    """60,000 x 60,000 pixels may be a picture of which parts are read, if they are there."""
    assert probe(huge_png()).size_wh == (60_000, 60_000)
    with pytest.raises(MediaError, match=r"60,000 x 60,000 = 3,600,000,000 pixels; at most 200,000,000"):
        decode(huge_png())
    with pytest.raises(MediaError, match="damaged or truncated"):
        verify(huge_png())
    with pytest.raises(MediaError, match="damaged or truncated"):
        decode(huge_png(), max_size=100)
    with pytest.raises(MediaError, match=r"at most 2,000,000,000"):
        probe(huge_png(), limits=ImageLimits(max_streamed_pixels=2_000_000_000))


@pytest.mark.parametrize("case", BAD_HEADERS)
@pytest.mark.parametrize("check", [probe, verify, decode])
def test_bad_headers_are_refused_with_a_reason(case: str, check: Callable[[bytes], object]) -> None:
    make, message = BAD_HEADERS[case]
    with pytest.raises(MediaError, match=message) as caught:
        check(make())
    assert caught.value.hint


BAD_PIXELS: dict[str, Callable[[], bytes]] = {
    "jpeg cut at 30 %": lambda: jpeg_of()[: len(jpeg_of()) * 3 // 10],
    "jpeg without its last 20 bytes": lambda: jpeg_of()[:-20],
    "png cut": lambda: file_of(Image.fromarray(smooth(300, 300)), "PNG")[:-200],
    "16-bit png cut": lambda: png16(np.random.default_rng(0).integers(0, 65_536, (40, 40, 3)).astype(np.uint16))[:-99],
    "png damaged": lambda: file_of(Image.fromarray(smooth(300, 300)), "PNG").replace(b"IDATx", b"IDATy"),
    "bmp cut": lambda: file_of(Image.fromarray(smooth()), "BMP")[:-100],
    "webp cut": lambda: file_of(Image.fromarray(smooth(300, 300)), "WEBP", lossless=True)[:-100],
    "gif cut": lambda: file_of(Image.fromarray(smooth()), "GIF")[:-300],
    "16-bit tiff cut": lambda: tiff(np.ones((50, 50, 3), np.uint16), bits=16)[:-100],
    "16-bit grey tiff cut": lambda: tiff(np.ones((50, 50, 1), np.uint16), bits=16)[:-100],
    "tiff cut": lambda: tiff(np.ones((50, 50, 3), np.uint8), bits=8)[:-100],
}


@pytest.mark.parametrize("case", BAD_PIXELS)
@pytest.mark.parametrize("check", [verify, decode])
def test_missing_or_damaged_pixels_are_found(case: str, check: Callable[[bytes], object]) -> None:
    data = BAD_PIXELS[case]()
    with pytest.raises(MediaError, match=r"damaged or truncated|broken or truncated") as caught:
        check(data)
    assert "again" in caught.value.hint


def test_verify_checks_the_checksums_of_a_png() -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in np.random.default_rng(0).integers(0, 256, (50, 150), np.uint8))
    data = bytearray(png(50, 50, 8, 2, rows))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(MediaError, match="damaged or truncated"):
        verify(bytes(data))


def test_probe_decodes_no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise AssertionError("probe decoded pixels")

    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green")]
    files = [file_of(frames[0], name, save_all=True, append_images=frames[1:]) for name in ("GIF", "TIFF", "PNG")]
    files += [file_of(frames[0], name) for name in ("JPEG", "BMP", "WEBP", "PNG")]
    for cls in (Image.Image, ImageFile.ImageFile):
        monkeypatch.setattr(cls, "load", refuse)
    for data in files:
        assert probe(data).size_wh == (20, 10)


def test_exif_behind_the_pixels_of_a_png() -> None:
    data = file_of(Image.fromarray(smooth()), "PNG", exif=exif_with(6))
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    late = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    assert probe(late).orientation == 6
    np.testing.assert_array_equal(decode(late), decode(data))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_garbled_files_raise_nothing_but_media_errors(data: st.DataObject) -> None:
    format, mode, options = PLAIN[data.draw(st.sampled_from(sorted(PLAIN)))]
    content = bytearray(file_of(Image.fromarray(smooth(20, 12)).convert(mode), format, **options))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    small = ImageLimits(max_pixels=1_000_000)
    for check in (probe, verify, decode):
        try:
            check(bytes(content), limits=small)
        except MediaError:
            continue


def test_limits_and_messages_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    path.write_bytes(file_of(Image.fromarray(smooth()), "PNG"))
    assert probe(path).size_wh == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(decode(path), smooth())
    with pytest.raises(MediaError, match=r"'scene.png' has 61 x 40 = 2,440 pixels; at most 2,000"):
        decode(path, limits=ImageLimits(max_pixels=2000))
    with pytest.raises(MediaError, match=r"'scene.png' has [\d,]+ bytes; at most 100"):
        decode(path, limits=ImageLimits(max_bytes=100))
    with pytest.raises(NotFoundError, match=r"'gone.png' cannot be opened"):
        probe(tmp_path / "gone.png")


def test_pillow_settings_and_warning_filters_are_left_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    large = png(15_000, 12_000, 1, 0, b"")  # 180 million pixels: Image.open would raise its own error
    assert probe(large).size_wh == (15_000, 12_000)
    data = jpeg_of()
    threads = [threading.Thread(target=lambda: [decode(data) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


@pytest.mark.parametrize("max_size", [1, 37, 100, 250, 500, 1000, 4000])
def test_max_size_scales_down_only(max_size: int) -> None:
    picture = cv2.GaussianBlur(smooth(1000, 600), (0, 0), 9).astype(np.uint8)
    data = encode(picture, "jpeg", 95)
    scaled = decode(data, max_size=max_size)
    size = min(max_size, 1000)
    assert scaled.shape == (max(1, round(size * 0.6)), size, 3)
    exact = cv2.resize(picture, (scaled.shape[1], scaled.shape[0]), interpolation=cv2.INTER_AREA)
    assert np.abs(scaled.astype(int) - exact).mean() < 4


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH, 3), (HEIGHT, WIDTH)])
def test_encode_round_trip(shape: tuple[int, ...]) -> None:
    pixels = smooth() if len(shape) == 3 else smooth()[..., 0]
    assert probe(encode(pixels, "png")).mode == ("RGB" if len(shape) == 3 else "L")
    back = decode(encode(pixels, "png"), mode="RGB" if len(shape) == 3 else "L")
    np.testing.assert_array_equal(back, pixels)
    assert probe(encode(pixels, "jpeg")).format == "jpeg"
    assert len(encode(pixels, "jpeg", 20)) < len(encode(pixels, "jpeg", 95))


def test_thumbnail() -> None:
    assert probe(thumbnail(file_of(Image.fromarray(smooth(400, 100)), "PNG"), 128)).size_wh == (128, 32)
    assert probe(thumbnail(file_of(Image.fromarray(smooth(30, 10)), "PNG"), 128)).size_wh == (30, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encode(np.zeros((4, 4, 4), np.uint8)), r"not uint8 of \(4, 4, 4\)"),
        (lambda: encode(np.zeros((4, 4, 3), np.float32)), "not float32"),
        (lambda: encode(smooth(), "jpeg", 0), "quality 1 to 100"),
        (lambda: encode(smooth(), "gif"), "'gif'"),  # type: ignore[arg-type]
        (lambda: decode(jpeg_of(), mode="CMYK"), "not as 'CMYK'"),  # type: ignore[arg-type]
        (lambda: decode(jpeg_of(), max_size=0), "at least 1 pixel"),
        (lambda: thumbnail(jpeg_of(), 0), "at least 1 pixel"),
    ],
)
def test_wrong_arguments(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        call()


def test_an_image_of_no_pixels_cannot_be_written() -> None:
    with pytest.raises(MediaError, match="0 x 4"):
        encode(np.zeros((4, 0, 3), np.uint8))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif() -> None:
    pixels = smooth()
    data = file_of(Image.fromarray(pixels), "AVIF", quality=100)
    found = probe(data)
    assert (found.format, found.size_wh) == ("avif", (pixels.shape[1], pixels.shape[0]))
    assert np.abs(decode(data).astype(int) - pixels).max() <= 12
    with pytest.raises(MediaError):
        verify(data[: len(data) // 2])


def _profile(gamma: float) -> bytes:
    """An RGB profile whose colours are those of sRGB with another curve: dark where ``gamma`` is high."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = int.from_bytes(srgb[128:132])
    made = bytearray(srgb)
    for at in range(count):
        entry = 132 + 12 * at
        start = int.from_bytes(made[entry + 4 : entry + 8])
        if bytes(made[entry : entry + 4]) in (b"rTRC", b"gTRC", b"bTRC"):
            curve = b"curv\0\0\0\0\0\0\0\1" + int(gamma * 256).to_bytes(2) + b"\0\0"
            made[start : start + len(curve)] = curve
            made[entry + 8 : entry + 12] = (14).to_bytes(4)
        if made[entry : entry + 4] == b"desc":
            size = int.from_bytes(made[entry + 8 : entry + 12])
            made[start : start + size] = made[start : start + size].replace(b"\0s\0R\0G\0B", b"\0o\0d\0d\0!")
    return bytes(made)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_colours_of_a_profile_become_srgb(kind: str) -> None:
    """A grey of 128 with a curve of gamma 3 is darker than the same grey in sRGB; with sRGB's own profile it stays."""
    grey = Image.new("RGB", (8, 6), (128, 128, 128))
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"lossless": True} if kind == "WEBP" else {}
    assert decode(file_of(grey, kind, icc_profile=own, **options)).mean() == pytest.approx(128, abs=1)
    expected = 255 * (1.055 * (128 / 255) ** (3 / 2.4) - 0.055)
    assert decode(file_of(grey, kind, icc_profile=_profile(3.0), **options)).mean() == pytest.approx(expected, abs=2)
    assert decode(file_of(grey, kind, icc_profile=b"no profile", **options)).mean() == pytest.approx(128, abs=1)
