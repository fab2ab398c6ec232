"""Reading VIA."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.objects import AttributeValue, Geometry, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Column, Kind
from saccade.formats._common.attributes import scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.frames import to_size_wh
from saccade.formats._common.json import Json, get_mapping, to_float
from saccade.formats._common.per_image import PerImageReader
from saccade.formats._common.source_files import mark_rejected
from saccade.formats.base import RecordStream, SizeWH
from saccade.formats.via.files import (
    CLASS_ATTRIBUTES,
    FILE_ATTRIBUTES,
    has_project,
    iter_image_entries,
    region_attributes,
    regions_of,
)
from saccade.formats.via.shapes import READERS


@dataclass(frozen=True)
class ViaReadOptions:
    """How to read.

    Attributes:
        attribute: the region attribute that is the class.
    """

    attribute: str = ""


class ViaReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport, options: ViaReadOptions) -> None:
        super().__init__(source, report)
        self._options = options

    def open(self) -> RecordStream:
        image_count = 0
        has_file_attributes = False
        for file in self.tree.files_below("", (".json",)):
            folder = file.rpartition("/")[0]
            # Until an image is seen in it; a project without images is reported in any case.
            has_images = False
            for entry in iter_image_entries(self.tree.path(file), self.report):
                has_images = True
                labels = self.labels_for(str(entry["filename"]), folder, location=file)
                if labels is None:
                    continue
                image_count += 1
                # Several files may name the same image.
                labels.raw = [*(labels.raw or []), *regions_of(entry)]
                fields = get_mapping(entry, "file_attributes")
                labels.stated_wh = labels.stated_wh or to_size_wh(fields.get("width"), fields.get("height"))
                file_attributes = {name: value for name, value in fields.items() if value not in ("", {})}
                if file_attributes:
                    labels.values[FILE_ATTRIBUTES] = file_attributes
                    has_file_attributes = True
            if not has_images:
                mark_rejected(self.tree.path(file))
        if not image_count and not has_project(self.tree):
            raise FormatError(f"No JSON file below {self.tree.root} has images with regions.")
        builder = _ObjectBuilder(_class_attribute(self._options.attribute, self._regions()), self.report)
        names = {builder.class_of(region) for region in self._regions()} - {""}
        columns = [Column(FILE_ATTRIBUTES, Kind.TABLE)] if has_file_attributes else []
        return self.stream(sorted(names), builder.build, columns=columns)

    def _regions(self) -> Iterator[Json]:
        for _, labels in self.labels.items():
            yield from labels.raw


def _class_attribute(requested: str, regions: Iterable[Json]) -> str:
    names = list(dict.fromkeys(name for region in regions for name in region_attributes(region)))
    if requested:
        if names and requested not in names:
            raise FormatError(f"No region has the attribute '{requested}'.", hint=f"There are: {', '.join(names)}.")
        return requested
    # Of names that differ only in case, the first one counts.
    by_lower = {name.lower(): name for name in reversed(names)}
    usual_name = next((by_lower[name] for name in CLASS_ATTRIBUTES if name in by_lower), None)
    if usual_name is not None:
        return usual_name
    return names[0] if len(names) == 1 else "class"


class _ObjectBuilder:
    """Builds objects from regions.

    Args:
        class_attribute: the region attribute that is the class.
    """

    def __init__(self, class_attribute: str, report: ConversionReport) -> None:
        self._class_attribute = class_attribute
        self._report = report

    def class_of(self, region: Json) -> str:
        value = region_attributes(region).get(self._class_attribute)
        if isinstance(value, dict):
            return _join_checked(value)
        return value if isinstance(value, str) else ""

    def build(self, regions: Sequence[Json], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        for position, region in enumerate(regions, 1):
            object_id = str(position)
            name = self.class_of(region)
            if not name:
                self._report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id)
                continue
            try:
                geometry = self._geometry(get_mapping(region, "shape_attributes"), key, object_id, size_wh)
            except InvalidValueError as error:
                reason = "object without a usable shape"
                self._report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=str(error)[:200])
                continue
            if geometry is not None:
                yield Object(object_id, name, geometry, None, None, self._attributes(region, key, object_id))

    def _geometry(self, shape: Json, key: str, object_id: str, size_wh: SizeWH | None) -> Geometry | None:
        shape_name = shape.get("name")
        if shape_name == "rect":
            x, y, width, height = (to_float(shape.get(name)) for name in ("x", "y", "width", "height"))
            return fit_box((x, y, x + width, y + height), size_wh, self._report, key=key, object_id=object_id)
        if isinstance(shape_name, str) and shape_name in READERS:
            return READERS[shape_name](shape)
        reason = "shape of a kind that is not known"
        detail = repr(shape_name)[:100]
        self._report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=detail)
        return None

    def _attributes(self, region: Json, key: str, object_id: str) -> dict[str, AttributeValue]:
        attributes: dict[str, Any] = {
            name: _join_checked(value) if isinstance(value, dict) else value
            for name, value in region_attributes(region).items()
            if name != self._class_attribute and value not in ("", None)
        }
        return scalar_attributes(attributes, self._report, key=key, object_id=object_id)


def _join_checked(checkboxes: Json) -> str:
    return ", ".join(str(name) for name, is_checked in checkboxes.items() if is_checked)
