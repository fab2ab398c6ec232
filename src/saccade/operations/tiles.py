"""Cut images into tiles with their labels, and stitch the labels of tiles together again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, model_validator

from saccade.core.errors import InvalidValueError
from saccade.core.geometry.nms import non_max_suppression
from saccade.core.geometry.tiling import clip_to_window, translate
from saccade.core.objects import Object
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.media.tiles import cut_tiles
from saccade.operations.base import Context, Parameters, Port, by_group, one_to_many, resolve_column

TILE_SOURCE_COLUMN = "tile_of"
"""The column with the key of the item that a tile was cut from."""
TILE_WINDOW_COLUMN = "tile"
"""The column with a tile's window: ``x``, ``y``, ``width``, ``height``, and ``of``, the image's [width, height]."""
_LIBRARIES = ("numpy", "opencv-python-headless", "pyvips")


class TileParameters(Parameters):
    size: int = Field(640, ge=16, le=16_384, description="The side of a tile, in pixels.")
    overlap: int = Field(0, ge=0, description="The overlap of neighbouring tiles, in pixels.")
    min_visible: float = Field(
        0.3, ge=0, le=1, description="Drop objects of which a smaller share of the area lies in the tile."
    )
    keep_empty: bool = Field(True, description="Keep tiles without objects.")
    image: str | None = Field(None, description="The image column; default: the first one.")
    format: Literal["auto", "jpeg", "png", "tiff"] = Field(
        "auto",
        description="The format of the tiles; auto: JPEG for JPEG images, PNG for other 8-bit images, otherwise TIFF"
        " with all values.",
    )
    quality: int = Field(95, ge=1, le=100, description="The quality of JPEG tiles.")

    @model_validator(mode="after")
    def _check(self) -> TileParameters:
        if self.overlap >= self.size:
            raise ValueError(f"the overlap of {self.overlap} pixels must be smaller than the tile size of {self.size}")
        return self


def _input_columns(parameters: TileParameters, schema: Schema) -> Sequence[str]:
    image = resolve_column(schema, parameters.image, Kind.IMAGE)
    return [image.name, *(column.name for column in schema.columns_of_kind(Kind.OBJECTS))]


def _output_columns(parameters: TileParameters, schema: Schema) -> Sequence[Column]:
    copied = [schema[name] for name in _input_columns(parameters, schema)]
    return [*copied, Column(TILE_SOURCE_COLUMN, Kind.TEXT), Column(TILE_WINDOW_COLUMN, Kind.TABLE)]


@one_to_many(
    "tile",
    parameters=TileParameters,
    input_columns=_input_columns,
    output_columns=_output_columns,
    libraries=_LIBRARIES,
    prepared=True,
)
def tile(parameters: TileParameters, schema: Schema) -> Any:
    """Cut images into tiles with their objects; each tile records its source image and position.

    The last tile of a row or column ends at the image's edge. A giant image is read from top to bottom and is never
    held in memory as a whole.
    """
    image_column = resolve_column(schema, parameters.image, Kind.IMAGE).name
    object_columns = [column.name for column in schema.columns_of_kind(Kind.OBJECTS)]

    def cut(item: Item, context: Context) -> Iterator[Item]:
        ref = item[image_column]
        if ref is None:
            return
        tiles = cut_tiles(
            context, ref, parameters.size, parameters.overlap, format=parameters.format, quality=parameters.quality
        )
        for piece in tiles:
            window_xywh = (piece.x, piece.y, piece.width, piece.height)
            objects = {name: clip_to_window(item[name], window_xywh, parameters.min_visible) for name in object_columns}
            if object_columns and not parameters.keep_empty and not any(objects.values()):
                continue
            key = f"{item.key}_{piece.x}_{piece.y}"
            window = {"x": piece.x, "y": piece.y, "width": piece.width, "height": piece.height}
            image = context.put_image(piece.data, f"{key.rpartition('/')[2]}{_file_suffix(piece.data)}")
            yield Item(
                key,
                {
                    image_column: image,
                    **objects,
                    TILE_SOURCE_COLUMN: item.key,
                    TILE_WINDOW_COLUMN: {**window, "of": [ref.width, ref.height]},
                },
            )

    return cut


def _file_suffix(data: bytes) -> str:
    return {b"\xff\xd8": ".jpg", b"\x89P": ".png"}.get(data[:2], ".tif")


class UntileParameters(Parameters):
    objects: str | None = Field(None, description="The objects column; default: the first one.")
    iou: float = Field(
        0.5, gt=0, le=1, description="Merge objects of one class from neighbouring tiles that overlap more than this."
    )
    measure: Literal["iou", "smaller"] = Field(
        "smaller", description="Measure of overlap: IoU, or the intersection as a share of the smaller box."
    )


def _tile_columns(parameters: UntileParameters, schema: Schema) -> Sequence[str]:
    if TILE_WINDOW_COLUMN not in schema or TILE_SOURCE_COLUMN not in schema:
        raise InvalidValueError("The items are not tiles.", hint="Add a 'tile' step before this one.")
    return [resolve_column(schema, parameters.objects, Kind.OBJECTS).name, TILE_SOURCE_COLUMN, TILE_WINDOW_COLUMN]


def _objects_output(parameters: UntileParameters, schema: Schema) -> Sequence[Column]:
    return [resolve_column(schema, parameters.objects, Kind.OBJECTS)]


@by_group(
    "untile",
    parameters=UntileParameters,
    inputs=(
        Port("data", help="The tiles."),
        Port("whole", help="The items that were cut into tiles; their other columns are kept."),
    ),
    input_columns=_tile_columns,
    output_columns=_objects_output,
    group_by=lambda parameters: TILE_SOURCE_COLUMN,
    prepared=True,
)
def untile(parameters: UntileParameters, schema: Schema) -> Any:
    """Stitch the objects of tiles together on the source images; objects found in several tiles count once."""
    column = resolve_column(schema, parameters.objects, Kind.OBJECTS).name

    def stitch(source: Item | None, tiles: list[Item], context: Context) -> Mapping[str, Any]:
        if not tiles or all(piece[column] is None for piece in tiles):
            return {column: None}
        objects: list[Object] = []
        for number, piece in enumerate(tiles):
            window = piece[TILE_WINDOW_COLUMN]
            size_wh = (int(window["of"][0]), int(window["of"][1]))
            for obj in piece[column] or ():
                moved = translate(obj, window["x"], window["y"], size_wh)
                objects.append(replace(moved, id=f"{number}-{obj.id}"))
        merged = non_max_suppression(objects, parameters.iou, measure=parameters.measure)
        return {column: tuple(replace(obj, id=str(number)) for number, obj in enumerate(merged, 1))}

    return stitch
