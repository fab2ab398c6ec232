"""An image of a COCO file that becomes a record."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.formats._common.json import Json


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One image that becomes a record.

    Attributes:
        image: the image's entry in the annotation file.
        file: path of the image in the source tree, or None if it is missing.
    """

    image_id: int | str
    image: Json
    key: str
    file: str | None
    split: str | None
