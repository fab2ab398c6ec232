"""Categories, images and annotations of COCO files, as classes and objects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from saccade.core.objects import Object, Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, is_hex_color
from saccade.formats._common.boxes import report_duplicates
from saccade.formats._common.frames import to_size_wh
from saccade.formats._common.json import Json, get_list, is_id, saccade_extra, to_float
from saccade.formats.base import SizeWH
from saccade.formats.coco.shapes import ShapeReader

READ_IMAGE_FIELDS = frozenset({"id", "width", "height", "file_name", "saccade"})
"""The fields of an image that are read."""
DROPPED_IMAGE_FIELDS = frozenset({"license", "coco_url", "flickr_url", "date_captured"})
"""The fields of an image that COCO defines and a dataset has no column for; all others are metadata."""
_ANNOTATION_FIELDS = frozenset(
    {"id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd", "keypoints", "num_keypoints"}
    | {"score", "attributes", "track_id", "saccade"}
)
_CATEGORY_FIELDS = frozenset(["id", "name", "supercategory", "keypoints", "skeleton", "color", "saccade"])


@dataclass
class Categories:
    """Classes by category id of one file.

    Attributes:
        classes: classes by name, merged over all files of the source.
    """

    classes: dict[str, ClassInfo]
    by_id: dict[int | str, ClassInfo] = field(default_factory=dict)

    def load(self, entries: list[Any], report: ConversionReport) -> None:
        """Add the categories of the file."""
        dropped_fields: Counter[str] = Counter()
        names = {info.name for info in self.by_id.values()}
        for entry in entries:
            info = _class_info(entry, report)
            category_id = entry.get("id") if isinstance(entry, dict) else None
            if info is None or not is_id(category_id):
                report.add(FindingType.DROPPED, "category without a name or id", detail=repr(entry)[:200])
                continue
            assert isinstance(category_id, (int, str))
            if category_id in self.by_id:
                report.add(FindingType.DROPPED, "category id used twice", detail=repr(entry)[:200])
                continue
            if info.name in names:
                report.add(FindingType.REPAIRED, "categories of the same name merged", detail=info.name)
            names.add(info.name)
            merged = self.classes.setdefault(info.name, info)
            if merged != info:
                report.add(FindingType.DROPPED, "details of a category that differ between files", detail=info.name)
            self.by_id[category_id] = merged
            dropped_fields.update(entry.keys() - _CATEGORY_FIELDS)
        for name, count in dropped_fields.items():
            report.add(FindingType.DROPPED, "field of categories", detail=f"'{name}' of {count}")


def _class_info(entry: Any, report: ConversionReport) -> ClassInfo | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), (str, int)) or not str(entry["name"]):
        return None
    name = str(entry["name"])
    parent = entry.get("supercategory") or None
    if parent == name and not saccade_extra(entry).get("own_parent"):
        report.add(FindingType.WARNING, "category that is its own supercategory", detail=name)
        parent = None
    keypoints = tuple(str(point) for point in get_list(entry, "keypoints"))
    skeleton = []
    for pair in get_list(entry, "skeleton"):
        # COCO counts keypoints from 1.
        ends = (
            [int(to_float(end)) - 1 if math.isfinite(to_float(end)) else -1 for end in pair] if _is_pair(pair) else []
        )
        if len(ends) == 2 and all(0 <= end < len(keypoints) for end in ends):
            skeleton.append((ends[0], ends[1]))
        else:
            report.add(FindingType.DROPPED, "line of a skeleton without its points", detail=f"{name}: {pair!r}")
    color = _color(entry.get("color"))
    return ClassInfo(name, None if parent is None else str(parent), color, keypoints, tuple(skeleton))


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _color(value: Any) -> str | None:
    """Parse ``#rrggbb`` or a list of three integers."""
    if isinstance(value, str) and is_hex_color(value):
        return value
    if isinstance(value, list) and len(value) == 3 and all(type(part) is int and 0 <= part < 256 for part in value):
        return "#" + "".join(f"{part:02x}" for part in value)
    return None


