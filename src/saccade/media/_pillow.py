"""Wrapper of Pillow's readers with explicit limits and errors, which leaves Pillow's global settings unchanged.

Readers are constructed from their class and not by ``Image.open``, which only knows a global pixel limit and tries
every registered format.
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
from saccade.media import _vips


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Limits beyond which an image is rejected.

    Attributes:
        max_pixels: pixels of an image that is decoded into memory at full size.
        max_bytes: size of the file of such an image.
        max_streamed_pixels: pixels of an image that is only read in regions or downscaled while it is streamed.
    """

    max_pixels: int = 200_000_000
    max_bytes: int = 1 << 30
    max_streamed_pixels: int = 100_000_000_000


IMAGE_LIMITS = ImageLimits()
_MAX_EXIF_BYTES = 1 << 20
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
"""Format names of image references (``ImageRef.format``)."""
_HEADER_BYTES = 64
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
# Recognised only to name the file type in the error message.
_UNSUPPORTED_SIGNATURES = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"<!DOC", "a web page"),
    (b"<html", "a web page"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"8BPS", "a Photoshop file"),
)
# warnings.catch_warnings changes the state of the whole process, so only one thread at a time may use it.
_warnings_lock = threading.Lock()


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Suppress Pillow's warnings about unusual metadata."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def image_name(data: bytes | Path) -> str:
    """Return the subject of a message about an image."""
    return f"The image '{data.name}'" if isinstance(data, Path) else "The image"


def read_bytes(data: bytes | Path, limits: ImageLimits) -> bytes:
    """Check the size of the file and return its content.

    Raises:
        NotFoundError: the file cannot be opened.
        MediaError: the file is empty or larger than ``limits.max_bytes``.
    """
    _check_file_size(data, _file_size(data), limits)
    return data.read_bytes() if isinstance(data, Path) else data


def _file_size(data: bytes | Path) -> int:
    try:
        size = data.stat().st_size if isinstance(data, Path) else len(data)
    except OSError as error:
        raise NotFoundError(
            f"{image_name(data)} cannot be opened: {error.strerror}.", hint="Check the path."
        ) from error
    if size == 0:
        raise MediaError(f"{image_name(data)} is empty (0 bytes).", hint="Copy the file again from its source.")
    return size


def _check_file_size(data: bytes | Path, size: int, limits: ImageLimits) -> None:
    if size > limits.max_bytes:
        raise MediaError(
            f"{image_name(data)} has {size:,} bytes; at most {limits.max_bytes:,} are allowed.",
            hint="Cut it into tiles first.",
        )


def _detect_format(data: bytes | Path, head: bytes) -> str:
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        # The box begins with its length; its major brand or one of the compatible brands identifies AVIF.
        brands = head[8 : min(int.from_bytes(head[:4]), _HEADER_BYTES)]
        if any(brands[offset : offset + 4] in _AVIF_BRANDS for offset in range(0, len(brands), 4)):
            return "avif"
        file_type = "a HEIC or video file"
    else:
        content = head.lstrip()
        file_type = next(
            (title for signature, title in _UNSUPPORTED_SIGNATURES if content.startswith(signature)),
            "not an image file",
        )
    raise MediaError(
        f"{image_name(data)} cannot be read: it is {file_type}.", hint=f"{READABLE}; convert it to one of them."
    )


def _open_stream(data: bytes | Path) -> AbstractContextManager[BinaryIO]:
    return data.open("rb") if isinstance(data, Path) else nullcontext(BytesIO(data))


def stored_size_wh(image: ImageFile) -> tuple[int, int]:
    """Return the size before the orientation is applied; only Pillow's TIFF reader has applied it already."""
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2[256]), int(image.tag_v2[257])
    return image.size


def exif_orientation(image: ImageFile) -> int:
    """Return the EXIF orientation, or 1 if it is missing or the metadata is broken."""
    try:
        if isinstance(image, PngImageFile):
            _load_trailing_exif(image)
        # Use the method of the base class: the one of the PNG reader decodes all pixels to read the chunks after them.
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # broken metadata makes the parser raise almost anything; the pixels may still be fine
        return 1
    return value if value in range(1, 9) else 1


