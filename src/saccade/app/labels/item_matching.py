"""Which item of a label set an image of another source is."""

from __future__ import annotations

import unicodedata

from saccade.annotation.reader import LabelSetReader
from saccade.core.schema import ImageRef, Kind


class ItemMatcher:
    """Finds the items of a label set by key, or else by the file name of the image if only one item has it.

    Names are compared in a Unicode normal form: file systems and tools spell accents in different ways.

    Args:
        reader: the label set.
    """

    def __init__(self, reader: LabelSetReader) -> None:
        keys = reader.keys()
        self._keys = {_normal_form(key): key for key in keys}
        # "" marks names that several items have.
        self._names: dict[str, str] = {}
        self._stems: dict[str, str] = {}
        images = reader.schema.columns_of_kind(Kind.IMAGE)
        for item in reader.items([column.name for column in images[:1]]):
            image: ImageRef | None = item[images[0].name] if images else None
            if image is not None and image.frame is None:
                _add(self._names, _normal_form(image.name), item.key)
            _add(self._stems, _normal_form(item.key.rpartition("/")[2]), item.key)

    def match(self, key: str, file_name: str = "") -> str | None:
        """Return the key of the item; None if there is none, or several that it may be.

        Args:
            key: the key of the image in the source: its path without the extension.
            file_name: the name of the image file; "" if there is none.
        """
        normal_key = _normal_form(key)
        candidates = (
            self._keys.get(normal_key),
            self._names.get(_normal_form(file_name)),
            self._stems.get(normal_key.rpartition("/")[2]),
        )
        return next(filter(None, candidates), None)


def _add(index: dict[str, str], name: str, key: str) -> None:
    index[name] = "" if name in index else key


def _normal_form(name: str) -> str:
    return unicodedata.normalize("NFC", name)
