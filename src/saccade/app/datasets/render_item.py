"""A picture of an item, or of a part of one, also of images that are too large to be held."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.geometry import transform_geometry
from saccade.core.objects import BoundsXYXY, Object
from saccade.core.progress import Progress, Silent
from saccade.core.schema import ImageRef, Kind
from saccade.media.draw import draw_objects
from saccade.media.image import LIMITS, shrink
from saccade.media.loader import read_image
from saccade.media.pyramid import Giant, build_pyramid, needs_pyramid
from saccade.store.datasets.version import DatasetVersion
from saccade.store.io.atomic import put_in_place
from saccade.store.io.urls import local_path
from saccade.store.workspace import Workspace

Pixels = npt.NDArray[np.uint8]


def picture(
    workspace: Workspace,
    version: DatasetVersion,
    key: str,
    *,
    box_xyxy: BoundsXYXY | None = None,
    max_size: int | None = None,
    objects: bool = False,
    progress: Progress | None = None,
) -> Pixels:
    """The image of an item in RGB, (height, width, 3).

    Args:
        box_xyxy: only this part, in pixels of the whole image.
        max_size: the longest side; a larger picture is scaled down to it.
        objects: draw the objects of the item over it.

    Of an image that is too large to be held, a part or a smaller size is read through its pyramid, which is made when
    it is first needed and kept in the workspace. NotFoundError: no such item, or it has no image.
    """
    item = version.get(key)
    ref: ImageRef | None = item[version.schema.first(Kind.IMAGE).name]
    if ref is None:
        raise NotFoundError(f"The item '{key}' has no image.")
    if max_size is not None and max_size < 1:
        raise InvalidValueError(f"The longest side must be at least 1 pixel, not {max_size}.")
    box = _whole_pixels(box_xyxy or (0, 0, ref.width, ref.height), ref)
    if ref.width * ref.height > LIMITS.max_pixels:
        giant = Giant(pyramid_of(workspace, version, ref, progress or Silent()))
        pixels = giant.region(box, max_size=max_size)
    elif box_xyxy is None:
        pixels = read_image(version, ref, max_size=max_size)
    else:
        pixels = _part(read_image(version, ref), box, max_size)
    shown = version.schema.of_kind(Kind.OBJECTS)
    if not objects or not shown or not item[shown[0].name]:
        return pixels
    scale_x, scale_y = pixels.shape[1] / (box[2] - box[0]), pixels.shape[0] / (box[3] - box[1])
    matrix = np.array([[scale_x, 0, -box[0] * scale_x], [0, scale_y, -box[1] * scale_y]])
    moved = [_moved(one, matrix, (pixels.shape[1], pixels.shape[0])) for one in item[shown[0].name]]
    return draw_objects(pixels, moved, classes={info.name: info for info in shown[0].classes})


def _moved(one: Object, matrix: npt.NDArray[np.float64], size_wh: tuple[int, int]) -> Object:
    return replace(one, geometry=transform_geometry(one.geometry, matrix, size_wh))


def _whole_pixels(box: BoundsXYXY, ref: ImageRef) -> tuple[int, int, int, int]:
    x1, y1 = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
    x2, y2 = min(ref.width, int(np.ceil(box[2]))), min(ref.height, int(np.ceil(box[3])))
    if x1 >= x2 or y1 >= y2:
        size = f"{ref.width} x {ref.height}"
        raise InvalidValueError(f"The part {box} has no pixels of the image.", hint=f"The image has {size} pixels.")
    return x1, y1, x2, y2


def _part(pixels: Pixels, box: tuple[int, int, int, int], max_size: int | None) -> Pixels:
    x1, y1, x2, y2 = box
    return shrink(pixels[y1:y2, x1:x2], max_size)


def pyramid_of(workspace: Workspace, version: DatasetVersion, ref: ImageRef, progress: Progress) -> Path:
    """A file of which parts can be read: that of the image itself, or the pyramid that the workspace keeps of it."""
    kept = workspace.pyramids / f"{ref.digest}.tif"
    if kept.exists():
        return kept
    with workspace.scratch.working() as folder:
        path = _local(version, ref) or _copied(version, ref, folder / "image")
        if not needs_pyramid(path) and path.parent != folder:
            return path
        progress.start("Building the pyramid", 100)
        done = 0

        def report(share: float) -> None:
            nonlocal done
            step = int(share * 100) - done
            if step > 0:
                progress.advance(step, ref.name)
                done += step

        temporary = folder / "pyramid.tif"
        if needs_pyramid(path):
            build_pyramid(path, temporary, progress=report)
        else:
            temporary = path
        kept.parent.mkdir(parents=True, exist_ok=True)
        put_in_place(temporary, kept)
        progress.finish()
    return kept


def _local(version: DatasetVersion, ref: ImageRef) -> Path | None:
    """The file of an image, where it is on this machine."""
    held = version.objects.open_path(ref.digest)
    if held is not None:
        return held
    for uri in version.objects.places(ref.digest, ref.uri):
        path = local_path(uri)
        if path is not None and path.is_file() and path.stat().st_size == ref.size:
            return path
    return None


def _copied(version: DatasetVersion, ref: ImageRef, target: Path) -> Path:
    with version.open_media(ref) as source, target.open("xb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    return target
