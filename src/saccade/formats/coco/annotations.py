"""Reading COCO: the annotation files of a source, their images, and their annotations as objects."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from saccade.core.objects import Object
from saccade.core.report import Action, Report
from saccade.core.schema import ClassInfo
from saccade.formats._common.boxes import notice_duplicates
from saccade.formats._common.json import Json, is_id, list_of, number, own
from saccade.formats.coco.shapes import ShapeReader

STANDARD_FIELDS = frozenset({"id", "width", "height", "file_name", "saccade"})
"""The fields of an image that are read."""
DROPPED_FIELDS = frozenset({"license", "coco_url", "flickr_url", "date_captured"})
"""The fields of an image that COCO defines and a dataset has no place for; all others are metadata."""
_ANNOTATION_FIELDS = frozenset(
    {"id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd", "keypoints", "num_keypoints"}
    | {"score", "attributes", "saccade"}
)
_CATEGORY_FIELDS = frozenset(["id", "name", "supercategory", "keypoints", "skeleton", "color", "saccade"])


@dataclass
class Categories:
    """Class by category id for one file, merged by name over all files."""

    classes: dict[str, ClassInfo]
    by_id: dict[int | str, ClassInfo] = field(default_factory=dict)

    def load(self, entries: list[Any], report: Report) -> None:
        lost: Counter[str] = Counter()
        names = {known.name for known in self.by_id.values()}
        for entry in entries:
            info = _class_info(entry, report)
            number = entry.get("id") if isinstance(entry, dict) else None
            if info is None or not is_id(number):
                report.add(Action.DROPPED, "category without a name or id", detail=repr(entry)[:200])
                continue
            assert isinstance(number, (int, str))
            if number in self.by_id:
                report.add(Action.DROPPED, "category id used twice", detail=repr(entry)[:200])
                continue
            if info.name in names:
                report.add(Action.REPAIRED, "categories of the same name merged", detail=info.name)
            names.add(info.name)
            known = self.classes.setdefault(info.name, info)
            if known != info:
                report.add(Action.DROPPED, "details of a category that differ between files", detail=info.name)
            self.by_id[number] = known
            lost.update(entry.keys() - _CATEGORY_FIELDS)
        for name, count in lost.items():
            report.add(Action.DROPPED, "field of categories", detail=f"'{name}' of {count}")


def _class_info(entry: Any, report: Report) -> ClassInfo | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), (str, int)) or not str(entry["name"]):
        return None
    name = str(entry["name"])
    parent = entry.get("supercategory") or None
    if parent == name and not own(entry).get("own_parent"):
        report.add(Action.DROPPED, "category that is its own supercategory", detail=name)
        parent = None
    points = tuple(str(point) for point in list_of(entry, "keypoints"))
    skeleton = []
    for pair in list_of(entry, "skeleton"):
        ends = [int(number(end)) - 1 if math.isfinite(number(end)) else -1 for end in pair] if _pair(pair) else []
        if len(ends) == 2 and all(0 <= end < len(points) for end in ends):
            skeleton.append((ends[0], ends[1]))
        else:
            report.add(Action.DROPPED, "line of a skeleton without its points", detail=f"{name}: {pair!r}")
    color = _color(entry.get("color"))
    return ClassInfo(name, None if parent is None else str(parent), color, points, tuple(skeleton))


def _pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _color(value: Any) -> str | None:
    if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
        return value
    if isinstance(value, list) and len(value) == 3 and all(type(part) is int and 0 <= part < 256 for part in value):
        return "#" + "".join(f"{part:02x}" for part in value)
    return None


class AnnotationReader:
    """Turns the annotations of a file into objects; counts the fields that it leaves behind.

    Args:
        repeated: the ids that several annotations have, where that is known.

    """

    def __init__(
        self, by_id: Mapping[int | str, ClassInfo], report: Report, repeated: Container[int | str] | None = None
    ) -> None:
        self._by_id = by_id
        self._report = report
        self._repeated = repeated
        self._seen: set[int | str] = set()
        self._lost: Counter[str] = Counter()

    def objects(self, annotations: list[Any], key: str, size_wh: tuple[int, int] | None) -> tuple[Object, ...]:
        """The objects of one image, in order."""
        reader = ShapeReader(self._report, key, size_wh)
        made = []
        taken: set[str] = set()
        for position, entry in enumerate(annotations, 1):
            object_id = self._id(entry, position, key, taken)
            if not _ANNOTATION_FIELDS.issuperset(entry):
                self._lost.update(entry.keys() - _ANNOTATION_FIELDS)
            category = entry.get("category_id")
            info = self._by_id.get(category) if is_id(category) else None
            if info is None:
                detail = f"category_id {category!r}"
                self._report.add(
                    Action.DROPPED, "annotation of an unknown category", key=key, object_id=object_id, detail=detail
                )
            elif (geometry := reader.geometry(entry, object_id, info)) is not None:
                attributes, track = reader.attributes(entry, object_id)
                score = reader.score(entry, object_id) if "score" in entry else None
                made.append(Object(object_id, info.name, geometry, score, track, attributes))
        if len(made) > 1:
            notice_duplicates(made, key, self._report, near=False)
        return tuple(made)

    def _id(self, entry: Json, position: int, key: str, taken: set[str]) -> str:
        number = entry.get("id")
        wish = f"n{position}"
        if is_id(number) and number != "":
            assert isinstance(number, (int, str))
            wish = str(number)
            if self._repeated is None or number in self._repeated:
                if number in self._seen:
                    self._report.add(Action.NOTICED, "annotation id used twice", key=key, object_id=wish)
                self._seen.add(number)
        if "saccade" in entry:
            wish = str(own(entry).get("id") or wish)
        name, count = wish, 2
        while name in taken:
            name, count = f"{wish}-{count}", count + 1
        taken.add(name)
        if name != wish:
            self._report.add(Action.REPAIRED, "id of an object made unique", key=key, object_id=name)
        return name

    def finish(self) -> None:
        for name, count in self._lost.items():
            self._report.add(Action.DROPPED, "field of annotations", detail=f"'{name}' of {count}")


def group_annotations(
    entries: Iterable[Any], known: Container[int | str], report: Report
) -> dict[int | str, list[Json]]:
    """The annotations of each image id; those that belong to none go to the report."""
    groups: dict[int | str, list[Json]] = {}
    for entry in entries:
        image_id = entry.get("image_id") if isinstance(entry, dict) else None
        if not is_id(image_id) or image_id not in known:
            number = entry.get("id", "") if isinstance(entry, dict) else ""
            report.add(
                Action.DROPPED, "annotation of an unknown image", object_id=str(number), detail=f"image_id {image_id!r}"
            )
            continue
        assert isinstance(image_id, (int, str))
        groups.setdefault(image_id, []).append(entry)
    return groups


class Names(Protocol):
    """Names by id; ``setdefault`` gives the name that was there before, None where none was."""

    def setdefault(self, key: int | str, name: str) -> str | None: ...


class HeldNames:
    """Names by id, in memory."""

    def __init__(self) -> None:
        self._names: dict[int | str, str] = {}

    def setdefault(self, key: int | str, name: str) -> str | None:
        before = self._names.get(key)
        if before is None:
            self._names[key] = name
        return before


def size_wh(entry: Json) -> tuple[int, int] | None:
    """The size that an image entry states, where it does."""
    width, height = entry.get("width"), entry.get("height")
    if type(width) is int and type(height) is int and width > 0 and height > 0:
        return width, height
    return None


def valid_images(entries: Iterable[tuple[Any, int]], seen: Names, report: Report) -> Iterator[tuple[Json, int]]:
    """The image entries with an id of their own and a file name, once each, with their numbers.

    Args:
        seen: takes the name of each id.
    """
    for entry, place in entries:
        image_id = entry.get("id") if isinstance(entry, dict) else None
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not is_id(image_id) or not isinstance(name, str) or not name:
            report.add(Action.SET_ASIDE, "image entry without an id or a file name", detail=repr(entry)[:200])
            continue
        assert isinstance(image_id, (int, str))
        before = seen.setdefault(image_id, name)
        if before is None:
            yield entry, place
        else:
            action = Action.DROPPED if before == name else Action.SET_ASIDE
            report.add(action, "image id used twice", detail=f"{image_id!r}: {name!r} after {before!r}")
