"""Pillow's readers behind our own limits and errors, without touching Pillow's global settings.

A reader is made from its class, not by ``Image.open``: that one knows only a global pixel limit, and guesses among
formats that nobody asked for.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from PIL import ExifTags, Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from saccade.core.errors import MediaError, NotFoundError


@dataclass(frozen=True, slots=True)
class Limits:
    """What an image may cost before it is refused.

    Attributes:
        max_pixels: of an image that is decoded as a whole.
        max_bytes: of the file of one.
        max_giant_pixels: of one that is only read in parts or scaled down, and never held.
    """

    max_pixels: int = 200_000_000
    max_bytes: int = 1 << 30
    max_giant_pixels: int = 100_000_000_000


LIMITS = Limits()
_MAX_EXIF = 1 << 20
MAX_FRAMES = 100_000
READABLE = "JPEG, PNG, WebP, AVIF, TIFF, BMP and the first frame of a GIF can be read"
_READERS: dict[str, type[ImageFile]] = {
    "jpeg": JpegImageFile,
    "png": PngImageFile,
    "webp": WebPImageFile,
    "tiff": TiffImageFile,
    "bmp": BmpImageFile,
    "gif": GifImageFile,
    "avif": AvifImageFile,
}
IMAGE_FORMATS = frozenset(_READERS)
"""The names of the formats of images, as references to them have them."""
GIANT_FORMATS = frozenset({"tiff", "png", "jpeg"})
"""Those of which parts and smaller sizes are read without holding the whole."""
_HEAD = 64
_AVIF_BRANDS = (b"avif", b"avis")
_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
)
# Known by their first bytes, to say what a refused file is.
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"<!DOC", "a web page"),
    (b"<html", "a web page"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"8BPS", "a Photoshop file"),
)
# warnings.catch_warnings changes the state of the whole process; one thread at a time may do so here.
_quiet = threading.Lock()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Pillow's complaints about odd metadata, kept in."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def named(data: bytes | Path) -> str:
    """The image in words, for messages."""
    return f"The image '{data.name}'" if isinstance(data, Path) else "The image"


def read_bytes(data: bytes | Path, limits: Limits) -> bytes:
    """The bytes of the file, after its size has been checked."""
    _check_bytes(data, _file_size(data), limits)
    return data.read_bytes() if isinstance(data, Path) else data


def _file_size(data: bytes | Path) -> int:
    try:
        size = data.stat().st_size if isinstance(data, Path) else len(data)
    except OSError as error:
        raise NotFoundError(f"{named(data)} cannot be opened: {error.strerror}.", hint="Check the path.") from error
    if size == 0:
        raise MediaError(f"{named(data)} is empty (0 bytes).", hint="Copy the file again from its source.")
    return size


def _check_bytes(data: bytes | Path, size: int, limits: Limits) -> None:
    if size > limits.max_bytes:
        raise MediaError(
            f"{named(data)} has {size:,} bytes; at most {limits.max_bytes:,} are allowed.",
            hint="Cut it into tiles first.",
        )


def _format_of(data: bytes | Path, head: bytes) -> str:
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        # The box says how long it is; the first brand, or one of those after the version, is what counts.
        box = head[8 : min(int.from_bytes(head[:4]), _HEAD)]
        if any(box[at : at + 4] in _AVIF_BRANDS for at in range(0, len(box), 4)):
            return "avif"
        what = "a HEIC or video file"
    else:
        what = next((words for start, words in _OTHERS if head.lstrip().startswith(start)), "not an image file")
    raise MediaError(f"{named(data)} cannot be read: it is {what}.", hint=f"{READABLE}; convert it to one of them.")


def _stream(data: bytes | Path) -> AbstractContextManager[BinaryIO]:
    return data.open("rb") if isinstance(data, Path) else nullcontext(BytesIO(data))


def stored_size_wh(image: ImageFile) -> tuple[int, int]:
    """The size as it is stored; Pillow's TIFF reader alone already turns it."""
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2[256]), int(image.tag_v2[257])
    return image.size


def orientation_of(image: ImageFile) -> int:
    """The EXIF orientation, 1 where there is none or where the metadata is broken."""
    try:
        if isinstance(image, PngImageFile):
            _find_late_exif(image)
        # The method of the base class: that of the PNG reader decodes all pixels to see what follows them.
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # broken metadata makes the parser raise almost anything, and does not spoil the pixels
        return 1
    return value if value in range(1, 9) else 1


