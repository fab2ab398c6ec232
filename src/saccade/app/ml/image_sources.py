"""Images and video frames to predict on, from a path or a glob."""

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

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An image to predict on.

    Attributes:
        key: Identifies the image among the inputs.
        name: The file name in the output.
        read: Decodes the image.
        to_ref: Creates the reference to the image in a dataset.
    """

    key: str
    name: str
    read: Callable[[], ImageArray]
    to_ref: Callable[[], ImageRef]


def list_media_files(source: str) -> list[Path]:
    """List the image and video files of a file path, a folder or a glob.

    Raises:
        NotFoundError: There are none.
    """
    path = Path(source)
    suffixes = IMAGE_SUFFIXES | VIDEO_EXTENSIONS
    if path.is_file():
        return [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
    else:
        files = sorted(Path(name) for name in glob.glob(source, recursive=True) if Path(name).is_file())
    if not files:
        raise NotFoundError(
            f"There are no images in {source}.", hint=f"Supported suffixes: {', '.join(sorted(suffixes))}."
        )
    return files


def list_images(files: Sequence[Path], source: Path) -> list[ImageInput]:
    """Create the inputs for image and video files.

    Each frame of a video is an image, with the number of the frame at the end of its key.

    Args:
        files: The files.
        source: The folder that was given by the user. Keys are paths relative to it (or to the common folder of the
            files), without the suffix if they stay unique.
    """
    root = source if source.is_dir() else Path(os.path.commonpath([file.parent for file in files]))
    names = [file.relative_to(root) for file in files]
    uses = Counter([*names, *(name.with_suffix("") for name in names)])
    images: list[ImageInput] = []
    for file, name in zip(files, names, strict=True):
        key = (name.with_suffix("") if uses[name.with_suffix("")] == 1 else name).as_posix()
        if _is_video(file):
            images += _video_frames(file, key)
        else:
            images.append(ImageInput(key, name.as_posix(), partial(_decode_file, file), partial(_linked_ref, file)))
    return images


def _is_video(path: Path) -> bool:
    if not is_video_name(path.name):
        return False
    with path.open("rb") as file:
        return is_video(file.read(1024))


@dataclass(frozen=True, slots=True)
class _FileReader:
    """Media reader of a single file, whose frames are read by references."""

    path: Path

    def read_media(self, ref: MediaRef) -> bytes:
        return self.path.read_bytes()

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return self.path.open("rb")


def _video_frames(path: Path, key: str) -> Iterator[ImageInput]:
    """Yield the frames of a video, or one input that raises the error if the video cannot be read."""
    try:
        video = probe_video(path)
        digest = digest_file(path)
        size = path.stat().st_size
    except SaccadeError as error:
        yield ImageInput(key, f"{key}{path.suffix}", partial(_raise_error, error), partial(_raise_error, error))
        return
    video_ref = ImageRef(
        digest,
        size,
        path.name,
        video.width,
        video.height,
        video.container,
        "RGB",
        video.orientation,
        path.resolve().as_uri(),
    )
    for number in range(video.frames):
        ref = replace(video_ref, frame=number)
        name = f"{key}/{number:06}"
        yield ImageInput(name, f"{name}.jpg", partial(read_image, _FileReader(path), ref), partial(_return_ref, ref))


def _return_ref(ref: ImageRef) -> ImageRef:
    return ref


def _raise_error(error: SaccadeError) -> NoReturn:
    raise error


def _decode_file(path: Path) -> ImageArray:
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise SaccadeError(f"{path} cannot be read: {error.strerror}.") from None


def _linked_ref(path: Path) -> ImageRef:
    image = probe(path)
    return ImageRef(
        digest_file(path),
        path.stat().st_size,
        path.name,
        image.width,
        image.height,
        image.format,
        image.mode,
        image.orientation,
        path.resolve().as_uri(),
    )
