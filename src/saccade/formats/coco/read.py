"""COCO: one JSON file (or one per split) of images, annotations and categories, beside the images.

Read: instances and person_keypoints files; boxes, polygons of several parts, masks as plain or compressed run
lengths, crowd regions, keypoints with their skeleton, scores, ``attributes`` (with ``track_id`` as the track), and
extra fields of images as the column ``metadata``. One object has one geometry: keypoints come before a segmentation,
a segmentation before a box. COCO cannot say that an image is not labelled yet, so an image without annotations is
taken as reviewed and empty, and reported as a guess.

Written: ``annotations.json`` or, with splits, ``annotations/instances_<split>.json``, and ``images/``. What COCO has no
field for stands under the extra key ``saccade``, which other readers pass over: it makes our own reader exact.

Source of the format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError
from saccade.core.objects import Object, Objects
from saccade.core.report import Action, Report
from saccade.core.schema import Column, Kind, Schema
from saccade.formats._common.json import Json, list_of, load_json, own
from saccade.formats._common.json_stream import is_large
from saccade.formats._common.options import one_of, parse_options
from saccade.formats._common.paths import Keys, Tree, is_plain_name, normal, stem_of
from saccade.formats._common.spill import DiskNames, RoomySet
from saccade.formats.base import Detection, LocalFile, Reading, Record
from saccade.formats.coco.annotations import (
    DROPPED_FIELDS,
    STANDARD_FIELDS,
    AnnotationReader,
    Categories,
    HeldNames,
    group_annotations,
    size_wh,
    valid_images,
)
from saccade.formats.coco.files import AnnotationFile, Images, annotation_files, candidates, looks_like_coco
from saccade.formats.coco.image_entry import Entry
from saccade.formats.coco.indexed_file import Entries, LargeFile
from saccade.formats.coco.write import Options as WriteOptions
from saccade.formats.coco.write import write_coco


@dataclass(frozen=True)
class ReadOptions:
    """``images_dir``: the folder of the images, where it is not beside the annotations. ``media``: ``required`` sets
    images without a file aside, ``optional`` reads their labels alone. ``task``: auto, instances or person_keypoints.
    """

    images_dir: str | Path | None = None
    media: str = "required"
    task: str = "auto"


@dataclass
class _Source:
    """One loaded annotation file.

    Attributes:
        large: the file, where it is a large one; its images and annotations are not in ``data`` then.
    """

    file: AnnotationFile
    data: Json
    categories: Categories
    entries: list[Entry] | Entries
    large: LargeFile | None = None

    @property
    def split(self) -> str | None:
        split = own(self.data).get("split", self.file.split)
        return None if split is None else str(split)

    def images(self) -> Iterable[tuple[Any, int]]:
        """What the file says of images, with their numbers."""
        if self.large is not None:
            return self.large.images()
        return ((entry, number) for number, entry in enumerate(list_of(self.data, "images")))

    def add(self, entry: Entry, number: int) -> None:
        if isinstance(self.entries, Entries):
            self.entries.append(entry, number)
        else:
            self.entries.append(entry)


class Coco:
    name: ClassVar[str] = "coco"
    title: ClassVar[str] = "COCO"
    holds: ClassVar[str] = "boxes, polygons, masks and keypoints; scores, tracks, attributes; splits"

    def detect(self, source: Path) -> Detection:
        if source.is_file() and source.suffix.lower() != ".json":
            return Detection(False, "it is a file, but not JSON")
        found = [path for path in candidates(source) if path.name != "saccade.json"]
        if not found:
            return Detection(False, "there is no JSON file in it, in annotations/ or in split folders")
        for path in found:
            if path.stat().st_size and looks_like_coco(path):
                return Detection(True, f"{path.name} has images and annotations")
        return Detection(False, f"{found[0].name} has no images and annotations at its top")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder or an annotation file; see :class:`ReadOptions`."""
        chosen = parse_options(ReadOptions, options, "COCO")
        one_of("media", chosen.media, ("required", "optional"))
        one_of("task", chosen.task, ("auto", "instances", "person_keypoints"))
        return _CocoReading(source, chosen, report).open()

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        write_coco(reading, destination, report, parse_options(WriteOptions, options, "COCO"))


