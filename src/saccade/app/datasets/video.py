"""The frames of a video as a viewer plays them: of an item that is a video, or of the items that are its frames."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.errors import MediaError, NotFoundError
from saccade.core.schema import KEY, ImageRef, Kind, VideoRef
from saccade.media.image import IMAGE_FORMATS, Pixels
from saccade.media.loader import read_frame, read_frame_index
from saccade.store.datasets.version import DatasetVersion

_TAKE_ROWS = 4096
_DIGEST = re.compile("[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class VideoTimeline:
    """The frames of a video in presentation order, with the labels of those that are items.

    Attributes:
        frames: numbers of the frames in the video.
        times: presentation time of each frame, in seconds from the first frame of the video.
        end: time at which the last of these frames ends.
        keys: key of the item of each frame; None if the video is one item.
        objects: number of objects of each frame, None if it is not labelled; None if the frames have no labels.
    """

    frames: list[int]
    times: list[float]
    end: float
    keys: list[str] | None = None
    objects: list[int | None] | None = None


def get_video(version: DatasetVersion, key: str) -> ImageRef | VideoRef:
    """Return the video of an item, or a reference to the frame that the item is.

    Raises:
        NotFoundError: there is no such item, or it has no video.
    """
    item = version.get(key)
    for column in version.schema.columns:
        value = item[column.name]
        if isinstance(value, VideoRef) or (isinstance(value, ImageRef) and is_frame(value)):
            return value
    raise NotFoundError(f"The item '{key}' has no video.")


def is_frame(ref: ImageRef) -> bool:
    """Return whether an image is a frame of a video, and not a page of an image file."""
    return ref.frame is not None and ref.format not in IMAGE_FORMATS


def get_timeline(version: DatasetVersion, key: str) -> VideoTimeline:
    """Return the frames of the video of an item: all of them, or those that are items of the dataset.

    Raises:
        NotFoundError: there is no such item, or it has no video.
        MediaError: the video is broken or exceeds the limits.
    """
    ref = get_video(version, key)
    index = read_frame_index(version, ref)
    if isinstance(ref, VideoRef):
        frames = list(range(len(index)))
        return VideoTimeline(frames, [round(index.frame_time(frame), 6) for frame in frames], round(index.duration, 6))
    frames, keys, objects = _frame_items(version, ref.digest)
    times = [round(index.frame_time(frame), 6) for frame in frames]
    following = frames[-1] + 1
    end = index.frame_time(following) if following < len(index) else index.duration
    return VideoTimeline(frames, times, round(end, 6), keys, objects)


def _frame_items(version: DatasetVersion, digest: str) -> tuple[list[int], list[str], list[int | None] | None]:
    """Return frame numbers, keys and object counts of the items that are frames of a video, by frame number."""
    image = version.schema.first(Kind.IMAGE).name
    labels = next((column.name for column in version.schema.columns_of_kind(Kind.OBJECTS)), None)
    assert _DIGEST.fullmatch(digest), digest
    positions = version.positions_where(f'{image}.digest == "{digest}" and {image}.frame >= 0', f"{image}.frame")
    rows = version.snapshot.index.order[positions]
    frames: list[int] = []
    keys: list[str] = []
    objects: list[int | None] | None = None if labels is None else []
    columns = [KEY, image] if labels is None else [KEY, image, labels]
    for batch in version.snapshot.batches(columns, rows, _TAKE_ROWS):
        keys += batch[KEY].to_pylist()
        frames += _combined(batch[image]).field("frame").to_pylist()
        if labels is not None and objects is not None:
            objects += pc.list_value_length(batch[labels]).to_pylist()
    return frames, keys, objects


def _combined(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def read_frames(
    version: DatasetVersion, ref: ImageRef | VideoRef, numbers: Iterable[int], *, max_size: int
) -> Iterator[Pixels | None]:
    """Decode frames of a video. Ascending numbers are decoded in one pass.

    Args:
        version: the dataset version that holds the video.
        ref: the video, or a frame of it.
        numbers: 0-based frame numbers in presentation order.
        max_size: maximum of the longest side in pixels.

    Yields:
        The pixels of each frame; None if it is damaged or does not exist.
    """
    for number in numbers:
        try:
            yield read_frame(version, ref, number, max_size=max_size)
        except (MediaError, NotFoundError):
            yield None
