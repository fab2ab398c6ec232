"""YAML: one file that lists the images, each with its boxes.

Read: any ``.yaml`` file with a list ``images``, whose entries have ``file`` (or image, path, filename, file_name),
and ``boxes`` (or objects, box_list, instances), each with ``class`` (or label, name) and either ``box: [x1, y1, x2,
y2]`` or x_min, y_min, x_max, y_max (or x1 …). Further plain values of a box become attributes. An image without
``boxes`` is not labelled; one with an empty list is reviewed and empty. Tags of YAML that make objects are refused.

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
from saccade.core.objects import AttributeValue, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Schema
from saccade.formats._common.attributes import scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.json import Json, to_float
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import source_tree
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_FILE_NAMES = ("file", "image", "path", "filename", "file_name")
_LIST_NAMES = ("boxes", "objects", "box_list", "instances")
_CLASS_NAMES = ("class", "label", "name", "label_name")
_CORNERS = (("x_min", "y_min", "x_max", "y_max"), ("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"))
_KNOWN = {"box", "id", "score", "track", *_CLASS_NAMES, *(name for names in _CORNERS for name in names)}


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
        found = next((file for file in files if _entries(source / file, ConversionReport()) is not None), None)
        if found is None:
            return Detection(False, f"{files[0]} has no list of images with files")
        return Detection(True, f"{found} lists images with files")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
        parse_options(NoOptions, options, "YAML")
        return BoxesYamlReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "YAML")
        return BoxesYamlWriter(schema, destination, report)


class BoxesYamlReader(PerImageReader):
    def open(self) -> RecordStream:
        report = self.report
        names: set[str] = set()
        count = 0
        for file in self.tree.files_below("", (".yaml", ".yml")):
            entries = _entries(self.tree.path(file), report)
            count += entries is not None
            for one in entries or ():
                entry = self.labels_for(str(_first(one, _FILE_NAMES)), file.rpartition("/")[0], location=file)
                if entry is None:
                    continue
                boxes = _first(one, _LIST_NAMES)
                if isinstance(boxes, list):
                    made = [_plain(box) for box in boxes if isinstance(box, dict)]
                    entry.raw = [*(entry.raw or []), *made]
                    names.update(filter(None, map(_class_of, made)))
                if isinstance(one.get("split"), str):
                    entry.split = one["split"]
        if not count:
            raise FormatError(f"No YAML file below {self.tree.root} has a list of images with files.")
        return self.stream(sorted(names), lambda raw, key, size: _objects(raw, key, size, report))


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
            entry |= {"width": image.size_wh[0], "height": image.size_wh[1]}
        if image.split is not None:
            entry["split"] = image.split
        if image.objects is not None:
            entry["boxes"] = list(_written(image.objects, image.key, self._losses, self))
        self._file.write(yaml.dump([entry], Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1 << 30))
        self._is_empty = False

    def _finish(self) -> None:
        super()._finish()
        if self._is_empty:
            self._file.write("  []\n")
        self.classes.report_unlisted(self.report)


class _Dumper(yaml.CSafeDumper if hasattr(yaml, "CSafeDumper") else yaml.SafeDumper):  # type: ignore[misc]
    """The safe dumper; equal lists are written twice, not as references to one."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _first(entry: Json, names: Sequence[str]) -> Any:
    return next((entry[name] for name in names if name in entry), None)


def _class_of(box: Json) -> str:
    value = _first(box, _CLASS_NAMES)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _entries(path: Path, report: ConversionReport) -> Iterator[Json] | None:
    """The entries of images, as they come; None where the file has none, or not only what can be read."""
    count = fitting = 0
    try:
        for one in _listed(path):
            count += 1
            fitting += _is_entry(one)
    except _NoListError:
        return None
    except (OSError, yaml.YAMLError, RecursionError, ValueError) as error:
        report.add(FindingType.SET_ASIDE, "annotation that cannot be read", detail=str(error)[:200])
        return None
    return filter(_is_entry, _listed(path)) if fitting or not count else None


