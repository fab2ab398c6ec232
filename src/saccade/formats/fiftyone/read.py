"""Reading FiftyOne."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.objects import AttributeValue, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind
from saccade.formats._common.attributes import claim_object_id, scalar_attributes
from saccade.formats._common.frames import to_size_wh
from saccade.formats._common.json import Json, get_list, get_mapping, to_float
from saccade.formats._common.paths import SPLIT_NAMES
from saccade.formats._common.per_image import ImageLabels, PerImageReader
from saccade.formats._common.source_files import mark_read
from saccade.formats.base import RecordStream, SizeWH
from saccade.formats.fiftyone.detect import is_sample, load_samples
from saccade.formats.fiftyone.shapes import read_geometry
from saccade.formats.fiftyone.write import GROUND_TRUTH, OBJECT_FIELDS, TAGS

_LIST_NAMES = {"Detections": "detections", "Polylines": "polylines", "Keypoints": "keypoints"}
"""Names of the lists in the types of field that have several objects."""
_SINGLE_TYPES = {"Detection", "Polyline", "Keypoint"}
_LABEL_KINDS = {"Classification": Kind.LABEL, "Classifications": Kind.LABELS}
_SPLIT_ALIASES = {"validation": "val"}


@dataclass(frozen=True)
class FiftyOneReadOptions:
    """Options of reading.

    Attributes:
        field: the field of the samples that has the objects; "" for ``ground_truth``, or else the first one.
    """

    field: str = ""


class FiftyOneReader(PerImageReader):
    """Reads a folder; a first pass over the samples finds their fields.

    Raises:
        FormatError: if there are no samples, or none has the field of the options.
    """

    def __init__(self, source: Path, options: FiftyOneReadOptions, report: ConversionReport) -> None:
        path = source / "samples.json"
        samples = load_samples(path, report) if path.is_file() else None
        if samples is None:
            raise FormatError(f"There is no samples.json with samples in {source}.")
        super().__init__(source, report, containers=("data", "images"), split_folders=False, relative=True)
        # It describes the fields, whose types are seen in the samples.
        mark_read(source / "metadata.json")
        self._samples = samples
        types = self._field_types()
        fields = [name for name, type_name in types.items() if type_name in _LIST_NAMES or type_name in _SINGLE_TYPES]
        if options.field and options.field not in fields:
            hint = f"There are: {', '.join(fields)}."
            raise FormatError(f"No sample has objects in a field '{options.field}'.", hint=hint)
        self._field = options.field or (GROUND_TRUTH if GROUND_TRUTH in fields else next(iter(fields), ""))
        for name in fields:
            if name != self._field:
                detail = f"'{name}'; choose it with --option field"
                report.add(FindingType.DROPPED, "further field of objects", detail=detail)
        self._label_kinds = {
            name: _LABEL_KINDS[type_name] for name, type_name in types.items() if type_name in _LABEL_KINDS
        }

    def _field_types(self) -> dict[str, str]:
        """Return the type of each field, that of its first value."""
        types: dict[str, str] = {}
        for sample in filter(is_sample, self._samples):
            for name, value in sample.items():
                if type_name := _type_of(value):
                    types.setdefault(name, type_name)
        return types

    def open(self) -> RecordStream:
        class_names: set[str] = set()
        label_names: dict[str, set[str]] = {name: set() for name in self._label_kinds}
        has_tags = False
        for sample in filter(is_sample, self._samples):
            labels = self.labels_for(sample["filepath"], location="samples.json")
            if labels is None:
                continue
            labels.raw = _objects_of_field(sample.get(self._field))
            metadata = get_mapping(sample, "metadata")
            labels.stated_wh = to_size_wh(metadata.get("width"), metadata.get("height"))
            class_names.update(str(entry["label"]) for entry in labels.raw or () if entry.get("label"))
            tags = [str(tag) for tag in get_list(sample, "tags")]
            labels.split = next((_SPLIT_ALIASES.get(tag, tag) for tag in tags if tag in SPLIT_NAMES), None)
            if other_tags := tuple(dict.fromkeys(tag for tag in tags if tag not in SPLIT_NAMES and tag)):
                labels.values[TAGS] = other_tags
                has_tags = True
            self._fill_labels(labels, sample, label_names)
        columns = [
            Column(name, kind, tuple(map(ClassInfo, sorted(label_names[name]))))
            for name, kind in self._label_kinds.items()
        ]
        if has_tags:
            columns.append(Column(TAGS, Kind.LABELS))
        return self.stream(sorted(class_names), self._objects, columns=columns)

    def _fill_labels(self, labels: ImageLabels, sample: Json, label_names: Mapping[str, set[str]]) -> None:
        for field, kind in self._label_kinds.items():
            value = sample.get(field)
            if not isinstance(value, dict):
                continue
            entries = [value] if kind is Kind.LABEL else get_list(value, "classifications")
            names = [str(entry["label"]) for entry in entries if isinstance(entry, dict) and entry.get("label")]
            label_names[field].update(names)
            if kind is Kind.LABEL:
                labels.values[field] = names[0] if names else None
            else:
                labels.values[field] = tuple(dict.fromkeys(names))

    def _objects(self, raw: Sequence[Json], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        used_ids: set[str] = set()
        for position, entry in enumerate(raw, 1):
            preferred = entry.get("saccade")
            has_id = isinstance(preferred, str) and preferred
            object_id = claim_object_id(str(preferred if has_id else position), used_ids)
            if not entry.get("label"):
                self.report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id)
                continue
            try:
                geometry = read_geometry(entry, _type_of(entry), size_wh, self.report, key=key, object_id=object_id)
            except (InvalidValueError, TypeError, ValueError, OverflowError) as error:
                reason = "object without a usable shape"
                self.report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=str(error)[:200])
                continue
            if geometry is None:
                continue
            score = to_float(entry.get("confidence"))
            track = entry.get("index")
            yield Object(
                object_id,
                str(entry["label"]),
                geometry,
                score if math.isfinite(score) else None,
                None if track is None else str(track),
                self._attributes(entry, key, object_id),
            )

    def _attributes(self, entry: Json, key: str, object_id: str) -> dict[str, AttributeValue]:
        attributes = {name: value for name, value in entry.items() if name not in OBJECT_FIELDS and value is not None}
        # Old versions of FiftyOne keep attributes below this key, each in a document with its type.
        for name, value in get_mapping(entry, "attributes").items():
            attributes[name] = value.get("value") if isinstance(value, dict) else value
        return scalar_attributes(attributes, self.report, key=key, object_id=object_id)


def _type_of(value: Any) -> str:
    """Return the type of a field's value, or "" if it is plain JSON."""
    return str(value.get("_cls", "")) if isinstance(value, dict) else ""


def _objects_of_field(value: Any) -> list[Json] | None:
    type_name = _type_of(value)
    if type_name in _SINGLE_TYPES:
        return [value]
    if type_name not in _LIST_NAMES:
        return None
    return [entry for entry in get_list(value, _LIST_NAMES[type_name]) if isinstance(entry, dict)]
