"""An image of an annotation file on its way to become a record."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.formats._common.json import Json


@dataclass(frozen=True, slots=True)
class Entry:
    """One image that will become a record.

    Attributes:
        image: what the file says of it.
        file: the image, where there is one.
    """

    image_id: int | str
    image: Json
    key: str
    file: str | None
    split: str | None