def _is_entry(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(_first(one, _FILE_NAMES), str)


class _NoListError(Exception):
    """A file of YAML has no list of images."""


_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe, Composer):  # type: ignore[misc]
    """The safe loader, a value at a time; ValueError where parts are referred to again: they could unfold to a lot."""

    def __init__(self, stream: IO[str]) -> None:
        _Safe.__init__(self, stream)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it refers to parts of itself by aliases, which could unfold to a great deal")
        return super().compose_node(parent, index)

    def value(self) -> Any:
        """The value that begins here."""
        self.anchors = {}
        return self.construct_document(self.compose_node(None, None))

    def elements(self) -> Iterator[Any]:
        """The elements of the list that begins here."""
        self.get_event()
        while not self.check_event(yaml.SequenceEndEvent):
            yield self.value()
        self.get_event()


def _listed(path: Path) -> Iterator[Any]:
    """The elements of the list ``images``, or of the list that a file is; _NoListError where it is neither."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        loader = _Loader(file)
        try:
            loader.get_event()  # the beginning of the stream
            is_there = not loader.check_event(yaml.StreamEndEvent) and loader.get_event() is not None
            if is_there and loader.check_event(yaml.SequenceStartEvent):
                yield from loader.elements()
            elif is_there and loader.check_event(yaml.MappingStartEvent):
                yield from _of_mapping(loader)
            else:
                raise _NoListError
            loader.get_event()  # the end of the document
            if not loader.check_event(yaml.StreamEndEvent):
                raise ValueError("it holds several documents")
        finally:
            loader.dispose()


def _of_mapping(loader: _Loader) -> Iterator[Any]:
    is_there = False
    loader.get_event()
    while not loader.check_event(yaml.MappingEndEvent):
        if loader.value() == "images" and loader.check_event(yaml.SequenceStartEvent) and not is_there:
            is_there = True
            yield from loader.elements()
        else:
            loader.value()
    loader.get_event()
    if not is_there:
        raise _NoListError


def _plain(value: Any) -> Any:
    """A value of YAML as JSON holds it: dates as text, and nothing in place of what has no text."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, date):
        return str(value)
    return value if value is None or isinstance(value, str | bool | int | float) else {}


def _objects(raw: Sequence[Json], key: str, size_wh: SizeWH | None, report: ConversionReport) -> Iterator[Object]:
    used: set[str] = set()
    for position, box in enumerate(raw, 1):
        wish = box.get("id")
        object_id = str(wish) if isinstance(wish, str | int) and str(wish) else str(position)
        while object_id in used:
            object_id += "'"
        used.add(object_id)
        name = _class_of(box)
        if not name:
            report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id)
            continue
        fitted = fit_box(_corners(box), size_wh, report, key=key, object_id=object_id)
        if fitted is not None:
            score, track = to_float(box.get("score")), box.get("track")
            yield Object(
                object_id,
                name,
                fitted,
                score if math.isfinite(score) else None,
                None if track in (None, "") else str(track),
                _attributes(box, key, object_id, report),
            )


def _corners(box: Json) -> tuple[float, float, float, float]:
    sides = box.get("box")
    if not isinstance(sides, list) or len(sides) != 4:
        names = next((names for names in _CORNERS if names[0] in box), _CORNERS[0])
        sides = [box.get(name) for name in names]
    x1, y1, x2, y2 = (to_float(side) for side in sides)
    return x1, y1, x2, y2


def _attributes(box: Json, key: str, object_id: str, report: ConversionReport) -> dict[str, AttributeValue]:
    given: Mapping[Any, Any] = box["attributes"] if isinstance(box.get("attributes"), dict) else {}
    more = {name: value for name, value in box.items() if name not in _KNOWN and name != "attributes"}
    return scalar_attributes({**more, **given}, report, key=key, object_id=object_id, finite=False)


def _written(objects: Sequence[Object], key: str, losses: LossCounter, out: PerImageWriter) -> Iterator[Json]:
    for position, found in enumerate(objects, 1):
        losses.count(key, found, position)
        bounds = losses.bounds_xyxy(key, found)
        if bounds is None:
            continue
        out.classes.index_of(found.class_name)
        entry: Json = {"id": found.id, "class": found.class_name, "box": list(bounds)}
        entry |= {name: value for name in ("score", "track") if (value := getattr(found, name)) is not None}
        yield {**entry, **({"attributes": dict(found.attributes)} if found.attributes else {})}


FORMAT = BoxesYaml()
