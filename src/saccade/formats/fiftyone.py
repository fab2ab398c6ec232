"""FiftyOne dataset folders: ``samples.json`` with the labels of every sample, and the images in ``data``.

Read: of each sample the first field of Detections (boxes in shares of the sides, masks within them), Polylines,
Keypoints or a single one of them, chosen by the option ``field`` where there are several; Classification and
Classifications fields become columns of labels of their names. A tag train, val or test is the split; the other tags
become a column ``tags``. ``confidence`` is the score, ``index`` the track. A sample whose field is null is not
labelled; an empty list means reviewed and empty.

Written: ``samples.json`` and ``metadata.json`` with the objects in the field ``ground_truth``: boxes and masks as
Detections. Polygons are written as masks, since a sample's field holds one kind of label. Ids are FiftyOne's own
there, so ours stand beside.

Source of the format: https://docs.voxel51.com (exporting datasets, FiftyOneDataset).
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.geometry import mask_from_array, mask_to_array
from saccade.core.objects import AttributeValue, Geometry, Mask, Object, Points, Polygon, Polyline, Ring
from saccade.core.objects import Box as BoxShape
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.attributes import scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.index_mask import to_area_mask
from saccade.formats._common.json import Json, contains_tokens, get_list, to_float
from saccade.formats._common.json_stream import load_with_list
from saccade.formats._common.options import parse_options
from saccade.formats._common.paths import SPLIT_NAMES
from saccade.formats._common.per_image import ImageLabels, PerImageReader, PerImageWriter, WrittenImage
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_FIELD = "ground_truth"
_LISTS = {"Detections": "detections", "Polylines": "polylines", "Keypoints": "keypoints"}
_SINGLE = {"Detection", "Polyline", "Keypoint"}
_TAGS = "tags"
_KNOWN = {
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
_SPLIT_NAMES = {"validation": "val"}
_SLACK = 1e-6
_MOST_MASK_BYTES = 1 << 26


@dataclass(frozen=True)
class Options:
    """How to read.

    Attributes:
        field: the field of the samples that holds the objects.
    """

    field: str = ""


class FiftyOne(Format):
    name: ClassVar[str] = "fiftyone"
    title: ClassVar[str] = "FiftyOne"
    supports: ClassVar[str] = "boxes and masks; scores, attributes; labels of images, tags, splits; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and FiftyOne is a folder")
        path = source / "samples.json"
        if not path.is_file():
            return Detection(False, "there is no samples.json")
        found = _samples(path, ConversionReport()) if contains_tokens(path, '"samples"') else None
        return Detection(found is not None, f"samples.json has {'no ' if found is None else ''}samples with a filepath")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
        chosen = parse_options(Options, options, "FiftyOne")
        samples = _samples(source / "samples.json", report) if (source / "samples.json").is_file() else None
        if samples is None:
            raise FormatError(f"There is no samples.json with samples in {source}.")
        return FiftyOneReader(source, samples, chosen.field, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(Options, options, "FiftyOne")
        return FiftyOneWriter(schema, destination, report)


def _samples(path: Path, report: ConversionReport) -> Collection[Any] | None:
    """The list of samples, some of which may be none; None where there is no such list."""
    try:
        data, listed = load_with_list(path, "samples", report)
    except (FormatError, OSError) as error:
        report.add(FindingType.SET_ASIDE, "annotation that cannot be read", detail=str(error))
        return None
    if not isinstance(data, dict) or not isinstance(data.get("samples"), list):
        return None
    return listed if not len(listed) or any(map(_is_sample, listed)) else None


def _is_sample(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("filepath"), str)


def _kind(value: Any) -> str:
    return str(value.get("_cls", "")) if isinstance(value, dict) else ""


class FiftyOneReader(PerImageReader):
    def __init__(self, source: Path, samples: Collection[Any], field: str, report: ConversionReport) -> None:
        super().__init__(source, report, containers=("data", "images"), split_folders=False)
        self._samples = samples
        kinds: dict[str, str] = {}
        for sample in filter(_is_sample, samples):
            for name, value in sample.items():
                if _kind(value):
                    kinds.setdefault(name, _kind(value))
        fields = [name for name, kind in kinds.items() if kind in _LISTS or kind in _SINGLE]
        if field and field not in fields:
            raise FormatError(f"No sample has objects in a field '{field}'.", hint=f"There are: {', '.join(fields)}.")
        self._field = field or (_FIELD if _FIELD in fields else next(iter(fields), ""))
        for name in fields:
            if name != self._field:
                report.add(
                    FindingType.DROPPED, "further field of objects", detail=f"'{name}'; choose it with --option field"
                )
        self._label_kinds = {
            name: kind for name, kind in kinds.items() if kind in ("Classification", "Classifications")
        }

    def open(self) -> RecordStream:
        names: set[str] = set()
        labels: dict[str, set[str]] = {name: set() for name in self._label_kinds}
        has_tags = False
        for sample in filter(_is_sample, self._samples):
            entry = self.labels_for(sample["filepath"], location="samples.json")
            if entry is None:
                continue
            value = sample.get(self._field)
            entry.raw = _listed(value)
            names.update(str(one["label"]) for one in entry.raw or () if one.get("label"))
            tags = [str(tag) for tag in get_list(sample, "tags")]
            entry.split = next((_SPLIT_NAMES.get(tag, tag) for tag in tags if tag in SPLIT_NAMES), None)
            if rest := tuple(dict.fromkeys(tag for tag in tags if tag not in SPLIT_NAMES and tag)):
                entry.values[_TAGS], has_tags = rest, True
            self._fill_labels(entry, sample, labels)
        kinds = {"Classification": Kind.LABEL, "Classifications": Kind.LABELS}
        columns = [
            Column(name, kinds[kind], tuple(map(ClassInfo, sorted(labels[name]))))
            for name, kind in self._label_kinds.items()
        ]
        columns += [Column(_TAGS, Kind.LABELS)] if has_tags else []
        return self.stream(sorted(names), self._objects, columns=columns)

    def _fill_labels(self, entry: ImageLabels, sample: Json, labels: Mapping[str, set[str]]) -> None:
        for name, kind in self._label_kinds.items():
            value = sample.get(name)
            if not isinstance(value, dict):
                continue
            listed = [value] if kind == "Classification" else get_list(value, "classifications")
            found = [str(one["label"]) for one in listed if isinstance(one, dict) and one.get("label")]
            labels[name].update(found)
            if kind == "Classification":
                entry.values[name] = found[0] if found else None
            else:
                entry.values[name] = tuple(dict.fromkeys(found))

    def _objects(self, raw: Sequence[Json], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        used: set[str] = set()
        for position, one in enumerate(raw, 1):
            wish = one.get("saccade")
            object_id = wish if isinstance(wish, str) and wish else str(position)
            while object_id in used:
                object_id += "'"
            used.add(object_id)
            if not one.get("label"):
                self.report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id)
                continue
            try:
                geometry = self._geometry(one, key, object_id, size_wh)
            except (InvalidValueError, TypeError, ValueError, OverflowError) as error:
                reason = "object without a usable shape"
                self.report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=str(error)[:200])
                continue
            if geometry is not None:
                score, track = to_float(one.get("confidence")), one.get("index")
                yield Object(
                    object_id,
                    str(one["label"]),
                    geometry,
                    score if math.isfinite(score) else None,
                    None if track is None else str(track),
                    self._attributes(one, key, object_id),
                )

    def _geometry(self, one: Json, key: str, object_id: str, size_wh: SizeWH | None) -> Geometry | None:
        if size_wh is None:
            raise InvalidValueError("The size of the image is not known.")
        width, height = size_wh
        kind = _kind(one)
        if kind == "Detection":
            x, y, wide, high = (to_float(side) for side in one.get("bounding_box", ()))
            corners = (x * width, y * height, (x + wide) * width, (y + high) * height)
            if isinstance(one.get("mask"), dict | str):
                return _mask(one["mask"], corners, size_wh)
            return fit_box(corners, size_wh, self.report, key=key, object_id=object_id, tolerance=_SLACK)
        if kind == "Keypoint":
            points = [(to_float(x) * width, to_float(y) * height) for x, y in get_list(one, "points")]
            return Points(tuple(point for point in points if all(map(math.isfinite, point))))
        rings: list[Ring] = [
            tuple((to_float(x) * width, to_float(y) * height) for x, y in ring) for ring in get_list(one, "points")
        ]
        if one.get("closed") or one.get("filled"):
            return Polygon(tuple((ring,) for ring in rings))
        if len(rings) != 1:
            raise InvalidValueError(f"A line has one part, not {len(rings)}.")
        return Polyline(rings[0])

    def _attributes(self, one: Json, key: str, object_id: str) -> dict[str, AttributeValue]:
        given = one.get("attributes") if isinstance(one.get("attributes"), dict) else {}
        more = {name: value for name, value in one.items() if name not in _KNOWN and value is not None}
        old = {name: value.get("value") if isinstance(value, dict) else value for name, value in (given or {}).items()}
        return scalar_attributes({**more, **old}, self.report, key=key, object_id=object_id)


def _listed(value: Any) -> list[Json] | None:
    kind = _kind(value)
    if kind in _SINGLE:
        return [value]
    return [one for one in get_list(value, _LISTS[kind]) if isinstance(one, dict)] if kind in _LISTS else None


def _mask(raw: Any, corners: tuple[float, float, float, float], size_wh: tuple[int, int]) -> Mask:
    """A mask that fills a box, as a compressed NumPy array in base64."""
    import cv2

    if isinstance(raw, dict):
        raw = raw.get("$binary", {}).get("base64") if isinstance(raw.get("$binary"), dict) else raw.get("$binary")
    try:
        packed = zlib.decompressobj()
        data = packed.decompress(base64.b64decode(str(raw), validate=True), _MOST_MASK_BYTES)
        if packed.unconsumed_tail:
            raise InvalidValueError("The mask is too large.")
        part = np.load(io.BytesIO(data), allow_pickle=False)
    except (binascii.Error, zlib.error, ValueError, OSError, EOFError) as error:
        raise InvalidValueError(f"The mask is no compressed array in base64: {error}.") from None
    if part.ndim != 2 or not part.size or part.dtype.kind not in "bui":
        raise InvalidValueError(f"The mask is an array of {part.shape}.")
    left, top, right, bottom = (round(side) for side in corners)
    if not (0 <= left < right <= size_wh[0] and 0 <= top < bottom <= size_wh[1]):
        raise InvalidValueError(f"The box {corners} of the mask is not inside the image.")
    pixels = np.zeros((size_wh[1], size_wh[0]), np.uint8)
    fitted = (part > 0).astype(np.uint8)
    if fitted.shape != (bottom - top, right - left):
        fitted = cv2.resize(fitted, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    pixels[top:bottom, left:right] = fitted
    return mask_from_array(pixels > 0)


class FiftyOneWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        labels = {column.name: column.kind for column in schema.columns_of_kind(Kind.LABEL, Kind.LABELS)}
        self._kinds = {
            name: kind for name, kind in labels.items() if name not in (_FIELD, "filepath", "metadata", "id")
        }
        super().__init__(
            schema,
            destination,
            report,
            folder="data",
            split_folders="custom",
            extra=self._kinds,
            reserved=("data", "images"),
        )
        path = destination / "samples.json"
        self._file = self._open_files.enter_context(path.open("w", encoding="utf-8"))
        self._file.write('{"samples": [')
        self._is_first = True

    def write_labels(self, one: WrittenImage) -> None:
        self._file.write(("" if self._is_first else ",") + "\n" + json.dumps(self._sample(one), ensure_ascii=False))
        self._is_first = False

    def _finish(self) -> None:
        super()._finish()
        self._file.write("\n]}\n")
        fields = [
            {
                "name": _FIELD,
                "ftype": "fiftyone.core.fields.EmbeddedDocumentField",
                "subfield": None,
                "embedded_doc_type": "fiftyone.core.labels.Detections",
                "db_field": _FIELD,
            }
        ]
        metadata = {"name": "saccade", "media_type": "image", "sample_fields": fields, "info": {}, "classes": {}}
        (self.destination / "metadata.json").write_text(json.dumps(metadata, indent=1), encoding="utf-8")
        (self.destination / "data").mkdir(exist_ok=True)
        self.classes.report_unlisted(self.report)

    def _sample(self, one: WrittenImage) -> Json:
        split = one.split if one.split in ("train", "val", "test") else None
        if one.split is not None and split is None:
            self.report.add(FindingType.DROPPED, "split that is not train, val or test", key=one.key, detail=one.split)
        values = one.record.values
        tags = [tag for tag in values.get(_TAGS) or () if tag not in SPLIT_NAMES] if _TAGS in self._kinds else []
        sample: Json = {"filepath": one.image_path, "tags": [*([split] if split else []), *tags], _FIELD: None}
        if one.size_wh:
            sample["metadata"] = {"_cls": "ImageMetadata", "width": one.size_wh[0], "height": one.size_wh[1]}
        if one.objects is not None:
            made = [found for thing in one.objects if (found := self._detection(thing, one)) is not None]
            sample[_FIELD] = {"_cls": "Detections", "detections": made}
        for name, kind in self._kinds.items():
            value = values.get(name)
            if value is None or name == _TAGS:
                continue
            single = [
                {"_cls": "Classification", "label": label} for label in ([value] if kind is Kind.LABEL else value)
            ]
            sample[name] = single[0] if kind is Kind.LABEL else {"_cls": "Classifications", "classifications": single}
        return sample

    def _detection(self, found: Object, one: WrittenImage) -> Json | None:
        if one.size_wh is None:
            return None
        width, height = one.size_wh
        more: Json = {}
        if isinstance(found.geometry, BoxShape):
            x1, y1, x2, y2 = found.geometry.bounds_xyxy()
            if x1 >= x2 or y1 >= y2:
                self._drop("object without area", one.key, found, "a box")
                return None
        else:
            mask = to_area_mask(found, one.size_wh, one.key, self.report)
            if mask is None:
                return None
            x1, y1, x2, y2 = mask.bounds_xyxy()
            part = mask_to_array(mask)[int(y1) : int(y2), int(x1) : int(x2)]
            out = io.BytesIO()
            np.save(out, part, allow_pickle=False)
            packed = base64.b64encode(zlib.compress(out.getvalue())).decode()
            more["mask"] = {"$binary": {"base64": packed, "subType": "00"}}
        self.classes.index_of(found.class_name)
        attributes = {}
        for name, value in found.attributes.items():
            if name in _KNOWN or (isinstance(value, float) and not math.isfinite(value)):
                self._drop("attribute", one.key, found, f"{name} = {value!r}")
            else:
                attributes[name] = value
        if found.track is not None:
            is_number = found.track.isascii() and found.track.isdigit() and str(int(found.track)) == found.track
            if is_number and int(found.track) < 1 << 31:
                more["index"] = int(found.track)
            else:
                self._drop("track that is no number", one.key, found, found.track)
        if found.score is not None:
            more["confidence"] = found.score
        box = [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]
        return {
            "_cls": "Detection",
            "label": found.class_name,
            "bounding_box": box,
            "tags": [],
            "saccade": found.id,
            "attributes": {},
            **attributes,
            **more,
        }

    def _drop(self, reason: str, key: str, found: Object, detail: str) -> None:
        self.report.add(FindingType.DROPPED, reason, key=key, object_id=found.id, detail=detail)


FORMAT = FiftyOne()
