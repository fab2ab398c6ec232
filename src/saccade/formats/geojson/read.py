"""Reading GeoJSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.objects import AttributeValue, Geometry, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.attributes import claim_object_id, scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.json import Json, get_list, get_mapping, load_json, saccade_extra, to_float
from saccade.formats._common.paths import strip_extension
from saccade.formats._common.per_image import PerImageReader
from saccade.formats._common.source_files import mark_rejected
from saccade.formats.base import RecordStream, SizeWH
from saccade.formats.geojson.shapes import READERS, RESERVED_PROPERTIES, read_keypoints

EXTENSIONS = (".geojson", ".json")
_CLASS_PROPERTIES = ("class", "label", "name", "type", "category")
_DEFAULT_CLASS = "object"


class GeoJsonReader(PerImageReader):
    def open(self) -> RecordStream:
        names: set[str] = set()
        collection_count = 0
        for file in self.tree.files_below("", EXTENSIONS):
            features = load_features(self.tree.path(file), self.report)
            if features is None:
                mark_rejected(self.tree.path(file))
                continue
            collection_count += 1
            labels = self.labels_for(strip_extension(file), location=file)
            if labels is None:
                continue
            if labels.raw is not None:
                self.report.add(FindingType.SKIPPED, "second annotation of an image", detail=file)
                continue
            labels.raw = features
            names.update(_class_of(feature) for feature in features)
        if not collection_count:
            raise FormatError(f"No GeoJSON file below {self.tree.root} is a FeatureCollection.")
        return self.stream(sorted(names), self._objects)

    def _objects(self, features: Sequence[Json], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        used_ids: set[str] = set()
        for position, feature in enumerate(features, 1):
            stated_id = feature.get("id")
            preferred = stated_id if isinstance(stated_id, str) and stated_id else str(position)
            object_id = claim_object_id(preferred, used_ids)
            properties = get_mapping(feature, "properties")
            extra = saccade_extra(properties)
            try:
                geometry = self._geometry(feature, extra, key, object_id, size_wh)
            except (InvalidValueError, TypeError, IndexError, KeyError, ValueError, OverflowError) as error:
                reason = "object without a usable shape"
                self.report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=str(error)[:200])
                continue
            if geometry is None:
                continue
            score = to_float(extra.get("score"))
            track = extra.get("track")
            yield Object(
                object_id,
                _class_of(feature),
                geometry,
                score if math.isfinite(score) else None,
                track if isinstance(track, str) else None,
                self._attributes(properties, key, object_id),
            )

    def _geometry(
        self, feature: Json, extra: Json, key: str, object_id: str, size_wh: SizeWH | None
    ) -> Geometry | None:
        if isinstance(extra.get("keypoints"), dict):
            return read_keypoints(extra["keypoints"])
        shape = get_mapping(feature, "geometry")
        read_shape = READERS.get(str(shape.get("type")))
        if read_shape is None:
            reason = "shape of a kind that is not known"
            detail = repr(shape.get("type"))[:100]
            self.report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=detail)
            return None
        geometry = read_shape(shape.get("coordinates"))
        if extra.get("box"):
            return fit_box(geometry.bounds_xyxy(), size_wh, self.report, key=key, object_id=object_id)
        return geometry

    def _attributes(self, properties: Json, key: str, object_id: str) -> dict[str, AttributeValue]:
        excluded = set(RESERVED_PROPERTIES)
        if not isinstance(properties.get("classification"), dict):
            excluded.update(_CLASS_PROPERTIES)
        attributes = {name: value for name, value in properties.items() if name not in excluded}
        return scalar_attributes(attributes, self.report, key=key, object_id=object_id)


def load_features(path: Path, report: ConversionReport) -> list[Json] | None:
    """Return the features of a file; None if it is not a collection, or, reported, if it cannot be read."""
    try:
        data = load_json(path, report)
    except (FormatError, OSError) as error:
        report.add(FindingType.SKIPPED, "annotation that cannot be read", key=path.name, detail=str(error))
        return None
    # Older versions of QuPath write a plain list of features.
    if isinstance(data, list) and data and all(_is_feature(element) for element in data):
        return data
    if not isinstance(data, dict) or data.get("type") != "FeatureCollection":
        return None
    return [feature for feature in get_list(data, "features") if isinstance(feature, dict)]


def _is_feature(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "Feature"


def _class_of(feature: Json) -> str:
    properties = get_mapping(feature, "properties")
    name = get_mapping(properties, "classification").get("name")
    if isinstance(name, str) and name:
        return name
    values = (properties.get(property_name) for property_name in _CLASS_PROPERTIES)
    return next((value for value in values if isinstance(value, str) and value), _DEFAULT_CLASS)
