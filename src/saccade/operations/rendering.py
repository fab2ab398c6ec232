"""Render images with their annotations drawn into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.media.draw import add_caption, draw_objects, grid, side_by_side
from saccade.media.image import encode
from saccade.media.loader import read_image
from saccade.operations.base import Context, Parameters, per_item, resolve_column
from saccade.operations.images import IMAGE_LIBRARIES

_CAPTION_KINDS = (Kind.TEXT, Kind.LABEL, Kind.LABELS, Kind.NUMBER, Kind.TABLE)


class RenderParameters(Parameters):
    image: str | None = Field(None, description="The image column; default: the first one.")
    objects: list[str] | None = Field(
        None, description="The objects columns, each drawn into a picture of its own; default: all of them."
    )
    texts: list[str] = Field([], description="Columns that are written as a caption below the picture.")
    layout: Literal["side_by_side", "stacked"] = Field(
        "side_by_side", description="The arrangement of several pictures."
    )
    original: bool = Field(False, description="Place the image without annotations first.")
    column: str = Field("rendered", description="The output column.")
    max_size: int = Field(1280, ge=64, le=8192, description="The longest side of each picture, in pixels.")
    labels: bool = Field(True, description="Write the class of each object.")
    scores: bool = Field(True, description="Write the score of each object.")
    tracks: bool = Field(False, description="Colour objects by track, and write the track next to the class.")
    legend: bool = Field(False, description="Add a legend of the classes to each picture.")
    format: Literal["jpeg", "png"] = Field("jpeg", description="The format of the pictures.")


def _object_columns(parameters: RenderParameters, schema: Schema) -> list[Column]:
    if parameters.objects is None:
        return list(schema.columns_of_kind(Kind.OBJECTS))
    return [resolve_column(schema, name, Kind.OBJECTS) for name in parameters.objects]


def _input_columns(parameters: RenderParameters, schema: Schema) -> Sequence[str]:
    image = resolve_column(schema, parameters.image, Kind.IMAGE)
    objects = [column.name for column in _object_columns(parameters, schema)]
    return [image.name, *objects, *_caption_columns(parameters, schema)]


def _caption_columns(parameters: RenderParameters, schema: Schema) -> list[str]:
    return [resolve_column(schema, name, *_CAPTION_KINDS).name for name in parameters.texts]


@per_item(
    "render",
    parameters=RenderParameters,
    input_columns=_input_columns,
    output_columns=lambda parameters, schema: [Column(parameters.column, Kind.IMAGE)],
    libraries=IMAGE_LIBRARIES,
    prepared=True,
)
def render(parameters: RenderParameters, schema: Schema) -> Any:
    """Draw the objects of every geometry type into the image, with class or track names and a caption."""
    image = resolve_column(schema, parameters.image, Kind.IMAGE).name
    columns = _object_columns(parameters, schema)
    class_infos = {column.name: {info.name: info for info in column.classes} for column in columns}

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
                    classes=class_infos[column.name],
                    labels=parameters.labels,
                    scores=parameters.scores,
                    tracks=parameters.tracks,
                    legend=parameters.legend,
                )
            )
            titles.append(column.name if item[column.name] is not None else f"{column.name}: not labelled yet")
        panels = [_downscale(picture, parameters.max_size) for picture in pictures or [pixels]]
        if len(panels) == 1:
            canvas = panels[0]
        elif parameters.layout == "stacked":
            canvas = grid(panels, titles, columns=1)
        else:
            canvas = side_by_side(panels, titles)
        captions = [_caption(name, item[name]) for name in parameters.texts]
        canvas = add_caption(np.ascontiguousarray(canvas), captions)
        data = encode(np.ascontiguousarray(canvas), parameters.format)
        suffix = ".jpg" if parameters.format == "jpeg" else ".png"
        return {parameters.column: context.put_image(data, item.key.rpartition("/")[2] + suffix)}

    return draw


def _caption(name: str, value: Any) -> str:
    if value is None:
        return f"{name}: -"
    if isinstance(value, tuple):
        return f"{name}: {', '.join(map(str, value))}"
    return f"{name}: {value:g}" if isinstance(value, float) else f"{name}: {value}"


def _downscale(pixels: Any, max_side: int) -> Any:
    import cv2

    scale = max_side / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size_wh = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA)
