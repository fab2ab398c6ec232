"""Images and videos that are damaged on purpose: read as far as they go, or refused, and never a crash.

The number of damaged files of each kind is that of the environment variable SACCADE_FUZZ.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image
from tests.support.video_clips import make_clip

from saccade.core.errors import MediaError, NotFoundError
from saccade.media.image import ImageLimits, decode, probe, read_values, verify
from saccade.media.pyramid import PyramidImage, needs_pyramid
from saccade.media.video import Video, VideoLimits

ROUNDS = int(os.environ.get("SACCADE_FUZZ", "12"))
LIMITS = ImageLimits(max_pixels=4_000_000, max_streamed_pixels=40_000_000)
VIDEO_LIMITS = VideoLimits(max_pixels=4_000_000, max_frames=10_000)


def _values(*shape: int, dtype: str = "uint8") -> Any:
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


def _pillow(format: str, mode: str = "RGB", **options: Any) -> bytes:
    frames = [Image.fromarray(_values(40, 50, 3)).convert(mode) for _ in range(3)]
    out = io.BytesIO()
    several = {"save_all": True, "append_images": frames[1:]} if options.pop("several", False) else {}
    frames[0].save(out, format, **several, **options)
    return out.getvalue()


def _vips(save: str, array: Any, **options: Any) -> bytes:
    image = pyvips.Image.new_from_array(array)
    made: bytes = getattr(image, save)(**options)
    return made


IMAGES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: _pillow("JPEG", exif=Image.Exif()),
    "jpeg progressive": lambda: _pillow("JPEG", progressive=True),
    "jpeg cmyk": lambda: _pillow("JPEG", "CMYK"),
    "png": lambda: _pillow("PNG"),
    "png palette": lambda: _pillow("PNG", "P"),
    "png moving": lambda: _pillow("PNG", several=True),
    "png 16": lambda: _vips("pngsave_buffer", _values(40, 50, 3, dtype="uint16"), bitdepth=16),
    "webp": lambda: _pillow("WEBP"),
    "webp moving": lambda: _pillow("WEBP", several=True),
    "avif": lambda: _pillow("AVIF"),
    "gif": lambda: _pillow("GIF", "P", several=True),
    "bmp": lambda: _pillow("BMP"),
    "tiff": lambda: _pillow("TIFF", several=True),
    "tiff lzw": lambda: _pillow("TIFF", compression="tiff_lzw"),
    "tiff jpeg": lambda: _pillow("TIFF", compression="jpeg"),
    "tiff big": lambda: _pillow("TIFF", several=True, big_tiff=True),
    "tiff float": lambda: _vips("tiffsave_buffer", _values(40, 50, 5, dtype="float32"), compression="deflate"),
    "tiff int": lambda: _vips("tiffsave_buffer", _values(40, 50, 1, dtype="int16"), tile=True, tile_width=32),
    "tiff pyramid": lambda: _vips("tiffsave_buffer", _values(300, 400, 3), tile=True, pyramid=True, tile_width=128),
    "tiff subs": lambda: _vips("tiffsave_buffer", _values(300, 400, 3), tile=True, pyramid=True, subifd=True),
}
VIDEOS: dict[str, dict[str, Any]] = {
    "a.mp4": {"options": {"g": "6", "bf": "2"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "av1.mp4": {"codec": "libsvtav1"},
    "parts.mp4": {"container": {"movflags": "frag_keyframe+empty_moov"}},
    "a.mkv": {"options": {"g": "6"}},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "a.ts": {},
    "b.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "b.mpg": {"codec": "mpeg2video"},
    "c.mov": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "a.flv": {},
    "b.wmv": {"codec": "wmv2"},
}
_NUMBERS = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\xff\xff\0\0", b"\1\0\0\0", b"\0\xff"]


def harmed(data: bytes, chance: random.Random) -> bytes:
    """The file with bytes changed, numbers put in, parts left out, doubled, or cut off."""
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 10])):
        # Most of what decides lies at the beginning, or at the end for TIFF and MP4.
        place = chance.choice([len(made), 200, 60])
        at = chance.randrange(max(1, min(len(made), place)))
        at = len(made) - 1 - at if chance.random() < 0.3 else at
        match chance.randrange(6):
            case 0 | 1:
                made[at : at + 1] = bytes([chance.randrange(256)])
            case 2:
                number = chance.choice(_NUMBERS)
                made[at : at + len(number)] = number
            case 3:
                made[at : at + chance.choice([1, 4, 50])] = b""
            case 4:
                made[at:at] = made[at : at + chance.choice([1, 4, 50])]
            case _:
                if chance.random() < 0.3:
                    del made[at:]
        made = made or bytearray(b"\0")
    return bytes(made)


@pytest.mark.slow
@pytest.mark.parametrize("kind", IMAGES)
def test_damaged_images(kind: str, tmp_path: Path) -> None:
    whole, chance = IMAGES[kind](), random.Random(f"{kind} {ROUNDS}")
    assert verify(whole).width >= 50
    path = tmp_path / "a.tif"
    for _ in range(ROUNDS):
        data = harmed(whole, chance)
        frame = chance.choice([0, 0, 0, 1])
        for read in (probe, verify, decode, read_values):
            with suppress(MediaError, NotFoundError):
                read(data, frame=frame, limits=LIMITS)
        with suppress(MediaError, NotFoundError):
            decode(data, max_size=20, limits=LIMITS)
        if kind.startswith("tiff"):
            path.write_bytes(data)
            with suppress(MediaError):
                if not needs_pyramid(path):
                    PyramidImage(path, limits=LIMITS).read_region((0, 0, 90, 90), max_size=30)


@pytest.mark.parametrize("name", VIDEOS)
def test_damaged_videos(name: str, tmp_path: Path) -> None:
    whole = make_clip(tmp_path / name, 20, **VIDEOS[name]).read_bytes()
    chance = random.Random(f"{name} {ROUNDS}")
    for _ in range(ROUNDS):
        with suppress(MediaError), Video(harmed(whole, chance), limits=VIDEO_LIMITS) as video:
            video.probe()
            for number in {chance.randrange(len(video)), len(video) - 1}:
                video.frame(number)
