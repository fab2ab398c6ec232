"""Copying the images of records, and reading their sizes."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import BinaryIO

from saccade.core.errors import SaccadeError
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.paths import IMAGE_EXTENSIONS
from saccade.formats.base import MediaSource, Record, SizeWH

_SIGNATURES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
)


def _open(media: MediaSource) -> BinaryIO:
    return media.path.open("rb") if media.path is not None else io.BytesIO(media.read())


def _image_extension(head: bytes) -> str:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return ".avif"
    return next((extension for signature, extension in _SIGNATURES if head.startswith(signature)), "")


def media_extension(path: Path) -> str:
    """Return the extension that fits the content of an image or video file; "" for other files."""
    from saccade.media.video import is_video

    with path.open("rb") as file:
        head = file.read(1024)
    return _image_extension(head) or (".mp4" if is_video(head) else "")


def copy_media(record: Record, target_stem: Path, report: ConversionReport) -> Path | None:
    """Copy a record's image.

    Args:
        target_stem: target path without the extension, which is that of the source's name, or else that of its content.

    Returns:
        The new file; None, and reported, if the record has no image or the image cannot be read.

    Raises:
        OSError: if the destination cannot be written.
    """
    if record.media is None:
        report.add(FindingType.SKIPPED, "item without an image file", key=record.key)
        return None
    try:
        source = _open(record.media)
    except (OSError, SaccadeError) as error:
        report.add(FindingType.SKIPPED, "image file that cannot be read", key=record.key, detail=str(error))
        return None
    with source:
        suffix = Path(record.media.name).suffix
        extension = suffix if suffix.lower() in IMAGE_EXTENSIONS else _image_extension(source.read(16))
        source.seek(0)
        if not extension:
            detail = repr(record.media.name)
            report.add(FindingType.SKIPPED, "file that is not an image", key=record.key, detail=detail)
            return None
        target = target_stem.with_name(target_stem.name + extension)
        with _create(target) as out:
            shutil.copyfileobj(source, out, 1 << 20)
    return target


def _create(path: Path) -> BinaryIO:
    # Only the first image of a folder finds it missing.
    try:
        return path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")


def image_size_wh(image: Path | bytes) -> SizeWH:
    """Read the size of an image after EXIF orientation from its header.

    Raises:
        MediaError: if it is no image.
    """
    from saccade.media.image import probe

    return probe(image).size_wh


def try_image_size_wh(image: Path | bytes) -> SizeWH | None:
    """Read the size of an image; None if it cannot be read."""
    try:
        return image_size_wh(image)
    except (SaccadeError, OSError):
        return None


def media_size_wh(media: MediaSource) -> SizeWH | None:
    """Read the size of an image, which may lie inside another file; None if it cannot be read."""
    try:
        return image_size_wh(media.path or media.read())
    except (SaccadeError, OSError):
        return None


def record_size_wh(record: Record) -> SizeWH | None:
    """Return the size that the record states, or else that of its image file if it can be read."""
    if record.size_wh is not None or record.media is None:
        return record.size_wh
    return media_size_wh(record.media)
