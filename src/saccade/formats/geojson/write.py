"""Writing GeoJSON."""

from __future__ import annotations

import json
import math

from saccade.core.objects import Box, Ellipse, Keypoints, Mask, Object, RotatedBox
from saccade.core.report import FindingType
from saccade.formats._common.geometry import coerce_geometry
from saccade.formats._common.json import Json
from saccade.formats._common.per_image import PerImageWriter, WrittenImage
from saccade.formats.base import SizeWH
from saccade.formats.geojson.shapes import RESERVED_PROPERTIES, keypoints_extra, write_shape


class GeoJsonWriter(PerImageWriter):
    def write_labels(self, image: WrittenImage) -> None:
        if image.objects is None:
            return
        features = []
        for obj in image.objects:
            self.classes.index_of(obj.class_name)
            feature = self._feature(obj, image.key, image.size_wh)
            if feature is not None:
                features.append(feature)
        data = {"type": "FeatureCollection", "features": features}
        path = (self.destination / image.image_path).with_suffix(".geojson")
        path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")

    def _finish(self) -> None:
        super()._finish()
        if not any(self.destination.rglob("*.geojson")):
            (self.destination / "images").mkdir(exist_ok=True)
        self.classes.report_unlisted(self.report)

    def _feature(self, obj: Object, key: str, size_wh: SizeWH | None) -> Json | None:
        target_type = "polygon" if isinstance(obj.geometry, Mask | RotatedBox | Ellipse) else ""
        geometry = coerce_geometry(obj, target_type, size_wh, key, self.report)
        if geometry is None:
            return None
        properties: Json = {"objectType": "annotation", "classification": {"name": obj.class_name}}
        for name, value in obj.attributes.items():
            # JSON has no NaN and no infinity.
            is_writable = not isinstance(value, float) or math.isfinite(value)
            if name in RESERVED_PROPERTIES or not is_writable:
                detail = f"{name} = {value!r}"
                self.report.add(FindingType.DROPPED, "attribute", key=key, object_id=obj.id, detail=detail)
            else:
                properties[name] = value
        extra: Json = {}
        if isinstance(geometry, Box):
            extra["box"] = True
        if isinstance(geometry, Keypoints):
            extra["keypoints"] = keypoints_extra(geometry)
        if obj.score is not None:
            extra["score"] = obj.score
        if obj.track is not None:
            extra["track"] = obj.track
        if extra:
            properties["saccade"] = extra
        return {"type": "Feature", "id": obj.id, "geometry": write_shape(geometry), "properties": properties}