class AnnotationReader:
    """Converts the annotations of a file to objects, and counts the fields that are not read.

    Args:
        by_id: classes by category id.
        duplicate_ids: ids that several annotations have; None if unknown.
    """

    def __init__(
        self,
        by_id: Mapping[int | str, ClassInfo],
        report: ConversionReport,
        duplicate_ids: Container[int | str] | None = None,
    ) -> None:
        self._by_id = by_id
        self._report = report
        self._duplicate_ids = duplicate_ids
        self._seen_ids: set[int | str] = set()
        self._dropped_fields: Counter[str] = Counter()

    def read(self, annotations: list[Any], key: str, size_wh: SizeWH | None) -> Objects:
        """Convert the annotations of one image, in order.

        Args:
            key: key of the item, for the report.
            size_wh: size of the image; None skips clipping and checks against it.
        """
        reader = ShapeReader(self._report, key, size_wh)
        objects = []
        used_ids: set[str] = set()
        for position, entry in enumerate(annotations, 1):
            object_id = self._object_id(entry, position, key, used_ids)
            if not _ANNOTATION_FIELDS.issuperset(entry):
                self._dropped_fields.update(entry.keys() - _ANNOTATION_FIELDS)
            category_id = entry.get("category_id")
            info = self._by_id.get(category_id) if is_id(category_id) else None
            if info is None:
                reason = "annotation of an unknown category"
                detail = f"category_id {category_id!r}"
                self._report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=detail)
            elif (geometry := reader.geometry(entry, object_id, info)) is not None:
                attributes, track = reader.attributes(entry, object_id)
                score = reader.score(entry, object_id) if "score" in entry else None
                objects.append(Object(object_id, info.name, geometry, score, track, attributes))
        if len(objects) > 1:
            report_duplicates(objects, key, self._report, near=False)
        return tuple(objects)

    def _object_id(self, entry: Json, position: int, key: str, used_ids: set[str]) -> str:
        annotation_id = entry.get("id")
        preferred = f"n{position}"
        if is_id(annotation_id) and annotation_id != "":
            assert isinstance(annotation_id, (int, str))
            preferred = str(annotation_id)
            if self._duplicate_ids is None or annotation_id in self._duplicate_ids:
                if annotation_id in self._seen_ids:
                    self._report.add(FindingType.WARNING, "annotation id used twice", key=key, object_id=preferred)
                self._seen_ids.add(annotation_id)
        if "saccade" in entry:
            preferred = str(saccade_extra(entry).get("id") or preferred)
        object_id = preferred
        count = 2
        while object_id in used_ids:
            object_id = f"{preferred}-{count}"
            count += 1
        used_ids.add(object_id)
        if object_id != preferred:
            self._report.add(FindingType.REPAIRED, "id of an object made unique", key=key, object_id=object_id)
        return object_id

    def report_dropped(self) -> None:
        for name, count in self._dropped_fields.items():
            self._report.add(FindingType.DROPPED, "field of annotations", detail=f"'{name}' of {count}")


def group_annotations(
    entries: Iterable[Any], image_ids: Container[int | str], report: ConversionReport
) -> dict[int | str, list[Json]]:
    """Group annotations by image id.

    Args:
        entries: elements of ``annotations``, of any JSON type.
        image_ids: the known ids; annotations of others are reported.
    """
    groups: dict[int | str, list[Json]] = {}
    for entry in entries:
        fields = entry if isinstance(entry, dict) else {}
        image_id = fields.get("image_id")
        if not is_id(image_id) or image_id not in image_ids:
            object_id = str(fields.get("id", ""))
            detail = f"image_id {image_id!r}"
            report.add(FindingType.DROPPED, "annotation of an unknown image", object_id=object_id, detail=detail)
            continue
        assert isinstance(image_id, (int, str))
        groups.setdefault(image_id, []).append(entry)
    return groups


class ImageNames(Protocol):
    """Names by id."""

    def setdefault(self, key: int | str, name: str) -> str | None:
        """Store a name unless the id has one; return the name that the id had, or None."""
        ...


class InMemoryNames:
    """Names by id, in memory."""

    def __init__(self) -> None:
        self._names: dict[int | str, str] = {}

    def setdefault(self, key: int | str, name: str) -> str | None:
        previous = self._names.get(key)
        if previous is None:
            self._names[key] = name
        return previous


def stated_size_wh(entry: Json) -> SizeWH | None:
    """Return the size that an image entry states, or None."""
    return to_size_wh(entry.get("width"), entry.get("height"))


def valid_images(
    entries: Iterable[tuple[Any, int]], names: ImageNames, report: ConversionReport
) -> Iterator[tuple[Json, int]]:
    """Iterate over the image entries, with their positions, that have a unique id and a file name.

    Args:
        names: receives the file name of each id.
    """
    for entry, position in entries:
        fields = entry if isinstance(entry, dict) else {}
        image_id = fields.get("id")
        name = fields.get("file_name")
        if not is_id(image_id) or not isinstance(name, str) or not name:
            detail = repr(entry)[:200]
            report.add(FindingType.SKIPPED, "image entry without an id or a file name", detail=detail)
            continue
        assert isinstance(image_id, (int, str))
        previous = names.setdefault(image_id, name)
        if previous is None:
            yield entry, position
        else:
            action = FindingType.DROPPED if previous == name else FindingType.SKIPPED
            report.add(action, "image id used twice", detail=f"{image_id!r}: {name!r} after {previous!r}")
