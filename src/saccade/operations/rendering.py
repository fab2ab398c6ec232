"""Pictures with what is labelled drawn into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.media.draw import draw_objects, grid, side_by_side, with_caption
from saccade.media.image import encode
from saccade.media.loader import read_image
from saccade.operations.base import Context, Parameters, column_of, per_item

_WRITTEN = (Kind.TEXT, Kind.LABEL, Kind.LABELS, Kind.NUMBER, Kind.TABLE)
_LIBRARIES = ("numpy", "opencv-python-headless", "pillow")


class RenderParameters(Parameters):
    image: str | None = Field(None, description="The column of the image; the first one where none is named.")
    objects: list[str] | None = Field(
        None, description="The columns of objects, each a picture of its own; all where none is named."
    )
    texts: list[str] = Field(
        [], description="Columns of texts, labels, numbers and the like that are written beneath the picture."
    )
    layout: Literal["side_by_side", "stacked"] = Field(
        "side_by_side", description="How pictures of several columns stand together."
    )
    original: bool = Field(False, description="Put the picture without labels before them.")
    column: str = Field("rendered", description="The column for the pictures.")
    max_size: int = Field(1280, ge=64, le=8192, description="The longest side of each picture, in pixels.")
    labels: bool = Field(True, description="Write the class of each object.")
    scores: bool = Field(True, description="And its score.")
    tracks: bool = Field(False, description="Colour objects by their track, and write its name with the class.")
    legend: bool = Field(False, description="Put a legend of the classes into each picture.")
    format: Literal["jpeg", "png"] = Field("jpeg", description="Of the pictures.")


def _columns(parameters: RenderParameters, schema: Schema) -> list[Column]:
    if parameters.objects is None:
        return list(schema.of_kind(Kind.OBJECTS))
    return [column_of(schema, name, Kind.OBJECTS) for name in parameters.objects]


def _reads(parameters: RenderParameters, schema: Schema) -> Sequence[str]:
    image = column_of(schema, parameters.image, Kind.IMAGE)
    return [image.name, *(column.name for column in _columns(parameters, schema)), *_texts(parameters, schema)]


def _texts(parameters: RenderParameters, schema: Schema) -> list[str]:
    return [column_of(schema, name, *_WRITTEN).name for name in parameters.texts]


@per_item(
    "render",
    parameters=RenderParameters,
    reads=_reads,
    writes=lambda parameters, schema: [Column(parameters.column, Kind.IMAGE)],
    libraries=_LIBRARIES,
    bound=True,
)
def render(parameters: RenderParameters, schema: Schema) -> Any:
    """Draw boxes, turned boxes, polygons, masks, points, lines and skeletons with class or track, and write texts."""
    image = column_of(schema, parameters.image, Kind.IMAGE).name
    columns = _columns(parameters, schema)
    infos = {column.name: {info.name: info for info in column.classes} for column in columns}

    def draw(item: Item, context: Context) -> Mapping[str, Any]:
        if item[image] is None:
            return {parameters.column: None}
        pixels = read_image(context, item[image])
        pictures = [pixels] if parameters.original else []
        titles = [image] if parameters.original else []
        for column in columns:
            pictures.append(
                draw_objects(
                    pixels,
                    item[column.name] or (),
                    classes=infos[column.name],
                    labels=parameters.labels,
                    scores=parameters.scores,
                    tracks=parameters.tracks,
                    legend=parameters.legend,
                )
            )
            titles.append(column.name if item[column.name] is not None else f"{column.name}: not labelled yet")
        made = [_small(one, parameters.max_size) for one in pictures or [pixels]]
        if len(made) == 1:
            whole = made[0]
        elif parameters.layout == "stacked":
            whole = grid(made, titles, columns=1)
        else:
            whole = side_by_side(made, titles)
        whole = with_caption(np.ascontiguousarray(whole), [_line(name, item[name]) for name in parameters.texts])
        data = encode(np.ascontiguousarray(whole), parameters.format)
        suffix = ".jpg" if parameters.format == "jpeg" else ".png"
        return {parameters.column: context.keep_image(data, item.key.rpartition("/")[2] + suffix)}

    return draw


def _line(name: str, value: Any) -> str:
    if value is None:
        return f"{name}: -"
    if isinstance(value, tuple):
        return f"{name}: {', '.join(map(str, value))}"
    return f"{name}: {value:g}" if isinstance(value, float) else f"{name}: {value}"


def _small(pixels: Any, most: int) -> Any:
    import cv2

    scale = most / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