class _CocoReading:
    """One opening of a source."""

    def __init__(self, source: Path, options: ReadOptions, report: Report) -> None:
        self._report = report
        self._options = options
        self._categories = Categories({})
        self._tree = Tree(_root(source, options))
        self._sources = [self._load(file) for file in annotation_files(source, options.task, report)]
        self._keys = Keys(report)
        self._has_metadata = False

    def open(self) -> Reading:
        self._tree.report_unusable(self._report)
        named = RoomySet()
        for source in self._sources:
            images = Images(self._tree, source.file, source.data, named)
            for entry, number in self._entries(source, images):
                source.add(entry, number)
        self._report_unnamed(named)
        columns = [Column("image", Kind.IMAGE), self._objects_column()]
        if any(source.split is not None or "split" in own(source.data) for source in self._sources):
            columns.append(Column("split", Kind.TEXT))
        if self._has_metadata or any(own(source.data).get("metadata") for source in self._sources):
            columns.append(Column("metadata", Kind.TABLE))
        return Reading(Schema(tuple(columns)), self._records(), sum(len(source.entries) for source in self._sources))

    def _objects_column(self) -> Column:
        return Column("objects", Kind.OBJECTS, tuple(self._categories.classes.values()))

    def _load(self, file: AnnotationFile) -> _Source:
        large = LargeFile(file.path, self._report) if is_large(file.path) else None
        data = load_json(file.path, self._report) if large is None else large.rest
        if not isinstance(data, dict) or not isinstance(data.get("images"), list):
            raise FormatError(f"{file.path} has no list of images.", hint="Is it a COCO annotation file?")
        for name in data.keys() - {"images", "annotations", "categories", "saccade", "type"}:
            if data[name]:
                self._report.add(Action.DROPPED, "field of the file", detail=f"'{name}' of {file.path.name}")
        categories = Categories(self._categories.classes)
        categories.load(list_of(data, "categories"), self._report)
        return _Source(file, data, categories, [] if large is None else large.entries(), large)

    def _entries(self, source: _Source, images: Images) -> Iterator[tuple[Entry, int]]:
        lost: Counter[str] = Counter()
        seen = HeldNames() if source.large is None else DiskNames()
        for image, number in valid_images(source.images(), seen, self._report):
            name = image["file_name"]
            lost.update(image.keys() & DROPPED_FIELDS)
            if not is_plain_name(name):
                self._report.add(Action.SET_ASIDE, "name with control characters", detail=ascii(name))
                continue
            before = len(self._report)
            found = images.find(name, self._report)
            if found is None and not self._without_file(name, len(self._report) > before):
                continue
            stem = stem_of(found[1] if found else normal(name))
            wishes = (stem, f"{source.split}/{stem}") if source.split else (stem,)
            self._has_metadata = self._has_metadata or bool(image.keys() - STANDARD_FIELDS - DROPPED_FIELDS)
            yield Entry(image["id"], image, self._keys.take(*wishes), found[0] if found else None, source.split), number
        for field, count in lost.items():
            self._report.add(Action.DROPPED, "field of images", detail=f"'{field}' of {count}")

    def _without_file(self, name: str, is_reported: bool) -> bool:
        """Whether an image that has no file is read all the same; says why."""
        if is_reported:
            return False
        optional = self._options.media == "optional"
        self._report.add(Action.NOTICED if optional else Action.SET_ASIDE, "image file missing", detail=repr(name))
        return optional

    def _report_unnamed(self, named: RoomySet) -> None:
        unnamed = (file for file in self._tree.each_image() if file not in named)
        if (first := next(unnamed, None)) is not None:
            detail = f"{1 + sum(1 for _ in unnamed)} files, the first {first}"
            self._report.add(Action.NOTICED, "image files without an entry", detail=detail)

    def _records(self) -> Iterator[Record]:
        for source in self._sources:
            large = source.large
            reader = AnnotationReader(source.categories.by_id, self._report, None if large is None else large.repeated)
            if large is not None:
                assert isinstance(source.entries, Entries)
                group_annotations(large.unowned(source.entries), (), self._report)
                for entry in source.entries:
                    yield self._record(entry, large.annotations(entry.image_id), reader)
            else:
                known = {entry.image_id for entry in source.entries}
                groups = group_annotations(list_of(source.data, "annotations"), known, self._report)
                source.data = {"saccade": own(source.data)}
                for entry in source.entries:
                    yield self._record(entry, groups.pop(entry.image_id, []), reader)
            reader.finish()

    def _record(self, entry: Entry, annotations: list[Json], reader: AnnotationReader) -> Record:
        size = size_wh(entry.image)
        values: dict[str, Any] = {"objects": self._labels(entry, annotations, reader, size)}
        if entry.split is not None:
            values["split"] = entry.split
        if self._has_metadata and (metadata := self._metadata(entry)):
            values["metadata"] = metadata
        media = LocalFile(self._tree.path(entry.file)) if entry.file is not None else None
        return Record(entry.key, media, values, size)

    def _labels(
        self, entry: Entry, annotations: list[Json], reader: AnnotationReader, size: tuple[int, int] | None
    ) -> Objects | None:
        if annotations:
            return reader.objects(annotations, entry.key, size)
        labelled = own(entry.image).get("labelled")
        if labelled is None:
            reason = "image without annotations taken as reviewed and empty"
            self._report.add(Action.GUESSED, reason, key=entry.key)
        return None if labelled is False else ()

    def _metadata(self, entry: Entry) -> Json:
        made = {}
        for name in entry.image:
            if name not in STANDARD_FIELDS and name not in DROPPED_FIELDS:
                if _is_finite(entry.image[name]):
                    made[name] = entry.image[name]
                else:
                    self._report.add(Action.DROPPED, "metadata that is not finite", key=entry.key, detail=name)
        return made


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list) else True


