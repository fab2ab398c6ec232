"""Images cut into tiles with their labels, and labels of tiles put together again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, model_validator

from saccade.core.errors import InvalidValueError
from saccade.core.geometry.nms import without_overlap
from saccade.core.geometry.tiling import in_window, shifted
from saccade.core.objects import Object
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.media.tiles import cut_tiles
from saccade.operations.base import Context, Parameters, Port, by_group, column_of, one_to_many

TILE_OF, TILE = "tile_of", "tile"
"""The columns that say of which item a tile is, and where it lies there."""
_LIBRARIES = ("numpy", "opencv-python-headless", "pyvips")


class TileParameters(Parameters):
    size: int = Field(640, ge=16, le=16_384, description="The side of a tile in pixels.")
    overlap: int = Field(0, ge=0, description="How many pixels a tile shares with the next.")
    min_visible: float = Field(
        0.3, ge=0, le=1, description="An object of which a smaller share lies in a tile is left out there."
    )
    keep_empty: bool = Field(True, description="Keep tiles without objects.")
    image: str | None = Field(None, description="The column of the image; the first one where none is named.")
    format: Literal["auto", "jpeg", "png", "tiff"] = Field(
        "auto", description="Of the tiles; auto: JPEG of JPEG, PNG of other 8-bit images, TIFF with all values else."
    )
    quality: int = Field(95, ge=1, le=100, description="Of JPEG tiles.")

    @model_validator(mode="after")
    def _check(self) -> TileParameters:
        if self.overlap >= self.size:
            raise ValueError(f"an overlap of {self.overlap} pixels is to be smaller than a tile of {self.size}")
        return self


def _reads(parameters: TileParameters, schema: Schema) -> Sequence[str]:
    image = column_of(schema, parameters.image, Kind.IMAGE)
    return [image.name, *(column.name for column in schema.of_kind(Kind.OBJECTS))]


def _writes(parameters: TileParameters, schema: Schema) -> Sequence[Column]:
    kept = [schema[name] for name in _reads(parameters, schema)]
    return [*kept, Column(TILE_OF, Kind.TEXT), Column(TILE, Kind.TABLE)]


@one_to_many("tile", parameters=TileParameters, reads=_reads, writes=_writes, libraries=_LIBRARIES, bound=True)
def tile(parameters: TileParameters, schema: Schema) -> Any:
    """Cut images into tiles; objects are cut with them, and every tile knows where it comes from.

    The last tile of a row ends at the image's edge. A giant image is read from top to bottom and never held.
    """
    image = column_of(schema, parameters.image, Kind.IMAGE).name
    labels = [column.name for column in schema.of_kind(Kind.OBJECTS)]

    def cut(item: Item, context: Context) -> Iterator[Item]:
        ref = item[image]
        if ref is None:
            return
        found = cut_tiles(
            context, ref, parameters.size, parameters.overlap, format=parameters.format, quality=parameters.quality
        )
        for one in found:
            window = (one.x, one.y, one.width, one.height)
            objects = {name: in_window(item[name], window, parameters.min_visible) for name in labels}
            if labels and not parameters.keep_empty and not any(objects.values()):
                continue
            key = f"{item.key}_{one.x}_{one.y}"
            place = {"x": one.x, "y": one.y, "width": one.width, "height": one.height}
            kept = context.keep_image(one.data, f"{key.rpartition('/')[2]}{_suffix(one.data)}")
            yield Item(key, {image: kept, **objects, TILE_OF: item.key, TILE: {**place, "of": [ref.width, ref.height]}})

    return cut


def _suffix(data: bytes) -> str:
    return {b"\xff\xd8": ".jpg", b"\x89P": ".png"}.get(data[:2], ".tif")


class UntileParameters(Parameters):
    objects: str | None = Field(None, description="The column of objects; the first one where none is named.")
    iou: float = Field(
        0.5, gt=0, le=1, description="Objects of one class that overlap more, in neighbouring tiles, are one."
    )
    measure: Literal["iou", "smaller"] = Field(
        "smaller", description="Overlap as a share of both together (iou), or of the smaller one."
    )


def _reads_tiles(parameters: UntileParameters, schema: Schema) -> Sequence[str]:
    if TILE not in schema or TILE_OF not in schema:
        raise InvalidValueError("These items are no tiles.", hint="Put a step 'tile' before.")
    return [column_of(schema, parameters.objects, Kind.OBJECTS).name, TILE_OF, TILE]


def _writes_objects(parameters: UntileParameters, schema: Schema) -> Sequence[Column]:
    return [column_of(schema, parameters.objects, Kind.OBJECTS)]


@by_group(
    "untile",
    parameters=UntileParameters,
    inputs=(Port("data", help="The tiles."), Port("whole", help="The items that were cut; their other columns stay.")),
    reads=_reads_tiles,
    writes=_writes_objects,
    group_by=lambda parameters: TILE_OF,
    bound=True,
)
def untile(parameters: UntileParameters, schema: Schema) -> Any:
    """Put the objects of tiles together on the images that the tiles were cut from; what tiles share counts once."""
    column = column_of(schema, parameters.objects, Kind.OBJECTS).name

    def join(whole: Item | None, tiles: list[Item], context: Context) -> Mapping[str, Any]:
        if not tiles or all(one[column] is None for one in tiles):
            return {column: None}
        found: list[Object] = []
        for at, one in enumerate(tiles):
            place = one[TILE]
            size = (int(place["of"][0]), int(place["of"][1]))
            for thing in one[column] or ():
                moved = shifted(thing, place["x"], place["y"], size)
                found.append(replace(moved, id=f"{at}-{thing.id}"))
        kept = without_overlap(found, parameters.iou, measure=parameters.measure)
        return {column: tuple(replace(one, id=str(number)) for number, one in enumerate(kept, 1))}

    return join