def count_frames(image: ImageFile) -> int:
    """Count the frames of a file that is not a TIFF; a GIF is counted up to ``MAX_FRAMES``."""
    if isinstance(image, GifImageFile):
        return _count_gif_frames(image)
    return int(getattr(image, "n_frames", 1))


def _count_gif_frames(image: GifImageFile) -> int:
    """Count the image blocks of a GIF. Pillow's own count decodes every frame."""
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


def _load_trailing_exif(image: PngImageFile) -> None:
    """Copy the EXIF chunk of a PNG, which may follow the pixels, to where Pillow expects it."""
    stream = cast("BinaryIO", image.fp)
    position = stream.tell()
    stream.seek(8)
    while "exif" not in image.info and len(head := stream.read(8)) == 8 and head[4:] != b"IEND":
        length = int.from_bytes(head[:4])
        if head[4:] == b"eXIf":
            image.info["exif"] = b"Exif\0\0" + stream.read(min(length, _MAX_EXIF_BYTES))
        else:
            stream.seek(length + 4, 1)
    stream.seek(position)


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """An image whose header has been read.

    Attributes:
        image: the Pillow image; its pixels are decoded on first access.
        format: a name of ``IMAGE_FORMATS``.
        stored_wh: width and height before the orientation is applied.
        orientation: EXIF orientation, 1 to 8.
    """

    image: ImageFile
    format: str
    stored_wh: tuple[int, int]
    orientation: int

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height after the orientation is applied."""
        width, height = self.stored_wh
        return (height, width) if self.orientation >= 5 else (width, height)


@contextmanager
def open_image(data: bytes | Path, limits: ImageLimits, *, streamed: bool = False) -> Iterator[OpenedImage]:
    """Open an image: read its header and check its size, without decoding or allocating pixels.

    Errors that Pillow raises in the block become a MediaError.

    Args:
        data: the path or the content of the file.
        limits: limits of the image.
        streamed: apply ``max_streamed_pixels`` instead of the other limits if the format is streamable.

    Raises:
        NotFoundError: the file cannot be opened.
        MediaError: the file is not a supported image, is broken or exceeds the limits.
    """
    size = _file_size(data)
    with _open_stream(data) as stream:
        name = _detect_format(data, stream.read(_HEADER_BYTES))
        streamed = streamed and name in _vips.LOADERS
        if not streamed:
            _check_file_size(data, size, limits)
        stream.seek(0)
        try:
            with suppress_warnings():
                image = _READERS[name](stream)
                opened = OpenedImage(image, name, stored_size_wh(image), exif_orientation(image))
        except MemoryError:
            raise
        except Exception as error:  # a broken header makes the parsers raise almost anything
            raise MediaError(
                f"{image_name(data)} has a broken or truncated {name.upper()} header: {_error_text(error)}.",
                hint="Copy the file again from its source, or open and save it with an image program.",
            ) from error
        check_pixels(data, opened.stored_wh, limits.max_streamed_pixels if streamed else limits.max_pixels)
        try:
            yield opened
        except (MediaError, NotFoundError, MemoryError):
            raise
        except Exception as error:  # broken pixels make the decoders raise almost anything
            raise MediaError(
                f"{image_name(data)} is damaged or truncated, its {name.upper()} pixels cannot be decoded: "
                f"{_error_text(error)}.",
                hint="Copy the file again from its source.",
            ) from error


def check_pixels(data: bytes | Path, size_wh: tuple[int, int], max_pixels: int) -> None:
    """Raise MediaError if an image has more than ``max_pixels`` pixels."""
    width, height = size_wh
    if width * height > max_pixels:
        raise MediaError(
            f"{image_name(data)} has {width:,} x {height:,} = {width * height:,} pixels; "
            f"at most {max_pixels:,} are allowed.",
            hint="Read a region or a smaller size if it is a TIFF, PNG or JPEG; otherwise cut it into tiles.",
        )


def _error_text(error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    return text if text and not text.startswith("<") else type(error).__name__
