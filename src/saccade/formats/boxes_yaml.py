"""YAML: one file that lists the images, each with its boxes.

Read: any ``.yaml`` file with a list ``images``, whose entries have ``file`` (or image, path, filename, file_name),
and ``boxes`` (or objects, box_list, instances), each with ``class`` (or label, name) and either ``box: [x1, y1, x2,
y2]`` or x_min, y_min, x_max, y_max (or x1 …). Further scalar values of a box become attributes. An image without
``boxes`` is not labelled yet; one with an empty list is reviewed and empty. YAML tags that create objects are refused.

Written: ``annotations.yaml``, with width, height and split of each image, and the images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import IO, Any, ClassVar

import yaml
from yaml.composer import Composer

from saccade.core.errors import FormatError
from saccade.core.objects import AttributeValue, BoundsXYXY, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Schema
from saccade.formats._common.attributes import claim_object_id, scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.encoding import open_text
from saccade.formats._common.frames import to_size_wh
from saccade.formats._common.json import Json, to_float
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import source_tree
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats._common.source_files import mark_rejected
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_FILE_NAMES = ("file", "image", "path", "filename", "file_name")
_LIST_NAMES = ("boxes", "objects", "box_list", "instances")
_CLASS_NAMES = ("class", "label", "name", "label_name")
_CORNERS = (("x_min", "y_min", "x_max", "y_max"), ("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"))
_OWN_FIELDS = {"box", "id", "score", "track", *_CLASS_NAMES, *(name for names in _CORNERS for name in names)}


class BoxesYaml(Format):
    name: ClassVar[str] = "yaml"
    title: ClassVar[str] = "YAML"
    supports: ClassVar[str] = "boxes; scores, tracks, attributes, splits; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and YAML is read from a folder with its images")
        files = list(source_tree(source).files_below("", (".yaml", ".yml")))
        if not files:
            return Detection(False, "there is no YAML file in it")
        first = next((file for file in files if _read_entries(source / file, ConversionReport()) is not None), None)
        if first is None:
            return Detection(False, f"{files[0]} has no list of images with files")
        return Detection(True, f"{first} lists images with files")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        parse_options(NoOptions, options, "YAML")
        return BoxesYamlReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "YAML")
        return BoxesYamlWriter(schema, destination, report)


class BoxesYamlReader(PerImageReader):
    def open(self) -> RecordStream:
        names: set[str] = set()
        file_count = 0
        for file in self.tree.files_below("", (".yaml", ".yml")):
            entries = _read_entries(self.tree.path(file), self.report)
            if entries is None:
                mark_rejected(self.tree.path(file))
                continue
            file_count += 1
            for entry in entries:
                image = str(_first_value(entry, _FILE_NAMES))
                labels = self.labels_for(image, file.rpartition("/")[0], location=file)
                if labels is None:
                    continue
                boxes = _first_value(entry, _LIST_NAMES)
                if isinstance(boxes, list):
                    json_boxes = [_to_json(box) for box in boxes if isinstance(box, dict)]
                    labels.raw = [*(labels.raw or []), *json_boxes]
                    names.update(name for box in json_boxes if (name := _class_of(box)))
                if isinstance(entry.get("split"), str):
                    labels.split = entry["split"]
                labels.stated_wh = labels.stated_wh or to_size_wh(entry.get("width"), entry.get("height"))
        if not file_count:
            raise FormatError(f"No YAML file below {self.tree.root} has a list of images with files.")
        return self.stream(sorted(names), self._objects)

    def _objects(self, boxes: Sequence[Json], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        used_ids: set[str] = set()
        for position, box in enumerate(boxes, 1):
            stated_id = box.get("id")
            preferred = str(stated_id) if isinstance(stated_id, str | int) and str(stated_id) else str(position)
            object_id = claim_object_id(preferred, used_ids)
            name = _class_of(box)
            if not name:
                self.report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id)
                continue
            geometry = fit_box(_corners(box), size_wh, self.report, key=key, object_id=object_id)
            if geometry is None:
                continue
            score = to_float(box.get("score"))
            track = box.get("track")
            yield Object(
                object_id,
                name,
                geometry,
                score if math.isfinite(score) else None,
                None if track in (None, "") else str(track),
                self._attributes(box, key, object_id),
            )

    def _attributes(self, box: Json, key: str, object_id: str) -> dict[str, AttributeValue]:
        attributes: Mapping[Any, Any] = box["attributes"] if isinstance(box.get("attributes"), dict) else {}
        further = {name: value for name, value in box.items() if name not in _OWN_FIELDS and name != "attributes"}
        return scalar_attributes({**further, **attributes}, self.report, key=key, object_id=object_id, finite=False)


def _first_value(entry: Json, names: Sequence[str]) -> Any:
    """Return the value of the first of these names that an entry has, or None."""
    return next((entry[name] for name in names if name in entry), None)


def _class_of(box: Json) -> str:
    value = _first_value(box, _CLASS_NAMES)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _corners(box: Json) -> BoundsXYXY:
    sides = box.get("box")
    if not isinstance(sides, list) or len(sides) != 4:
        names = next((names for names in _CORNERS if names[0] in box), _CORNERS[0])
        sides = [box.get(name) for name in names]
    x1, y1, x2, y2 = (to_float(side) for side in sides)
    return x1, y1, x2, y2


def _to_json(value: Any) -> Any:
    """Convert a value from YAML to JSON: dates become text, and values without a JSON type an empty object."""
    if isinstance(value, dict):
        return {str(name): _to_json(element) for name, element in value.items()}
    if isinstance(value, list):
        return [_to_json(element) for element in value]
    if isinstance(value, date):
        return str(value)
    return value if value is None or isinstance(value, str | bool | int | float) else {}


def _read_entries(path: Path, report: ConversionReport) -> Iterator[Json] | None:
    """Return a stream of the entries of images, or None if the file has none or any part of it cannot be read.

    The file is parsed twice: first to check all of it, then while the caller iterates.
    """
    total = 0
    valid = 0
    try:
        for element in _iter_images(path):
            total += 1
            valid += _is_entry(element)
    except _NoListError:
        return None
    except (FormatError, OSError, yaml.YAMLError, RecursionError, ValueError) as error:
        report.add(FindingType.SKIPPED, "annotation that cannot be read", detail=str(error)[:200])
        return None
    return filter(_is_entry, _iter_images(path)) if valid or not total else None


def _is_entry(element: Any) -> bool:
    return isinstance(element, dict) and isinstance(_first_value(element, _FILE_NAMES), str)


class _NoListError(Exception):
    """A YAML file has no list of images."""


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader, Composer):  # type: ignore[misc]
    """The safe loader, for one value at a time.

    Raises:
        ValueError: if the file has aliases; nested ones could expand to more than fits into memory.
    """

    def __init__(self, stream: IO[str]) -> None:
        _SafeLoader.__init__(self, stream)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has aliases, which could expand to a large amount of data")
        return super().compose_node(parent, index)

    def read_value(self) -> Any:
        """Return the value that begins at the next event."""
        # Without this, the anchors of all earlier values would stay in memory.
        self.anchors = {}
        return self.construct_document(self.compose_node(None, None))

    def read_elements(self) -> Iterator[Any]:
        """Yield the elements of the list that begins at the next event."""
        self.get_event()
        while not self.check_event(yaml.SequenceEndEvent):
            yield self.read_value()
        self.get_event()


def _iter_images(path: Path) -> Iterator[Any]:
    """Yield the elements of the list ``images``, or of the list that the file consists of.

    Raises:
        _NoListError: if there is no such list.
        ValueError: if there are aliases or several documents.
    """
    with open_text(path) as file:
        loader = _Loader(file)
        try:
            loader.get_event()  # the start of the stream
            has_document = not loader.check_event(yaml.StreamEndEvent) and loader.get_event() is not None
            if has_document and loader.check_event(yaml.SequenceStartEvent):
                yield from loader.read_elements()
            elif has_document and loader.check_event(yaml.MappingStartEvent):
                yield from _iter_images_of_mapping(loader)
            else:
                raise _NoListError
            loader.get_event()  # the end of the document
            if not loader.check_event(yaml.StreamEndEvent):
                raise ValueError("it has several documents")
        finally:
            loader.dispose()


def _iter_images_of_mapping(loader: _Loader) -> Iterator[Any]:
    has_list = False
    loader.get_event()
    while not loader.check_event(yaml.MappingEndEvent):
        if loader.read_value() == "images" and loader.check_event(yaml.SequenceStartEvent) and not has_list:
            has_list = True
            yield from loader.read_elements()
        else:
            loader.read_value()
    loader.get_event()
    if not has_list:
        raise _NoListError


class BoxesYamlWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, split_folders="custom")
        self._losses = LossCounter(report, attributes=True, tracks=True, scores=True)
        path = destination / "annotations.yaml"
        self._file = self._open_files.enter_context(path.open("w", encoding="utf-8"))
        self._file.write("images:\n")
        self._is_empty = True

    def write_labels(self, image: WrittenImage) -> None:
        entry: Json = {"file": image.image_path}
        if image.size_wh:
            entry["width"], entry["height"] = image.size_wh
        if image.split is not None:
            entry["split"] = image.split
        if image.objects is not None:
            entry["boxes"] = list(self._boxes(image.objects, image.key))
        self._file.write(yaml.dump([entry], Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1 << 30))
        self._is_empty = False

    def _finish(self) -> None:
        super()._finish()
        if self._is_empty:
            self._file.write("  []\n")
        self.classes.report_unlisted(self.report)

    def _boxes(self, objects: Sequence[Object], key: str) -> Iterator[Json]:
        for position, obj in enumerate(objects, 1):
            self._losses.count(key, obj, position)
            bounds = self._losses.bounds_xyxy(key, obj)
            if bounds is None:
                continue
            self.classes.index_of(obj.class_name)
            entry: Json = {"id": obj.id, "class": obj.class_name, "box": list(bounds)}
            if obj.score is not None:
                entry["score"] = obj.score
            if obj.track is not None:
                entry["track"] = obj.track
            if obj.attributes:
                entry["attributes"] = dict(obj.attributes)
            yield entry


class _Dumper(yaml.CSafeDumper if hasattr(yaml, "CSafeDumper") else yaml.SafeDumper):  # type: ignore[misc]
    """The safe dumper, without aliases: our own reader refuses them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


FORMAT = BoxesYaml()
