"""Image files for sources of labels that have none: the files that annotation tools export without images.

The readers of formats take the size of an image from its file. Of the images of a label set the size is known, so
files that consist of a header only are enough, whatever the size of the images.
"""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from saccade.annotation.reader import LabelSetReader
from saccade.app.labels.item_matching import ItemMatcher
from saccade.core.schema import ImageRef, Kind
from saccade.formats._common.paths import is_image_name, is_video_name

_LABEL_FILES = (".json", ".jsonl", ".xml", ".csv", ".txt")
_LABEL_FOLDERS = ("labels", "labeltxt")
_IMAGE_FOLDER = "images"
_PER_IMAGE_LABELS = (".txt", ".json")


def has_images(source: Path) -> bool:
    """Return whether a source has images or videos of its own; a file of labels alone does not."""
    if source.is_file():
        return source.suffix.lower() not in _LABEL_FILES
    return any(is_image_name(path.name) or is_video_name(path.name) for path in source.rglob("*"))


def source_with_images(source: Path, folder: Path, reader: LabelSetReader) -> Path:
    """Copy a source of labels, and add a header of each image of a label set at the place where formats expect it.

    Args:
        source: A folder without images, or a file with labels.
        folder: An empty folder.
        reader: The label set.

    Returns:
        The folder.
    """
    files = _copy_labels(source, folder)
    images = reader.schema.columns_of_kind(Kind.IMAGE)
    refs: dict[str, ImageRef] = {
        item.key: item[images[0].name]
        for item in (reader.items([images[0].name]) if images else ())
        if item[images[0].name] is not None
    }
    matcher = ItemMatcher(reader)
    placed = set()
    for place in _image_places(files):
        key = matcher.match(str(place))
        if key is not None and key in refs and key not in placed:
            placed.add(key)
            _write_image(folder, str(place), refs[key])
    for key, ref in refs.items():
        if key not in placed:
            _write_image(folder, f"{_IMAGE_FOLDER}/{key}", ref)
    return folder


def _copy_labels(source: Path, folder: Path) -> list[PurePosixPath]:
    """Link or copy the files; returns their relative paths."""
    paths = [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
    root = source.parent if source.is_file() else source
    relative_paths = []
    for path in paths:
        relative = path.relative_to(root)
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path.resolve(), target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(path, target)
        relative_paths.append(PurePosixPath(relative.as_posix()))
    return relative_paths


def _image_places(files: list[PurePosixPath]) -> Iterator[PurePosixPath]:
    """Iterate over the paths, without extensions, of the images that label files of one image each belong to."""
    for file in files:
        if file.suffix.lower() not in _PER_IMAGE_LABELS:
            continue
        parts = list(file.with_suffix("").parts)
        for index in range(len(parts) - 2, -1, -1):
            if parts[index].lower() in _LABEL_FOLDERS:
                parts[index] = _IMAGE_FOLDER
                break
        yield PurePosixPath(*parts)


def _write_image(folder: Path, stem: str, ref: ImageRef) -> None:
    suffix = PurePosixPath(ref.name).suffix if is_image_name(ref.name) and ref.frame is None else ".png"
    path = folder / f"{stem}{suffix}"
    if folder.resolve() not in path.resolve().parents:  # a key may contain ".."
        return
    with suppress(OSError):  # a key may be too long for the name of a file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_header(ref))


def image_header(ref: ImageRef) -> bytes:
    """Return a PNG file without pixels that has the size and the EXIF orientation of an image."""
    width, height = (ref.height, ref.width) if ref.orientation >= 5 else (ref.width, ref.height)
    orientation = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, ref.orientation, 0, 0)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"eXIf", orientation),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    )
    encoded = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(encoded)
