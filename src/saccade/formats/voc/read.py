"""Pascal VOC: an XML file of boxes for each image, with lists of the splits.

Read: ``Annotations/`` with ``JPEGImages/`` and ``ImageSets/Main``, a VOCdevkit around them, or XML files beside the
images (in split folders too). An image without an XML file is not labelled yet; one whose file has no objects is
reviewed and empty. ``difficult``, ``truncated``, ``occluded`` and ``pose`` become attributes where they are set. An
object whose number, its place in the file, has pixels in the PNG of the image in ``SegmentationObject`` gets these as
its mask in place of its box; with ``shapes=boxes`` the boxes stay.

Pixels: the devkit counts them from 1 and includes both ends, so a box there is ``x1 = xmin - 1``, ``x2 = xmax`` here
(option ``origin=1``). Many tools write plain coordinates from 0 (``origin=0``: nothing is taken off). ``auto``
decides for the whole set, and reports the guess: from 0 where any xmin or ymin is below 1, where all files are by
labelImg (which counts from 0 but writes 1 for 0), or where most coordinates have fractions; else from 1.

Written: the three folders, and for masks and polygons ``SegmentationObject`` and ``SegmentationClass``, in which the
later of two objects covers the earlier, which is reported; coordinates keep all their digits, whole numbers stand
without a point. Files say their origin in ``source/annotation``, so our own reader need not guess. Attributes are
kept in ``attributes``, as CVAT does.

Source of the format: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError, SaccadeError
from saccade.core.report import Action, Report
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.options import one_of, parse_options
from saccade.formats._common.paths import Keys, Tree, stem_of
from saccade.formats._common.spill import RoomyDict, RoomySet, Rows, temporary_database
from saccade.formats._common.writing import image_size_wh
from saccade.formats.base import Detection, LocalFile, Reading, Record
from saccade.formats.voc.annotations import Annotation, ObjectReader, Seen, pack, parse_annotation, unpack
from saccade.formats.voc.files import ANNOTATIONS, find_files, pick_image, read_splits, voc_root
from saccade.formats.voc.segmentation import CLASSES, OBJECTS, with_masks
from saccade.formats.voc.write import Options as WriteOptions
from saccade.formats.voc.write import write_voc


@dataclass(frozen=True)
class ReadOptions:
    """``origin``: the number of the first pixel: 0, 1, or auto; ``shapes``: masks where there are any, or boxes."""

    origin: str | int = "auto"
    shapes: str = "masks"


@dataclass(frozen=True)
class _Entry:
    key: str
    image: str
    split: str | None
    stem: str


class Voc:
    name: ClassVar[str] = "voc"
    title: ClassVar[str] = "Pascal VOC"
    holds: ClassVar[str] = "boxes, masks that do not overlap; attributes; splits; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and VOC is a folder")
        tree = Tree(voc_root(source))
        places = [name for name in ANNOTATIONS if name in tree.folders]
        found = next((file for file in tree.below(places[0] if places else "", (".xml",))), None)
        if found is None:
            return Detection(False, f"there is no XML file {'in ' + places[0] if places else 'in it'}")
        with tree.path(found).open("rb") as file:
            if re.search(rb"<annotation[\s>]", file.read(4096)):
                return Detection(True, f"{found} is an annotation")
        return Detection(False, f"{found} is XML, but not an annotation")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder; see :class:`ReadOptions`."""
        chosen = parse_options(ReadOptions, options, "VOC")
        origin = one_of("origin", chosen.origin, ("auto", "0", "1"))
        masks = one_of("shapes", chosen.shapes, ("masks", "boxes")) == "masks"
        return _VocReading(voc_root(source), origin, report, masks=masks).open()

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        write_voc(reading, destination, report, parse_options(WriteOptions, options, "VOC"))


