"""Render the image of an item or a region of it, also of images that are too large to decode as a whole."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.geometry import transform_geometry
from saccade.core.objects import BoundsXYXY, Object
from saccade.core.progress import NullProgress, Progress
from saccade.core.schema import ImageRef, Kind
from saccade.io.atomic import atomic_replace, make_private_dir
from saccade.media.draw import draw_objects
from saccade.media.image import IMAGE_LIMITS, downscale
from saccade.media.loader import read_image
from saccade.media.pyramid import PyramidImage, build_pyramid, needs_pyramid
from saccade.store.datasets.version import DatasetVersion
from saccade.store.io.urls import local_path
from saccade.store.workspace import Workspace

Pixels = npt.NDArray[np.uint8]
_COPY_CHUNK_BYTES = 1 << 20


def render_item(
    workspace: Workspace,
    version: DatasetVersion,
    key: str,
    *,
    region_xyxy: BoundsXYXY | None = None,
    max_size: int | None = None,
    with_objects: bool = False,
    progress: Progress | None = None,
) -> Pixels:
    """Return the image of an item as RGB, uint8, shape (height, width, 3).

    A region or a reduced size of an image that is too large to decode is read through its pyramid, which is built on
    first use and cached in the workspace.

    Args:
        workspace: The workspace.
        version: The dataset version.
        key: The key of the item.
        region_xyxy: Crop to this region, in pixels of the original image; all of it if None.
        max_size: Downscale the result so that its longest side has at most this many pixels.
        with_objects: Draw the objects of the first column of objects.
        progress: Receives progress of building a pyramid.

    Raises:
        NotFoundError: The item does not exist or has no image.
        InvalidValueError: The region has no pixels of the image, or ``max_size`` is less than 1.
    """
    item = version.get(key)
    ref: ImageRef | None = item[version.schema.first(Kind.IMAGE).name]
    if ref is None:
        raise NotFoundError(f"The item '{key}' has no image.")
    if max_size is not None and max_size < 1:
        raise InvalidValueError(f"The longest side must be at least 1 pixel, not {max_size}.")
    box = _to_pixel_box(region_xyxy or (0, 0, ref.width, ref.height), ref)
    if ref.width * ref.height > IMAGE_LIMITS.max_pixels:
        pyramid = PyramidImage(get_or_build_pyramid(workspace, version, ref, progress or NullProgress()))
        pixels = pyramid.read_region(box, max_size=max_size)
    elif region_xyxy is None:
        pixels = read_image(version, ref, max_size=max_size)
    else:
        pixels = _crop(read_image(version, ref), box, max_size)
    column = next(iter(version.schema.columns_of_kind(Kind.OBJECTS)), None)
    if not with_objects or column is None or not item[column.name]:
        return pixels
    height, width = pixels.shape[:2]
    scale_x = width / (box[2] - box[0])
    scale_y = height / (box[3] - box[1])
    matrix = np.array([[scale_x, 0, -box[0] * scale_x], [0, scale_y, -box[1] * scale_y]])
    objects = [_transform_object(obj, matrix, (width, height)) for obj in item[column.name]]
    return draw_objects(pixels, objects, classes={info.name: info for info in column.classes})


def _transform_object(obj: Object, matrix: npt.NDArray[np.float64], size_wh: tuple[int, int]) -> Object:
    return replace(obj, geometry=transform_geometry(obj.geometry, matrix, size_wh))


def _to_pixel_box(box: BoundsXYXY, ref: ImageRef) -> tuple[int, int, int, int]:
    x1, y1 = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
    x2, y2 = min(ref.width, int(np.ceil(box[2]))), min(ref.height, int(np.ceil(box[3])))
    if x1 >= x2 or y1 >= y2:
        size = f"{ref.width} x {ref.height}"
        raise InvalidValueError(f"The region {box} is outside the image.", hint=f"The image has {size} pixels.")
    return x1, y1, x2, y2


def _crop(pixels: Pixels, box: tuple[int, int, int, int], max_size: int | None) -> Pixels:
    x1, y1, x2, y2 = box
    return downscale(pixels[y1:y2, x1:x2], max_size)


def get_or_build_pyramid(workspace: Workspace, version: DatasetVersion, ref: ImageRef, progress: Progress) -> Path:
    """Return a file that supports reading regions: the image file itself, or its cached pyramid.

    Args:
        workspace: The workspace, which caches pyramids by the digest of the image.
        version: The dataset version that the image belongs to.
        ref: The image.
        progress: Receives progress of building the pyramid, in percent.
    """
    cached = workspace.pyramid_cache / f"{ref.digest}.tif"
    if cached.exists():
        return cached
    with workspace.scratch.shared() as folder:
        path = _local_path(version, ref) or _copy_media(version, ref, folder / "image")
        if not needs_pyramid(path) and path.parent != folder:
            return path
        progress.start("Building the pyramid", 100)
        percent = 0

        def report(fraction: float) -> None:
            nonlocal percent
            step = int(fraction * 100) - percent
            if step > 0:
                progress.advance(step, ref.name)
                percent += step

        temporary = folder / "pyramid.tif"
        if needs_pyramid(path):
            build_pyramid(path, temporary, progress=report)
        else:
            temporary = path
        make_private_dir(cached.parent)
        atomic_replace(temporary, cached)
        progress.finish()
    return cached


def _local_path(version: DatasetVersion, ref: ImageRef) -> Path | None:
    stored = version.objects.local_path(ref.digest)
    if stored is not None:
        return stored
    for uri in version.objects.candidate_uris(ref.digest, ref.uri):
        path = local_path(uri)
        # The size is compared because an external file may have been replaced.
        if path is not None and path.is_file() and path.stat().st_size == ref.size:
            return path
    return None


def _copy_media(version: DatasetVersion, ref: ImageRef, target: Path) -> Path:
    with version.open_media(ref) as source, target.open("xb") as out:
        shutil.copyfileobj(source, out, _COPY_CHUNK_BYTES)
    return target