def _root(source: Path, options: ReadOptions) -> Path:
    """The folder that holds the images, and outside of which nothing is read."""
    if options.images_dir is not None:
        return Path(options.images_dir)
    if source.is_file():
        return source.parent.parent if source.parent.name == "annotations" else source.parent
    return source


def read_results(path: Path, truth: Path, report: Report, **options: Any) -> dict[str, Objects]:
    """Detections from a COCO results file, by the key that the image has when ``truth`` is read.

    Args:
        path: a list of detections with image_id, category_id, score, and bbox, segmentation or keypoints.
        truth: the annotation file (or folder) that defines the images and categories.
        options: those of reading ``truth``; ``media`` is ``optional`` unless given.
    """
    results = load_json(path, report)
    if not isinstance(results, list):
        raise FormatError(f"{path} is not a list of detections.", hint="Is it a dataset rather than results?")
    chosen = parse_options(ReadOptions, {"media": "optional", **options}, "COCO")
    reading = _CocoReading(truth, chosen, Report())
    reading.open()
    found: dict[str, tuple[Object, ...]] = {}
    for source in reading._sources:
        ids = {entry.image_id for entry in source.entries}
        groups = group_annotations(map(_as_annotation, results), ids, report)
        reader = AnnotationReader(source.categories.by_id, report)
        for entry in source.entries:
            found[entry.key] = reader.objects(groups.get(entry.image_id, []), entry.key, None)
        reader.finish()
    return found


def _as_annotation(entry: Any) -> Any:
    """A detection as an annotation: its id is its place, and the third number of its keypoints no visibility."""
    if not isinstance(entry, dict):
        return entry
    made = {name: value for name, value in entry.items() if name != "id"}
    if isinstance(points := made.get("keypoints"), list):
        made["keypoints"] = [2 if at % 3 == 2 else value for at, value in enumerate(points)]
    return made


FORMAT = Coco()
