"""Operations that make other images: crop, resize with padding; labels go with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from saccade.core.errors import NotFoundError
from saccade.core.geometry.tiling import in_window
from saccade.core.geometry.transforms import transform_geometry
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.media.colors import rgb_of
from saccade.media.image import encode
from saccade.media.loader import read_image
from saccade.operations.base import (
    Context,
    Inputs,
    Parameters,
    PortType,
    column_of,
    on_whole,
    one_to_many,
    per_item,
    the_dataset,
)

_LIBRARIES = ("numpy", "opencv-python-headless", "pillow")
Pixels = npt.NDArray[np.uint8]


class OnImage(Parameters):
    """What all operations that make images take."""

    image: str | None = Field(None, description="The column of the image; the first one where none is named.")
    format: Literal["jpeg", "png"] = Field("png", description="Of the images that are made, with 8 bits a channel.")
    quality: int = Field(95, ge=1, le=100, description="Of JPEGs.")


def _image(parameters: OnImage, schema: Schema) -> str:
    return column_of(schema, parameters.image, Kind.IMAGE).name


def _labels(schema: Schema) -> list[str]:
    return [column.name for column in schema.of_kind(Kind.OBJECTS)]


def _reads(parameters: OnImage, schema: Schema) -> Sequence[str]:
    return [_image(parameters, schema), *_labels(schema)]


def _writes(parameters: OnImage, schema: Schema) -> Sequence[Column]:
    return [schema[name] for name in _reads(parameters, schema)]


def _kept(context: Context, pixels: Pixels, key: str, parameters: OnImage) -> Any:
    suffix = ".jpg" if parameters.format == "jpeg" else ".png"
    data = encode(np.ascontiguousarray(pixels), parameters.format, parameters.quality)
    return context.keep_image(data, key.rpartition("/")[2] + suffix)


class CropParameters(OnImage):
    around: Literal["box", "objects"] = Field(
        "box", description="box: one part, by 'box'; objects: a picture around each object."
    )
    box: tuple[float, float, float, float] | None = Field(
        None,
        description="Left, top, right, bottom of the part, in pixels, or as shares of the sides where all are ≤ 1.",
    )
    margin: float = Field(0.1, ge=0, description="What is added around an object on each side, as a share of it.")
    min_visible: float = Field(0.3, ge=0, le=1, description="An object that is seen less is left out.")
    objects: str | None = Field(None, description="The column of objects to crop around.")


@one_to_many("crop", parameters=CropParameters, reads=_reads, writes=_writes, libraries=_LIBRARIES, bound=True)
def crop(parameters: CropParameters, schema: Schema) -> Any:
    """Cut a part out of each image, or a picture around each object."""
    image, labels = _image(parameters, schema), _labels(schema)
    if parameters.around == "box" and parameters.box is None:
        raise ValueError("'box' says which part to cut out")
    column = column_of(schema, parameters.objects, Kind.OBJECTS).name if parameters.around == "objects" else None

    def windows(item: Item, size: tuple[int, int]) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
        if column is None:
            assert parameters.box is not None
            left, top, right, bottom = parameters.box
            wide, high = size if max(parameters.box) <= 1 else (1, 1)
            yield item.key, (left * wide, top * high, right * wide, bottom * high)
            return
        for one in item[column] or ():
            x1, y1, x2, y2 = one.geometry.bounds_xyxy()
            dx, dy = (x2 - x1) * parameters.margin, (y2 - y1) * parameters.margin
            yield f"{item.key}_{one.id}", (x1 - dx, y1 - dy, x2 + dx, y2 + dy)

    def cut(item: Item, context: Context) -> Iterator[Item]:
        if item[image] is None:
            return
        pixels = read_image(context, item[image])
        height, width = pixels.shape[:2]
        for key, (x1, y1, x2, y2) in windows(item, (width, height)):
            left, top = max(0, int(np.floor(x1))), max(0, int(np.floor(y1)))
            right, bottom = min(width, int(np.ceil(x2))), min(height, int(np.ceil(y2)))
            if right <= left or bottom <= top:
                continue
            window = (left, top, right - left, bottom - top)
            part = _kept(context, pixels[top:bottom, left:right], key, parameters)
            yield Item(key, {image: part, **{n: in_window(item[n], window, parameters.min_visible) for n in labels}})

    return cut


class ResizeParameters(OnImage):
    width: int | None = Field(None, ge=1, le=16_384, description="In pixels; follows from the height where left out.")
    height: int | None = Field(None, ge=1, le=16_384, description="In pixels; follows from the width where left out.")
    fit: Literal["stretch", "inside", "pad"] = Field(
        "inside", description="stretch: exactly that size; inside: at most, with its proportions; pad: and filled up."
    )
    enlarge: bool = Field(True, description="Make smaller images larger too.")
    color: str = Field("#808080", pattern="^#[0-9a-fA-F]{6}$", description="What is filled up with.")


@per_item("resize", parameters=ResizeParameters, reads=_reads, writes=_writes, libraries=_LIBRARIES, bound=True)
def resize(parameters: ResizeParameters, schema: Schema) -> Any:
    """Scale images and their objects, and fill them up to a size where asked for."""
    image, labels = _image(parameters, schema), _labels(schema)
    if parameters.width is None and parameters.height is None:
        raise ValueError("give 'width', 'height' or both")

    def scale(item: Item, context: Context) -> Mapping[str, Any]:
        if item[image] is None:
            return {image: None, **{name: item[name] for name in labels}}
        pixels = read_image(context, item[image])
        made, matrix = _resized(pixels, parameters)
        size = (made.shape[1], made.shape[0])
        values: dict[str, Any] = {image: _kept(context, made, item.key, parameters)}
        for name in labels:
            objects = item[name]
            values[name] = (
                None
                if objects is None
                else tuple(replace(one, geometry=transform_geometry(one.geometry, matrix, size)) for one in objects)
            )
        return values

    return scale


def _resized(pixels: Pixels, parameters: ResizeParameters) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """The scaled image, and the matrix from its old coordinates to the new ones."""
    import cv2

    height, width = pixels.shape[:2]
    wide, high = parameters.width, parameters.height
    if parameters.fit == "stretch" and wide is not None and high is not None:
        sx, sy = wide / width, high / height
    else:
        sx = sy = min(wide / width if wide else np.inf, high / height if high else np.inf)
    if not parameters.enlarge:
        sx, sy = min(1.0, sx), min(1.0, sy)
    size = max(1, round(width * sx)), max(1, round(height * sy))
    sx, sy = size[0] / width, size[1] / height
    way = cv2.INTER_AREA if sx < 1 or sy < 1 else cv2.INTER_LINEAR
    made = pixels if size == (width, height) else np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)
    left = top = 0
    if parameters.fit == "pad":
        full = (wide or size[0], high or size[1])
        left, top = (full[0] - size[0]) // 2, (full[1] - size[1]) // 2
        canvas = np.empty((full[1], full[0], 3), np.uint8)
        canvas[:] = rgb_of(parameters.color)
        canvas[top : top + size[1], left : left + size[0]] = made
        made = canvas
    return made, np.array([[sx, 0, left], [0, sy, top]])


class ThumbprintParameters(Parameters):
    image: str | None = Field(None, description="The column of the image; the first one where none is named.")
    column: str = Field("phash", description="The column for the result.")


@per_item(
    "phash",
    parameters=ThumbprintParameters,
    reads=lambda parameters, schema: [column_of(schema, parameters.image, Kind.IMAGE).name],
    writes=lambda parameters, schema: [Column(parameters.column, Kind.TEXT)],
    libraries=_LIBRARIES,
    bound=True,
)
def phash(parameters: ThumbprintParameters, schema: Schema) -> Any:
    """A hash of what an image looks like, as 16 hexadecimal digits; like images differ in few of its 64 bits.

    Of the 8 x 8 lowest frequencies of the grey image at 32 x 32 pixels each bit says whether it is above the median,
    as Zauner (2010) describes it.
    """
    name = column_of(schema, parameters.image, Kind.IMAGE).name

    def fingerprint(item: Item, context: Context) -> Mapping[str, Any]:
        import cv2

        if item[name] is None:
            return {parameters.column: None}
        grey = read_image(context, item[name], mode="L", max_size=512).astype(np.float32)
        small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
        low = cv2.dct(small)[:8, :8].reshape(-1)
        bits = np.packbits(low > np.median(low[1:]))
        return {parameters.column: bits.tobytes().hex()}

    return fingerprint


class PixelStatisticsParameters(Parameters):
    image: str | None = Field(None, description="The column of the image; the first one where none is named.")
    split: str | None = Field("train", description="Only the items of this split; all where it is null.")
    split_column: str = Field("split", description="The column that names each item's split.")


def _reads_pixels(parameters: PixelStatisticsParameters, schema: Schema) -> Sequence[str]:
    image = column_of(schema, parameters.image, Kind.IMAGE).name
    return [image] if parameters.split is None else [image, schema[parameters.split_column].name]


@on_whole(
    "pixel_statistics",
    parameters=PixelStatisticsParameters,
    output=PortType.VALUE,
    reads=_reads_pixels,
    libraries=_LIBRARIES,
)
def pixel_statistics(inputs: Inputs, parameters: PixelStatisticsParameters, context: Context) -> dict[str, Any]:
    """Mean and standard deviation of red, green and blue from 0 to 1, over all pixels, for a recipe's `model.input`.

    Every pixel counts the same, so large images count for more. Only the training split is looked at unless told.
    """
    reader = the_dataset(inputs)
    image, *split = _reads_pixels(parameters, reader.schema)
    items = [item for item in reader.items([image, *split]) if not split or item[split[0]] == parameters.split]
    items = [item for item in items if item[image] is not None]
    if not items:
        raise NotFoundError(f"No image is in the split '{parameters.split}'.", hint="Check 'split', or set it to null.")
    counts = np.zeros((3, 256), np.int64)
    context.progress.start("Counting pixels", len(items))
    for item in items:
        pixels = read_image(context, item[image])
        for channel in range(3):
            counts[channel] += np.bincount(pixels[..., channel].reshape(-1), minlength=256)
        context.progress.advance(1, item.key)
    context.progress.finish()
    return {"images": len(items), **moments(counts)}


def moments(counts: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Mean and standard deviation by channel, of values from 0 to 1, from their (channels, 256) counts."""
    values = np.arange(256) / 255
    total = counts.sum(axis=1)
    mean = counts @ values / total
    spread = np.sqrt(((values[None] - mean[:, None]) ** 2 * counts).sum(axis=1) / total)
    return {"pixels": int(total[0]), "mean": mean.tolist(), "std": spread.tolist()}
