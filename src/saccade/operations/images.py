"""Operations that create images (crop, resize) or measure them (perceptual hash, pixel statistics)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from saccade.core.errors import NotFoundError
from saccade.core.geometry.tiling import clip_to_window
from saccade.core.geometry.transforms import transform_geometry
from saccade.core.reader import Item
from saccade.core.schema import HEX_COLOR, Column, Kind, Schema
from saccade.media.colors import hex_to_rgb
from saccade.media.image import encode
from saccade.media.loader import read_image
from saccade.operations.base import (
    Context,
    Inputs,
    Parameters,
    PortType,
    dataset_op,
    one_to_many,
    per_item,
    resolve_column,
    single_dataset,
)

IMAGE_LIBRARIES = ("numpy", "opencv-python-headless", "pillow")
Pixels = npt.NDArray[np.uint8]


class ImageParameters(Parameters):
    """Parameters shared by the operations that create images."""

    image: str | None = Field(None, description="The image column; default: the first one.")
    format: Literal["jpeg", "png"] = Field("png", description="The format of the output images, 8 bits per channel.")
    quality: int = Field(95, ge=1, le=100, description="The quality of JPEG images.")


def _image_column(parameters: ImageParameters, schema: Schema) -> str:
    return resolve_column(schema, parameters.image, Kind.IMAGE).name


def _object_columns(schema: Schema) -> list[str]:
    return [column.name for column in schema.columns_of_kind(Kind.OBJECTS)]


def _input_columns(parameters: ImageParameters, schema: Schema) -> Sequence[str]:
    return [_image_column(parameters, schema), *_object_columns(schema)]


def _output_columns(parameters: ImageParameters, schema: Schema) -> Sequence[Column]:
    return [schema[name] for name in _input_columns(parameters, schema)]


def _put_image(context: Context, pixels: Pixels, key: str, parameters: ImageParameters) -> Any:
    suffix = ".jpg" if parameters.format == "jpeg" else ".png"
    data = encode(np.ascontiguousarray(pixels), parameters.format, parameters.quality)
    return context.put_image(data, key.rpartition("/")[2] + suffix)


class CropParameters(ImageParameters):
    around: Literal["box", "objects"] = Field(
        "box", description="box: one crop, given by 'box'; objects: one crop around each object."
    )
    box: tuple[float, float, float, float] | None = Field(
        None,
        description="Left, top, right and bottom of the crop: in pixels, or as fractions of the image size if all are"
        " ≤ 1.",
    )
    margin: float = Field(
        0.1, ge=0, description="The margin on each side of an object, as a fraction of its width or height."
    )
    min_visible: float = Field(
        0.3, ge=0, le=1, description="Drop objects of which a smaller share of the area is visible."
    )
    objects: str | None = Field(None, description="The objects column to crop around; default: the first one.")


@one_to_many(
    "crop",
    parameters=CropParameters,
    input_columns=_input_columns,
    output_columns=_output_columns,
    libraries=IMAGE_LIBRARIES,
    prepared=True,
)
def crop(parameters: CropParameters, schema: Schema) -> Any:
    """Crop a region from each image, or one crop around each object."""
    image_column = _image_column(parameters, schema)
    object_columns = _object_columns(schema)
    if parameters.around == "box" and parameters.box is None:
        raise ValueError("the parameter 'box' is required with 'around: box'")
    around = resolve_column(schema, parameters.objects, Kind.OBJECTS).name if parameters.around == "objects" else None

    def regions(item: Item, size_wh: tuple[int, int]) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
        if around is None:
            assert parameters.box is not None
            x1, y1, x2, y2 = parameters.box
            scale_x, scale_y = size_wh if max(parameters.box) <= 1 else (1, 1)
            yield item.key, (x1 * scale_x, y1 * scale_y, x2 * scale_x, y2 * scale_y)
            return
        for obj in item[around] or ():
            x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
            dx = (x2 - x1) * parameters.margin
            dy = (y2 - y1) * parameters.margin
            yield f"{item.key}_{obj.id}", (x1 - dx, y1 - dy, x2 + dx, y2 + dy)

    def cut(item: Item, context: Context) -> Iterator[Item]:
        if item[image_column] is None:
            return
        pixels = read_image(context, item[image_column])
        height, width = pixels.shape[:2]
        for key, (x1, y1, x2, y2) in regions(item, (width, height)):
            left = max(0, int(np.floor(x1)))
            top = max(0, int(np.floor(y1)))
            right = min(width, int(np.ceil(x2)))
            bottom = min(height, int(np.ceil(y2)))
            if right <= left or bottom <= top:
                continue
            window_xywh = (left, top, right - left, bottom - top)
            image = _put_image(context, pixels[top:bottom, left:right], key, parameters)
            objects = {name: clip_to_window(item[name], window_xywh, parameters.min_visible) for name in object_columns}
            yield Item(key, {image_column: image, **objects})

    return cut


class ResizeParameters(ImageParameters):
    width: int | None = Field(None, ge=1, le=16_384, description="Width in pixels; default: follows from the height.")
    height: int | None = Field(None, ge=1, le=16_384, description="Height in pixels; default: follows from the width.")
    fit: Literal["stretch", "inside", "pad"] = Field(
        "inside",
        description="stretch: exactly that size; inside: at most that size, keeping the aspect ratio; pad: like inside,"
        " then padded to that size.",
    )
    enlarge: bool = Field(True, description="Enlarge images that are smaller.")
    color: str = Field("#808080", pattern=HEX_COLOR, description="The padding colour.")


@per_item(
    "resize",
    parameters=ResizeParameters,
    input_columns=_input_columns,
    output_columns=_output_columns,
    libraries=IMAGE_LIBRARIES,
    prepared=True,
)
def resize(parameters: ResizeParameters, schema: Schema) -> Any:
    """Resize images and their objects, optionally with padding."""
    image_column = _image_column(parameters, schema)
    object_columns = _object_columns(schema)
    if parameters.width is None and parameters.height is None:
        raise ValueError("set 'width', 'height' or both")

    def scale(item: Item, context: Context) -> Mapping[str, Any]:
        if item[image_column] is None:
            return {image_column: None, **{name: item[name] for name in object_columns}}
        pixels = read_image(context, item[image_column])
        resized, matrix = _resize_pixels(pixels, parameters)
        size_wh = (resized.shape[1], resized.shape[0])
        values: dict[str, Any] = {image_column: _put_image(context, resized, item.key, parameters)}
        for name in object_columns:
            objects = item[name]
            values[name] = (
                None
                if objects is None
                else tuple(replace(obj, geometry=transform_geometry(obj.geometry, matrix, size_wh)) for obj in objects)
            )
        return values

    return scale


def _resize_pixels(pixels: Pixels, parameters: ResizeParameters) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """Resize an image.

    Returns:
        The new image, and the affine matrix (2, 3) from old to new coordinates.
    """
    import cv2

    height, width = pixels.shape[:2]
    target_width = parameters.width
    target_height = parameters.height
    if parameters.fit == "stretch" and target_width is not None and target_height is not None:
        sx = target_width / width
        sy = target_height / height
    else:
        sx = sy = min(
            target_width / width if target_width else np.inf, target_height / height if target_height else np.inf
        )
    if not parameters.enlarge:
        sx = min(1.0, sx)
        sy = min(1.0, sy)
    size_wh = max(1, round(width * sx)), max(1, round(height * sy))
    # The size is rounded to whole pixels: derive the scales of the matrix from it.
    sx = size_wh[0] / width
    sy = size_wh[1] / height
    interpolation = cv2.INTER_AREA if sx < 1 or sy < 1 else cv2.INTER_LINEAR
    resized = (
        pixels
        if size_wh == (width, height)
        else np.asarray(cv2.resize(pixels, size_wh, interpolation=interpolation), np.uint8)
    )
    left = top = 0
    if parameters.fit == "pad":
        canvas_width = target_width or size_wh[0]
        canvas_height = target_height or size_wh[1]
        left = (canvas_width - size_wh[0]) // 2
        top = (canvas_height - size_wh[1]) // 2
        canvas = np.empty((canvas_height, canvas_width, 3), np.uint8)
        canvas[:] = hex_to_rgb(parameters.color)
        canvas[top : top + size_wh[1], left : left + size_wh[0]] = resized
        resized = canvas
    return resized, np.array([[sx, 0, left], [0, sy, top]])


class PhashParameters(Parameters):
    image: str | None = Field(None, description="The image column; default: the first one.")
    column: str = Field("phash", description="The output column.")


@per_item(
    "phash",
    parameters=PhashParameters,
    input_columns=lambda parameters, schema: [resolve_column(schema, parameters.image, Kind.IMAGE).name],
    output_columns=lambda parameters, schema: [Column(parameters.column, Kind.TEXT)],
    libraries=IMAGE_LIBRARIES,
    prepared=True,
)
def phash(parameters: PhashParameters, schema: Schema) -> Any:
    """Compute a perceptual hash of 64 bits as 16 hexadecimal digits; similar images differ in few bits.

    The image is reduced to 32 x 32 grey pixels; each bit says whether one of the 8 x 8 lowest DCT frequencies is above
    their median, as described by Zauner (2010).
    """
    image_column = resolve_column(schema, parameters.image, Kind.IMAGE).name

    def compute_hash(item: Item, context: Context) -> Mapping[str, Any]:
        import cv2

        if item[image_column] is None:
            return {parameters.column: None}
        grey = read_image(context, item[image_column], mode="L", max_size=512).astype(np.float32)
        small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
        frequencies = cv2.dct(small)[:8, :8].reshape(-1)
        # The first coefficient is the mean brightness and would shift the median.
        bits = np.packbits(frequencies > np.median(frequencies[1:]))
        return {parameters.column: bits.tobytes().hex()}

    return compute_hash


class PixelStatisticsParameters(Parameters):
    image: str | None = Field(None, description="The image column; default: the first one.")
    split: str | None = Field("train", description="Measure only this split; null: all items.")
    split_column: str = Field("split", description="The column with the split of each item.")


def _pixel_columns(parameters: PixelStatisticsParameters, schema: Schema) -> Sequence[str]:
    image = resolve_column(schema, parameters.image, Kind.IMAGE).name
    return [image] if parameters.split is None else [image, schema[parameters.split_column].name]


@dataset_op(
    "pixel_statistics",
    parameters=PixelStatisticsParameters,
    output=PortType.VALUE,
    input_columns=_pixel_columns,
    libraries=IMAGE_LIBRARIES,
)
def pixel_statistics(inputs: Inputs, parameters: PixelStatisticsParameters, context: Context) -> dict[str, Any]:
    """Compute the mean and standard deviation of each RGB channel, from 0 to 1, for a recipe's `model.input`.

    Every pixel has the same weight, so large images count for more. By default only the training split is measured.
    """
    reader = single_dataset(inputs)
    image, *split = _pixel_columns(parameters, reader.schema)
    items = [item for item in reader.items([image, *split]) if not split or item[split[0]] == parameters.split]
    items = [item for item in items if item[image] is not None]
    if not items:
        raise NotFoundError(
            f"The split '{parameters.split}' contains no images.", hint="Check 'split', or set it to null."
        )
    counts = np.zeros((3, 256), np.int64)
    context.progress.start("Counting pixels", len(items))
    for item in items:
        pixels = read_image(context, item[image])
        for channel in range(3):
            counts[channel] += np.bincount(pixels[..., channel].reshape(-1), minlength=256)
        context.progress.advance(1, item.key)
    context.progress.finish()
    return {"images": len(items), **channel_moments(counts)}


def channel_moments(counts: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Compute mean and standard deviation per channel from histograms.

    Args:
        counts: the histogram of 8-bit values per channel, int64 (channels, 256).

    Returns:
        ``pixels``, and the lists ``mean`` and ``std``, scaled to 0 to 1.
    """
    values = np.arange(256) / 255
    total = counts.sum(axis=1)
    mean = counts @ values / total
    std = np.sqrt(((values[None] - mean[:, None]) ** 2 * counts).sum(axis=1) / total)
    return {"pixels": int(total[0]), "mean": mean.tolist(), "std": std.tolist()}
