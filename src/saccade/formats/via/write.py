"""Writing VIA."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from saccade.core.objects import Geometry, Keypoints, Mask, Object, Points, RotatedBox
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.geometry import coerce_geometry, drop_object, is_single_ring
from saccade.formats._common.json import Json, JsonArrayWriter
from saccade.formats._common.losses import report_renumbered
from saccade.formats._common.per_image import PerImageWriter, WrittenImage
from saccade.formats.base import SizeWH
from saccade.formats.via.files import CLASS_ATTRIBUTES, FILE_ATTRIBUTES
from saccade.formats.via.shapes import write_shape

_encode = json.JSONEncoder(ensure_ascii=False).encode


class ViaWriter(PerImageWriter):
    """Writes the project image by image; only the list of image ids, which follows, is kept in a temporary file."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, extra={FILE_ATTRIBUTES: Kind.TABLE})
        self._renumbered = 0
        self._image_ids = JsonArrayWriter()
        path = destination / "via_project.json"
        self._file = self._open_files.enter_context(path.open("w", encoding="utf-8"))
        settings = {"ui": {}, "core": {"filepath": {}, "default_filepath": "./"}, "project": {"name": "saccade"}}
        self._file.write(f'{{"_via_settings": {_encode(settings)},\n"_via_img_metadata": {{')

    def write_labels(self, image: WrittenImage) -> None:
        has_column = FILE_ATTRIBUTES in self.columns.extra
        file_attributes = image.record.values.get(FILE_ATTRIBUTES) if has_column else None
        if image.objects is None:
            # An image that the project lists would be read as reviewed.
            if file_attributes:
                reason = "attributes of a file that is not labelled"
                self.report.add(FindingType.DROPPED, reason, key=image.key)
            return
        regions = []
        for position, obj in enumerate(image.objects, 1):
            self._renumbered += obj.id != str(position)
            region = self._region(image.key, obj, image.size_wh)
            if region is not None:
                regions.append(region)
        # VIA identifies an image by its name and the number of its bytes.
        size = (self.destination / image.image_path).stat().st_size
        image_id = _encode(f"{image.image_path}{size}")
        entry = {
            "filename": image.image_path,
            "size": size,
            "regions": regions,
            "file_attributes": file_attributes if isinstance(file_attributes, dict) else {},
        }
        self._file.write(f"{',' if self._image_ids else ''}\n{image_id}: {_encode(entry)}")
        self._image_ids.add(image_id)

    def _finish(self) -> None:
        super()._finish()
        options = dict.fromkeys(sorted(self.classes.used), "")
        class_attribute = {"type": "dropdown", "description": "", "options": options, "default_options": {}}
        attributes = {"region": {"class": class_attribute}, "file": {}}
        self._file.write(f'}},\n"_via_attributes": {_encode(attributes)},\n')
        self._file.write('"_via_data_format_version": "2.0.10",\n"_via_image_id_list": ')
        self._image_ids.copy_to(self._file)
        self._file.write("}\n")
        report_renumbered(self.report, self._renumbered)
        self.classes.report_unlisted(self.report)

    def _region(self, key: str, obj: Object, size_wh: SizeWH | None) -> Json | None:
        geometry = coerce_geometry(obj, _target_type(obj.geometry), size_wh, key, self.report)
        if geometry is None:
            return None
        if not is_single_ring(geometry):
            drop_object(obj, key, self.report, "a mask or polygon of several parts or with holes")
            return None
        self.classes.index_of(obj.class_name)
        attributes: dict[str, Any] = {}
        for name, value in obj.attributes.items():
            # The reader takes an empty text as no value, and JSON has no NaN and no infinity.
            if name == "class" or value == "" or (isinstance(value, float) and not math.isfinite(value)):
                self._drop("attribute", key, obj, f"{name} = {value!r}")
            elif name.lower() in CLASS_ATTRIBUTES:
                self._drop("attribute that would be read as the class", key, obj, f"{name} = {value!r}")
            else:
                attributes[name] = value
        if obj.score is not None:
            self._drop("score", key, obj, str(obj.score))
        if obj.track is not None:
            self._drop("track", key, obj, obj.track)
        return {
            "shape_attributes": write_shape(geometry),
            "region_attributes": {"class": obj.class_name, **attributes},
        }

    def _drop(self, reason: str, key: str, obj: Object, detail: str) -> None:
        self.report.add(FindingType.DROPPED, reason, key=key, object_id=obj.id, detail=detail)


def _target_type(geometry: Geometry) -> str:
    """Return the type that a geometry is converted to; "" if VIA has the type."""
    match geometry:
        case RotatedBox() | Mask():
            return "polygon"
        case Points():
            return "" if len(geometry.points) == 1 else "box"
        case Keypoints():
            return "box"
        case _:
            return ""