def frames_of(image: ImageFile) -> int:
    """How many frames a file that is no TIFF holds; of a GIF, which can be endless, at most ``MAX_FRAMES`` count."""
    if isinstance(image, GifImageFile):
        return _gif_frames(image)
    return int(getattr(image, "n_frames", 1))


def _gif_frames(image: GifImageFile) -> int:
    """Count the image blocks of a GIF; Pillow's own count draws every frame on the way."""
    stream = cast("BinaryIO", image.fp)
    position = stream.tell()
    stream.seek(10)
    flags = stream.read(3)[0]
    stream.seek(13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
    count = 0
    while count < MAX_FRAMES and (block := stream.read(1)) in (b"!", b","):
        if block == b",":
            count += 1
            flags = (stream.read(9) or b"\0")[-1]
            stream.seek((3 << (flags & 7) + 1) if flags & 0x80 else 0, 1)
        stream.seek(1, 1)
        while size := stream.read(1):
            if size == b"\0":
                break
            stream.seek(size[0], 1)
    stream.seek(position)
    return max(1, count)


def _find_late_exif(image: PngImageFile) -> None:
    """Put the EXIF chunk of a PNG, which may stand behind the pixels, where Pillow looks for it."""
    stream = cast("BinaryIO", image.fp)
    position = stream.tell()
    stream.seek(8)
    while "exif" not in image.info and len(head := stream.read(8)) == 8 and head[4:] != b"IEND":
        length = int.from_bytes(head[:4])
        if head[4:] == b"eXIf":
            image.info["exif"] = b"Exif\0\0" + stream.read(min(length, _MAX_EXIF))
        else:
            stream.seek(length + 4, 1)
    stream.seek(position)


@dataclass(frozen=True, slots=True)
class Opened:
    """An image whose header has been read: Pillow's image, its format, its stored size and its orientation."""

    image: ImageFile
    format: str
    stored_wh: tuple[int, int]
    orientation: int

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height after the orientation has been applied."""
        width, height = self.stored_wh
        return (height, width) if self.orientation >= 5 else (width, height)


@contextmanager
def opened(data: bytes | Path, limits: Limits, *, giant: bool = False) -> Iterator[Opened]:
    """The image with its header read and its size checked; no pixel is decoded and no memory taken for one.

    Args:
        giant: it may be as large as giant images of a kind that can be read in parts.

    Whatever Pillow raises while the block runs becomes a MediaError.
    """
    size = _file_size(data)
    with _stream(data) as stream:
        name = _format_of(data, stream.read(_HEAD))
        giant = giant and name in GIANT_FORMATS
        if not giant:
            _check_bytes(data, size, limits)
        stream.seek(0)
        try:
            with without_warnings():
                image = _READERS[name](stream)
                found = Opened(image, name, stored_size_wh(image), orientation_of(image))
        except MemoryError:
            raise
        except Exception as error:  # a broken header makes the parsers raise almost anything
            raise MediaError(
                f"{named(data)} has a broken or truncated {name.upper()} header: {_reason(error)}.",
                hint="Copy the file again from its source, or open and save it with an image program.",
            ) from error
        check_pixels(data, found.stored_wh, limits.max_giant_pixels if giant else limits.max_pixels)
        try:
            yield found
        except (MediaError, NotFoundError, MemoryError):
            raise
        except Exception as error:  # the same for the decoders
            raise MediaError(
                f"{named(data)} is damaged or truncated, its {name.upper()} pixels cannot be decoded: "
                f"{_reason(error)}.",
                hint="Copy the file again from its source.",
            ) from error


def check_pixels(data: bytes | Path, size_wh: tuple[int, int], most: int) -> None:
    """MediaError where an image has more pixels than may be."""
    width, height = size_wh
    if width * height > most:
        raise MediaError(
            f"{named(data)} has {width:,} x {height:,} = {width * height:,} pixels; at most {most:,} are allowed.",
            hint="Read a part of it, or a smaller size, where it is a TIFF, PNG or JPEG; else cut it into tiles.",
        )


def _reason(error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    return text if text and not text.startswith("<") else type(error).__name__
