"""Writing Pascal VOC: Annotations, JPEGImages, ImageSets/Main, and the PNGs of masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from saccade.core.objects import AttributeValue, BoundsXYXY, Object
from saccade.core.report import Action, Report
from saccade.core.schema import Kind
from saccade.formats._common.options import one_of
from saccade.formats._common.paths import PathList, is_plain_name
from saccade.formats._common.writing import ClassNames, Columns, FileNames, Names, ObjectLosses, copy_media, size_wh_of
from saccade.formats.base import Reading, Record
from saccade.formats.voc.annotations import DATABASE, EXACT, FLAGS
from saccade.formats.voc.segmentation import Segments, mask_of


@dataclass(frozen=True)
class Options:
    """``origin``: the number of the first pixel; 1 is the devkit's."""

    origin: str | int = "1"


def write_voc(reading: Reading, destination: Path, report: Report, options: Options) -> None:
    """Write XML files, images and, with splits, their lists."""
    origin = int(one_of("origin", options.origin, ("0", "1")))
    columns = Columns(reading, report, Kind.OBJECTS)
    columns.report_class_details("parent", "color", "keypoints", "skeleton")
    writer = _Writer(columns, destination, origin, report)
    for record in reading.records:
        columns.count(record)
        writer.record(record)
    writer.finish()
    columns.finish()


class _Writer:
    def __init__(self, columns: Columns, destination: Path, origin: int, report: Report) -> None:
        self._columns = columns
        self._destination = destination
        self._origin = origin
        self._report = report
        self._files = FileNames(report)
        self._classes = ClassNames(columns.labels)
        self._losses = ObjectLosses(report, attributes=True)
        self._lists: dict[str, PathList] = {}
        for folder in ("Annotations", "JPEGImages"):
            (destination / folder).mkdir()

    def record(self, record: Record) -> None:
        stem = self._files.take(record.key)
        images = self._destination / "JPEGImages"
        image = copy_media(record, images / stem, self._report)
        if image is None:
            return
        if (split := self._columns.split_of(record)) is not None:
            self._lists.setdefault(split, PathList()).append(stem)
        objects = record.values.get(self._columns.labels.name) if self._columns.labels else None
        if objects is not None:
            root, segments = self._annotation(record, image.relative_to(images).as_posix(), objects)
            if segments.masks:
                segments.write(record.key, stem, self._destination, self._classes.numbers, self._report)
            path = self._destination / "Annotations" / f"{stem}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            indent(root)
            ElementTree(root).write(path, encoding="utf-8")

    def _annotation(self, record: Record, file_name: str, objects: Iterable[Object]) -> tuple[Element, Segments]:
        root = Element("annotation")
        _add(root, "folder", "JPEGImages")
        _add(root, "filename", file_name.rsplit("/", 1)[-1])
        source = SubElement(root, "source")
        _add(source, "database", DATABASE)
        _add(source, "annotation", f"origin {self._origin}")
        segments = Segments(size_wh_of(record) or (0, 0), {})
        if (size_wh := size_wh_of(record)) is not None:
            size = SubElement(root, "size")
            for name, value in zip(("width", "height", "depth"), (*size_wh, 3), strict=True):
                _add(size, name, str(value))
        segmented = _add(root, "segmented", "0")
        written = 0
        for found in objects:
            mask = mask_of(found, size_wh)
            self._losses.note(record.key, found, written + 1, "" if mask is None else "mask")
            bounds = self._losses.bounds_xyxy(record.key, found)
            if bounds is not None:
                written += 1
                root.append(self._object(record.key, found, bounds))
                if mask is not None:
                    segments.masks[written] = found, mask
                    segmented.text = "1"
        return root, segments

    def _object(self, key: str, found: Object, bounds: BoundsXYXY) -> Element:
        self._classes.number(found.class_name)
        element = Element("object")
        _add(element, "name", self._plain(found.class_name.strip(), found.class_name, key, found))
        attributes = dict(found.attributes)
        pose = attributes.get("pose")
        is_pose = isinstance(pose, str) and pose == pose.strip() and pose not in ("", "Unspecified")
        _add(
            element,
            "pose",
            self._plain(str(attributes.pop("pose")), str(pose), key, found) if is_pose else "Unspecified",
        )
        for flag in FLAGS:
            is_set = attributes.get(flag) is True
            _add(element, flag, str(int(is_set)))
            if is_set:
                del attributes[flag]
        box = SubElement(element, "bndbox")
        origin = (self._origin, self._origin, 0, 0)
        for name, value, offset in zip(("xmin", "ymin", "xmax", "ymax"), bounds, origin, strict=True):
            _add(box, name, _shifted(value, offset))
        if attributes:
            self._add_attributes(element, attributes, key, found)
        return element

    def _add_attributes(
        self, parent: Element, attributes: Mapping[str, AttributeValue], key: str, found: Object
    ) -> None:
        group = SubElement(parent, "attributes")
        for name, value in attributes.items():
            pair = SubElement(group, "attribute")
            _add(pair, "name", self._plain(name, name, key, found))
            text = str(value).lower() if isinstance(value, bool) else str(value)
            _add(pair, "value", self._plain(text, text, key, found, may_be_empty=True)).set(
                "type", type(value).__name__
            )

    def _plain(self, text: str, given: str, key: str, found: Object, *, may_be_empty: bool = False) -> str:
        """Text that XML can hold; what had to change is reported."""
        plain = "".join(char if is_plain_name(char) and char not in "\ufffe\uffff" else "_" for char in text)
        plain = plain if plain or may_be_empty else "_"
        if plain != given:
            detail = f"{given!r} to {plain!r}"
            reason = "text that XML cannot hold"
            self._report.add(Action.REPAIRED, reason, key=key, object_id=found.id, detail=detail)
        return plain

    def finish(self) -> None:
        for name in self._classes.numbers.keys() - self._classes.used:
            self._report.add(Action.DROPPED, "class that no object has", detail=name)
        order = [name for name in self._classes.numbers if name in self._classes.used]
        if order != sorted(order):
            self._report.add(Action.DROPPED, "order of the classes", detail="VOC has no list of them")
        self._losses.finish()
        if self._columns.has_split:
            self._write_lists(self._destination / "ImageSets" / "Main")

    def _write_lists(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        names = Names(self._report, "split")
        lists: dict[str, list[PathList]] = {split: [stems] for split, stems in self._lists.items()}
        if {"train", "val"} <= lists.keys():
            lists.setdefault("trainval", [*lists["train"], *lists["val"]])
        for split, parts in lists.items():
            with (folder / f"{names.of(split)}.txt").open("w", encoding="utf-8") as out:
                out.writelines(f"{stem}\n" for stem in chain.from_iterable(parts))


def _add(parent: Element, tag: str, text: str) -> Element:
    child = SubElement(parent, tag)
    child.text = text
    return child


def _shifted(value: float, offset: int) -> str:
    """The number with all its digits, plus the offset; whole numbers without a point."""
    if value.is_integer() and abs(value) < 1 << 53:
        return str(int(value) + offset)
    return str(EXACT.add(Decimal(repr(value)), Decimal(offset))) if offset else repr(value)
