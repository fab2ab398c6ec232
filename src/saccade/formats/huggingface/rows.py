"""Rows of Hugging Face datasets, from metadata files or Parquet files, as labels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from saccade.core.objects import AttributeValue, BoundsXYXY, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind
from saccade.formats._common.attributes import claim_object_id, scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.json import Json, to_float
from saccade.formats._common.names import SPLIT
from saccade.formats._common.paths import replace_surrogates
from saccade.formats.base import SizeWH
from saccade.formats.huggingface.metadata import FILE_NAME

METADATA = "metadata"
"""Name of the column for all fields that have no meaning in the format."""
SPLIT_ALIASES = {"train": "train", "validation": "val", "val": "val", "valid": "val", "dev": "val", "test": "test"}
"""Names of splits by the words for them in the names of folders and files."""
_KNOWN_FIELDS = ("objects", "label", FILE_NAME, "image", SPLIT)
_CLASS_FIELDS = ("category", "categories", "label", "labels", "class", "classes", "name", "class_name", "category_id")
_OBJECT_FIELDS = ("bbox", "class", "id", "score", "track", "attributes", "box_xyxy")


class RowReader:
    """Converts rows to labels, and collects the schema of all of them.

    Attributes:
        classes: names of the classes of objects so far, as keys in order.
    """

    def __init__(self, report: ConversionReport) -> None:
        self._report = report
        self.classes: dict[str, None] = {}
        self._labels: dict[str, None] = {}
        self._has_metadata = False

    def read(
        self, row: Json, class_names: Sequence[str] = (), label_names: Sequence[str] = ()
    ) -> tuple[list[Json] | None, dict[str, Any]]:
        """Convert a row.

        Args:
            class_names: names of the class numbers of objects; likewise ``label_names`` of the image's label.

        Returns:
            The raw objects for :meth:`objects`, or None if the image is unlabelled; and the values of other columns.
        """
        raw_objects = _split_objects(row.get("objects"))
        for raw in raw_objects or ():
            raw["class"] = _class_name(raw["class"], class_names)
            if raw["class"]:
                self.classes[raw["class"]] = None
        values: dict[str, Any] = {}
        if row.get("label") not in (None, ""):
            values["label"] = _class_name(row["label"], label_names)
            self._labels[values["label"]] = None
        if metadata := _metadata_of(row):
            values[METADATA] = metadata
            self._has_metadata = True
        return raw_objects, values

    def columns(self) -> list[Column]:
        """Return the further columns that the rows so far have values for."""
        columns = []
        if self._labels:
            columns.append(Column("label", Kind.LABEL, tuple(map(ClassInfo, self._labels))))
        if self._has_metadata:
            columns.append(Column(METADATA, Kind.TABLE))
        return columns

    def objects(self, raw_objects: Sequence[Json], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        used_ids: set[str] = set()
        for position, raw in enumerate(raw_objects, 1):
            object_id = claim_object_id(str(raw.get("id") or position), used_ids)
            if not raw["class"]:
                self._report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id)
                continue
            box = fit_box(_bounds_xyxy(raw), size_wh, self._report, key=key, object_id=object_id)
            if box is None:
                continue
            score = to_float(raw.get("score"))
            track = raw.get("track")
            yield Object(
                object_id,
                raw["class"],
                box,
                score if math.isfinite(score) else None,
                str(track) if track else None,
                self._attributes(raw, key, object_id),
            )

    def _attributes(self, raw: Json, key: str, object_id: str) -> dict[str, AttributeValue]:
        attributes = {name: value for name, value in raw.items() if name not in _OBJECT_FIELDS}
        stated: Any = raw.get("attributes")
        if isinstance(stated, str):
            stated = _parse_json(stated)
        if isinstance(stated, dict):
            attributes |= stated
        present = {name: value for name, value in attributes.items() if value is not None}
        return scalar_attributes(present, self._report, key=key, object_id=object_id, finite=False)


def _metadata_of(row: Json) -> Json:
    """Return the fields without a meaning in the format, or the one mapping in which Saccade writes them."""
    fields = {name: value for name, value in row.items() if name not in _KNOWN_FIELDS and value not in (None, "")}
    if fields.keys() != {METADATA}:
        return fields
    stated = fields[METADATA]
    # In Parquet files, it is text.
    mapping = _parse_json(stated) if isinstance(stated, str) else stated
    return mapping if isinstance(mapping, dict) else fields


def _bounds_xyxy(raw: Json) -> BoundsXYXY:
    # Only Saccade writes box_xyxy: from x + width, x2 may not be computed exactly.
    if isinstance(raw.get("box_xyxy"), list):
        return _four_numbers(raw["box_xyxy"])
    x, y, width, height = _four_numbers(raw.get("bbox"))
    return (x, y, x + width, y + height)


def _four_numbers(values: Any) -> tuple[float, float, float, float]:
    if not isinstance(values, list) or len(values) != 4:
        return (math.nan, math.nan, math.nan, math.nan)
    first, second, third, fourth = map(to_float, values)
    return (first, second, third, fourth)


def _split_objects(objects: Any) -> list[Json] | None:
    """Return objects as a list of mappings with the field ``class``; None if there are none stated.

    Args:
        objects: a list of mappings, a mapping of lists, or either as JSON text, as in a cell of CSV.
    """
    if isinstance(objects, str):
        objects = _parse_json(objects)
    if isinstance(objects, list):
        raw_objects = [dict(element) for element in objects if isinstance(element, dict)]
    elif isinstance(objects, dict):
        columns = {name: value for name, value in objects.items() if isinstance(value, list)}
        count = max(map(len, columns.values()), default=0)
        raw_objects = [
            {name: values[index] for name, values in columns.items() if index < len(values)} for index in range(count)
        ]
    else:
        return None
    for raw in raw_objects:
        field = next((name for name in _CLASS_FIELDS if name in raw), None)
        raw["class"] = None if field is None else raw.pop(field)
    return raw_objects


def _parse_json(text: str) -> Any:
    """Parse JSON; None if the text is not valid."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _class_name(value: Any, names: Sequence[str]) -> str:
    """Return the name of a class that is stated as text or number; "" if it has none.

    Args:
        names: names by number; if there are none, a name is made of the number.
    """
    if isinstance(value, bool) or value is None or isinstance(value, list | dict):
        return ""
    if not isinstance(value, int):
        return replace_surrogates(str(value))
    if not names:
        return f"class-{value}"
    return names[value] if 0 <= value < len(names) else ""