class _VocReading:
    """One opening of a source: all XML files are parsed first, for the classes and the origin."""

    def __init__(self, root: Path, origin: str, report: Report, *, masks: bool) -> None:
        self._report, self._masks = report, masks
        self._tree = Tree(root)
        self._files = find_files(self._tree)
        if not self._files.annotations:
            raise FormatError(f"There is no VOC annotation in {root}.", hint="Expected Annotations/*.xml.")
        self._tree.report_unusable(report)
        self._annotations = RoomyDict(pack, unpack)
        self._broken, self._seen = RoomySet(), Seen()
        self._parse()
        self._entries = Rows(temporary_database(self), "entries", ("key", "image", "split", "stem"))
        for entry in self._find_entries():
            self._entries.add(entry.key, entry.image, entry.split, entry.stem)
        self._report_lost()
        self._origin = self._decide(origin)

    def open(self) -> Reading:
        infos = tuple(ClassInfo(name) for name in sorted(self._seen.areas.keys() - {""}))
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, infos)]
        if self._has_splits:
            columns.append(Column("split", Kind.TEXT))
        reader = ObjectReader(self._origin, self._seen.small(), self._report)
        return Reading(Schema(tuple(columns)), self._records(reader), len(self._entries))

    def _parse(self) -> None:
        for stem, file in self._files.annotations.items():
            try:
                self._annotations[stem] = annotation = parse_annotation(self._tree.path(file))
                self._seen.add(annotation)
            except (FormatError, OSError) as error:
                self._report.add(Action.SET_ASIDE, "annotation that cannot be read", key=stem, detail=str(error))
                self._broken.add(stem)

    def _decide(self, origin: str) -> int:
        guess, reason = self._seen.origin()
        if origin == "auto" and reason:
            self._report.add(Action.GUESSED, "number of the first pixel", detail=f"{guess}, because {reason}")
        return int(guess if origin == "auto" else origin)

    def _report_lost(self) -> None:
        for name, count in self._seen.lost.items():
            self._report.add(Action.DROPPED, "field of objects", detail=f"'{name}' of {count}")
        only_classes = CLASSES in self._tree.folders and OBJECTS not in self._tree.folders
        for folder in (OBJECTS, CLASSES):
            if folder in self._tree.folders and (only_classes or not self._masks):
                self._report.add(Action.DROPPED, "folder that is not read", detail=folder)

    def _find_entries(self) -> Iterator[_Entry]:
        splits = read_splits(self._tree, self._files, self._report)
        self._has_splits = splits is not None or self._files.split_folders
        keys, used = Keys(self._report), RoomySet()
        for stem in self._files.stems():
            if stem in self._broken:
                for other in self._files.images.get(stem) or ():
                    used.add(other)
                continue
            image = self._image(stem, self._annotations.get(stem), used)
            if image is not None:
                split = splits.get(stem) if splits is not None else self._folder_split(stem)
                if splits is not None and split is None:
                    self._report.add(Action.NOTICED, "item in no split", key=stem)
                short = stem.partition("/")[2] if self._files.split_folders else stem
                yield _Entry(keys.take(short, stem), image, split, stem)

    def _folder_split(self, stem: str) -> str | None:
        return stem.partition("/")[0] if self._files.split_folders and "/" in stem else None

    def _image(self, stem: str, annotation: Annotation | None, used: RoomySet) -> str | None:
        name = annotation.file_name if annotation else ""
        image = pick_image(self._files, stem, name)
        if image is None:
            reason = "link that leads outside the source" if self._leads_outside(stem) else "image file missing"
            self._report.add(Action.SET_ASIDE, reason, key=stem, detail=repr(name))
            return None
        if image in used:
            if annotation is not None:
                self._report.add(Action.SET_ASIDE, "second annotation of an image", key=stem, detail=image)
            return None
        used.add(image)
        for other in self._files.images.get(stem) or ():
            if other not in used:
                self._report.add(Action.SET_ASIDE, "second image of the same name", key=stem, detail=other)
        if name and image.rsplit("/", 1)[-1].strip() != name:
            detail = f"{name!r} for {image}"
            self._report.add(Action.NOTICED, "file name in the XML that differs", key=stem, detail=detail)
        return image

    def _leads_outside(self, stem: str) -> bool:
        return any(f"/{stem_of(file)}".endswith(f"/{stem}") for file in self._tree.outside)

    def _records(self, reader: ObjectReader) -> Iterator[Record]:
        for entry in (_Entry(*row) for _, *row in self._entries):
            path, annotation = self._tree.path(entry.image), self._annotations.get(entry.stem)
            size = self._size_wh(entry.key, annotation, path)
            labels = None if annotation is None else reader.objects(annotation, entry.key, size)
            if self._masks and labels is not None and (png := self._png(entry.image)) is not None:
                labels = with_masks(labels, png, entry.key, size, self._report)
            values: dict[str, Any] = {"objects": labels}
            if entry.split is not None:
                values["split"] = entry.split
            yield Record(entry.key, LocalFile(path), values, size)

    def _png(self, image: str) -> Path | None:
        """The numbers of the objects of an image, where it has such a picture."""
        name = f"{OBJECTS}/{stem_of(image.removeprefix('JPEGImages/'))}.png"
        return self._tree.path(name) if name in self._tree.files else None

    def _size_wh(self, key: str, annotation: Annotation | None, path: Path) -> tuple[int, int] | None:
        """The true size, else the one that the file states."""
        stated = annotation.size_wh if annotation else None
        try:
            true = image_size_wh(path)
        except (SaccadeError, OSError) as error:
            self._report.add(Action.NOTICED, "image that cannot be opened", key=key, detail=str(error))
            return stated
        if annotation is not None and stated != true:
            detail = f"the file says {stated}, the image is {true}"
            self._report.add(Action.REPAIRED, "size of an image other than stated", key=key, detail=detail)
        return true


FORMAT = Voc()
