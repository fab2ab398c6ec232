"""Images and frames of videos to run a model on, from a path or a glob."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, NoReturn

from saccade.core.digest import digest_file
from saccade.core.errors import NotFoundError, SaccadeError
from saccade.core.schema import ImageRef, MediaRef
from saccade.formats._common.paths import VIDEO_EXTENSIONS, is_video_name
from saccade.media.image import decode, probe
from saccade.media.loader import read_image
from saccade.media.video import is_video, probe_video
from saccade.models.preprocess import ImageArray

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True, slots=True)
class Picture:
    """An image to predict on: its key and file name, how to decode it, and how to refer to it in a dataset."""

    key: str
    name: str
    read: Callable[[], ImageArray]
    refer: Callable[[], ImageRef]


def files_of(source: str) -> list[Path]:
    """Image and video files of a path or glob; NotFoundError where it holds none."""
    path = Path(source)
    if path.is_file():
        return [path]
    if path.is_dir():
        known = SUFFIXES | VIDEO_EXTENSIONS
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in known and file.is_file())
    else:
        found = sorted(Path(name) for name in glob.glob(source, recursive=True) if Path(name).is_file())
    if not found:
        raise NotFoundError(
            f"There are no images in {source}.", hint=f"Known: {', '.join(sorted(SUFFIXES | VIDEO_EXTENSIONS))}."
        )
    return found


def pictures_of_files(files: Sequence[Path], source: Path) -> list[Picture]:
    """Keys are paths below the folder that holds all, without the suffix where that tells them apart.

    A video is as many pictures as it has frames, with the number of the frame at the end of the key.
    """
    root = source if source.is_dir() else Path(os.path.commonpath([file.parent for file in files]))
    names = [file.relative_to(root) for file in files]
    uses = Counter([*names, *(name.with_suffix("") for name in names)])
    found: list[Picture] = []
    for file, name in zip(files, names, strict=True):
        key = (name.with_suffix("") if uses[name.with_suffix("")] == 1 else name).as_posix()
        if _is_video(file):
            found += _frames(file, key)
        else:
            found.append(Picture(key, name.as_posix(), partial(_decode_file, file), partial(_link, file)))
    return found


def _is_video(path: Path) -> bool:
    if not is_video_name(path.name):
        return False
    with path.open("rb") as file:
        return is_video(file.read(1024))


@dataclass(frozen=True, slots=True)
class _OneFile:
    """A file whose frames are read by their references."""

    path: Path

    def read_media(self, ref: MediaRef) -> bytes:
        return self.path.read_bytes()

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return self.path.open("rb")


def _frames(path: Path, key: str) -> Iterator[Picture]:
    """The frames of a video; where it cannot be read one picture that says so."""
    try:
        found, digest, size = probe_video(path), digest_file(path), path.stat().st_size
    except SaccadeError as error:
        yield Picture(key, f"{key}{path.suffix}", partial(_fail, error), partial(_fail, error))
        return
    whole = ImageRef(
        digest,
        size,
        path.name,
        found.width,
        found.height,
        found.container,
        "RGB",
        found.orientation,
        path.resolve().as_uri(),
    )
    for number in range(found.frames):
        ref, name = replace(whole, frame=number), f"{key}/{number:06}"
        yield Picture(name, f"{name}.jpg", partial(read_image, _OneFile(path), ref), partial(_same, ref))


def _same(ref: ImageRef) -> ImageRef:
    return ref


def _fail(error: SaccadeError) -> NoReturn:
    raise error


def _decode_file(path: Path) -> ImageArray:
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise SaccadeError(f"{path} cannot be read: {error.strerror}.") from None


def _link(path: Path) -> ImageRef:
    found = probe(path)
    return ImageRef(
        digest_file(path),
        path.stat().st_size,
        path.name,
        found.width,
        found.height,
        found.format,
        found.mode,
        found.orientation,
        path.resolve().as_uri(),
    )
