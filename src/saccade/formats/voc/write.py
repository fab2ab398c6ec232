"""Writing Pascal VOC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from saccade.core.objects import AttributeValue, BoundsXYXY, Object, Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.media import copy_media, record_size_wh
from saccade.formats._common.names import SPLIT, FileNames, FolderNames
from saccade.formats._common.paths import PathList, is_printable
from saccade.formats.base import Record, Writer
from saccade.formats.voc.annotations import DATABASE, EXACT, FLAGS
from saccade.formats.voc.segmentation import SegmentationMasks, to_mask


@dataclass(frozen=True)
class VocWriteOptions:
    """Options of writing.

    Attributes:
        origin: number of the first pixel; the devkit's is 1.
    """

    origin: str | int = "1"


class VocWriter(Writer):
    """Writes Annotations, JPEGImages, the PNGs of masks and, with splits, their lists in ImageSets/Main."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport, origin: int) -> None:
        super().__init__()
        self._columns = SupportedColumns(schema, report, Kind.OBJECTS)
        self._columns.report_class_details("parent", "color", "keypoints", "skeleton")
        self._destination = destination
        self._origin = origin
        self._report = report
        self._file_names = FileNames(report)
        self._classes = ClassIndex(self._columns.labels)
        self._losses = LossCounter(report, attributes=True)
        self._stems_by_split: dict[str, PathList] = {}
        for folder in ("Annotations", "JPEGImages"):
            (destination / folder).mkdir()

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        stem = self._file_names.claim(record.key)
        images = self._destination / "JPEGImages"
        image = copy_media(record, images / stem, self._report)
        if image is None:
            return
        if (split := self._columns.split_of(record)) is not None:
            self._stems_by_split.setdefault(split, PathList()).append(stem)
        objects = self._columns.labels_of(record)
        if objects is not None:
            root, masks = self._annotation(record, image.name, objects)
            if masks.masks:
                masks.write(record.key, stem, self._destination, self._classes.indices, self._report)
            path = self._destination / "Annotations" / f"{stem}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            indent(root)
            ElementTree(root).write(path, encoding="utf-8")

    def _annotation(self, record: Record, file_name: str, objects: Objects) -> tuple[Element, SegmentationMasks]:
        root = Element("annotation")
        _add(root, "folder", "JPEGImages")
        _add(root, "filename", file_name)
        source = SubElement(root, "source")
        _add(source, "database", DATABASE)
        _add(source, "annotation", f"origin {self._origin}")
        size_wh = record_size_wh(record)
        if size_wh is not None:
            size = SubElement(root, "size")
            for name, value in zip(("width", "height", "depth"), (*size_wh, 3), strict=True):
                _add(size, name, str(value))
        segmented = _add(root, "segmented", "0")
        masks = SegmentationMasks(size_wh or (0, 0), {})
        written = 0
        for obj in objects:
            mask = to_mask(obj, size_wh)
            self._losses.count(record.key, obj, written + 1, "" if mask is None else "mask")
            bounds = self._losses.bounds_xyxy(record.key, obj)
            if bounds is not None:
                written += 1
                root.append(self._object(record.key, obj, bounds))
                if mask is not None:
                    masks.masks[written] = obj, mask
                    segmented.text = "1"
        return root, masks

    def _object(self, key: str, obj: Object, bounds: BoundsXYXY) -> Element:
        self._classes.index_of(obj.class_name)
        element = Element("object")
        _add(element, "name", self._xml_text(obj.class_name.strip(), obj.class_name, key, obj))
        attributes = dict(obj.attributes)
        pose = attributes.get("pose")
        # Other poses, which would not be read back, are written among the attributes.
        if isinstance(pose, str) and pose == pose.strip() and pose not in ("", "Unspecified"):
            del attributes["pose"]
            _add(element, "pose", self._xml_text(pose, pose, key, obj))
        else:
            _add(element, "pose", "Unspecified")
        for flag in FLAGS:
            is_set = attributes.get(flag) is True
            _add(element, flag, str(int(is_set)))
            if is_set:
                del attributes[flag]
        box = SubElement(element, "bndbox")
        # Both ends are included from pixel 1 on, so only the first corner is shifted.
        offsets = (self._origin, self._origin, 0, 0)
        for name, value, offset in zip(("xmin", "ymin", "xmax", "ymax"), bounds, offsets, strict=True):
            _add(box, name, _format_coordinate(value, offset))
        if attributes:
            self._add_attributes(element, attributes, key, obj)
        return element

    def _add_attributes(self, parent: Element, attributes: Mapping[str, AttributeValue], key: str, obj: Object) -> None:
        group = SubElement(parent, "attributes")
        for name, value in attributes.items():
            attribute = SubElement(group, "attribute")
            _add(attribute, "name", self._xml_text(name, name, key, obj))
            text = str(value).lower() if isinstance(value, bool) else str(value)
            value_element = _add(attribute, "value", self._xml_text(text, text, key, obj, allow_empty=True))
            value_element.set("type", type(value).__name__)

    def _xml_text(self, text: str, original: str, key: str, obj: Object, *, allow_empty: bool = False) -> str:
        """Replace characters that XML cannot express; a difference to the original is reported."""
        xml_text = "".join(char if is_printable(char) and char not in "\ufffe\uffff" else "_" for char in text)
        xml_text = xml_text if xml_text or allow_empty else "_"
        if xml_text != original:
            detail = f"{original!r} to {xml_text!r}"
            reason = "text that XML cannot hold"
            self._report.add(FindingType.REPAIRED, reason, key=key, object_id=obj.id, detail=detail)
        return xml_text

    def _finish(self) -> None:
        self._classes.report_unlisted(self._report, "VOC has no list of them")
        self._losses.report()
        if self._columns.has_split:
            self._write_lists(self._destination / "ImageSets" / "Main")
        self._columns.report_dropped()

    def _write_lists(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        names = FolderNames(self._report, SPLIT)
        lists: dict[str, list[PathList]] = {split: [stems] for split, stems in self._stems_by_split.items()}
        if {"train", "val"} <= lists.keys():
            lists.setdefault("trainval", [*lists["train"], *lists["val"]])
        for split, parts in lists.items():
            with (folder / f"{names.get(split)}.txt").open("w", encoding="utf-8") as out:
                out.writelines(f"{stem}\n" for stem in chain.from_iterable(parts))


def _add(parent: Element, tag: str, text: str) -> Element:
    child = SubElement(parent, tag)
    child.text = text
    return child


def _format_coordinate(value: float, offset: int) -> str:
    """Add the offset and format the sum with all its digits; integers without a decimal point."""
    if value.is_integer() and abs(value) < 1 << 53:
        return str(int(value) + offset)
    return str(EXACT.add(Decimal(repr(value)), Decimal(offset))) if offset else repr(value)
