"""Writing FiftyOne."""

from __future__ import annotations

import json
import math
from pathlib import Path

from saccade.core.objects import Box, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.index_mask import to_area_mask
from saccade.formats._common.json import Json
from saccade.formats._common.losses import report_unsized_objects
from saccade.formats._common.paths import SPLIT_NAMES
from saccade.formats._common.per_image import PerImageWriter, WrittenImage
from saccade.formats.fiftyone.shapes import encode_mask

GROUND_TRUTH = "ground_truth"
TAGS = "tags"
OBJECT_FIELDS = frozenset(
    {
        "_id",
        "_cls",
        "attributes",
        "tags",
        "label",
        "bounding_box",
        "mask",
        "mask_path",
        "confidence",
        "index",
        "points",
        "closed",
        "filled",
        "saccade",
    }
)
"""Fields of an object that have a meaning of their own; all others are attributes."""
_SAMPLE_FIELDS = (GROUND_TRUTH, "filepath", "metadata", "id")
_MAX_INDEX = (1 << 31) - 1


class FiftyOneWriter(PerImageWriter):
    """Writes ``samples.json``, ``metadata.json`` and ``data/``."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        columns = schema.columns_of_kind(Kind.LABEL, Kind.LABELS)
        self._label_kinds = {column.name: column.kind for column in columns if column.name not in _SAMPLE_FIELDS}
        super().__init__(
            schema,
            destination,
            report,
            folder="data",
            split_folders="custom",
            extra=self._label_kinds,
            reserved=("data", "images"),
        )
        if self._label_kinds.get(TAGS) is Kind.LABEL:
            detail = f"'{TAGS}' becomes a column of several labels"
            report.add(FindingType.DROPPED, "kind of a column", detail=detail)
        path = destination / "samples.json"
        self._file = self._open_files.enter_context(path.open("w", encoding="utf-8"))
        self._file.write('{"samples": [')
        self._is_first = True

    def write_labels(self, image: WrittenImage) -> None:
        separator = "\n" if self._is_first else ",\n"
        self._file.write(separator + json.dumps(self._sample(image), ensure_ascii=False))
        self._is_first = False

    def _finish(self) -> None:
        super()._finish()
        self._file.write("\n]}\n")
        fields = [
            {
                "name": GROUND_TRUTH,
                "ftype": "fiftyone.core.fields.EmbeddedDocumentField",
                "subfield": None,
                "embedded_doc_type": "fiftyone.core.labels.Detections",
                "db_field": GROUND_TRUTH,
            }
        ]
        metadata = {"name": "saccade", "media_type": "image", "sample_fields": fields, "info": {}, "classes": {}}
        (self.destination / "metadata.json").write_text(json.dumps(metadata, indent=1), encoding="utf-8")
        (self.destination / "data").mkdir(exist_ok=True)
        self.classes.report_unlisted(self.report)

    def _sample(self, image: WrittenImage) -> Json:
        values = image.record.values
        sample: Json = {"filepath": image.image_path, "tags": self._tags(image), GROUND_TRUTH: None}
        if image.size_wh:
            width, height = image.size_wh
            sample["metadata"] = {"_cls": "ImageMetadata", "width": width, "height": height}
        if image.objects is not None:
            detections = [entry for obj in image.objects if (entry := self._detection(obj, image)) is not None]
            sample[GROUND_TRUTH] = {"_cls": "Detections", "detections": detections}
        for name, kind in self._label_kinds.items():
            value = values.get(name)
            if value is None or name == TAGS:
                continue
            labels = [value] if kind is Kind.LABEL else value
            entries = [{"_cls": "Classification", "label": label} for label in labels]
            sample[name] = entries[0] if kind is Kind.LABEL else {"_cls": "Classifications", "classifications": entries}
        return sample

    def _tags(self, image: WrittenImage) -> list[str]:
        """Return the split, if it can be written, and the other tags."""
        tags = []
        if image.split in ("train", "val", "test"):
            tags.append(image.split)
        elif image.split is not None:
            reason = "split that is not train, val or test"
            self.report.add(FindingType.DROPPED, reason, key=image.key, detail=image.split)
        for tag in self._column_tags(image):
            if tag in SPLIT_NAMES:
                # It would be read back as the split.
                self.report.add(FindingType.DROPPED, "tag that names a split", key=image.key, detail=tag)
            else:
                tags.append(tag)
        return tags

    def _column_tags(self, image: WrittenImage) -> tuple[str, ...]:
        value = image.record.values.get(TAGS) if TAGS in self._label_kinds else None
        if value is None:
            return ()
        return (value,) if self._label_kinds[TAGS] is Kind.LABEL else value

    def _detection(self, obj: Object, image: WrittenImage) -> Json | None:
        if image.size_wh is None:
            report_unsized_objects([obj], image.key, self.report)
            return None
        optional: Json = {}
        if isinstance(obj.geometry, Box):
            x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
            if x1 >= x2 or y1 >= y2:
                self._drop("object without area", image.key, obj, "a box")
                return None
        else:
            mask = to_area_mask(obj, image.size_wh, image.key, self.report)
            if mask is None:
                return None
            x1, y1, x2, y2 = mask.bounds_xyxy()
            optional["mask"] = encode_mask(mask)
        self.classes.index_of(obj.class_name)
        attributes = {}
        for name, value in obj.attributes.items():
            if name in OBJECT_FIELDS or (isinstance(value, float) and not math.isfinite(value)):
                self._drop("attribute", image.key, obj, f"{name} = {value!r}")
            else:
                attributes[name] = value
        if obj.track is not None:
            if _is_index(obj.track):
                optional["index"] = int(obj.track)
            else:
                self._drop("track that is no number", image.key, obj, obj.track)
        if obj.score is not None:
            optional["confidence"] = obj.score
        width, height = image.size_wh
        return {
            "_cls": "Detection",
            "label": obj.class_name,
            "bounding_box": [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height],
            "tags": [],
            "saccade": obj.id,
            "attributes": {},
            **attributes,
            **optional,
        }

    def _drop(self, reason: str, key: str, obj: Object, detail: str) -> None:
        self.report.add(FindingType.DROPPED, reason, key=key, object_id=obj.id, detail=detail)


def _is_index(track: str) -> bool:
    """Whether a track is a number that is read back as the same text."""
    return track.isascii() and track.isdigit() and str(int(track)) == track and int(track) <= _MAX_INDEX
