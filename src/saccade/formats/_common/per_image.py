"""What formats share whose labels name images: finding the images, their keys and splits, and writing them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade.core.errors import SaccadeError
from saccade.core.objects import Object, Objects
from saccade.core.report import Action, Report
from saccade.core.schema import ClassInfo, Column, Kind, Schema, Value
from saccade.formats._common.boxes import notice_duplicates
from saccade.formats._common.paths import SPLIT_WORDS, Keys, Tree, is_image_name, normal, stem_of
from saccade.formats._common.spill import RoomyDict, Rows, temporary_database
from saccade.formats._common.writing import (
    SPLIT,
    ClassNames,
    Columns,
    FileNames,
    Names,
    copy_media,
    image_size_wh,
    size_wh_of,
)
from saccade.formats.base import LocalFile, Reading, Record

_FEW = 65_536

SizeWH = tuple[int, int] | None
Wanted = Callable[[str], bool]


class ImageIndex:
    """The images of a source, found by what label files call them.

    Args:
        wanted: which of its images these are; all of them where it is None.
    """

    def __init__(self, tree: Tree, wanted: Wanted | None = None) -> None:
        self._tree, self._wanted = tree, wanted
        self._ends: _Ends | _ManyEnds | None = None

    def __iter__(self) -> Iterator[str]:
        return filter(self._wanted, self._tree.each_image()) if self._wanted else self._tree.each_image()

    def __contains__(self, image: str) -> bool:
        return is_image_name(image) and image in self._tree.files and (self._wanted is None or self._wanted(image))

    def find(self, name: str, folder: str = "") -> str | None:
        """The image of a path from the root or from ``folder``, else the only one that ends so; else None."""
        unified = name.replace("\\", "/")
        for wish in (posixpath.normpath(f"{folder}/{unified}").lstrip("/"), normal(unified)):
            if wish in self:
                return wish
        last = unified.rpartition("/")[2]
        return next((found for wish in (normal(unified), last, stem_of(last)) if (found := self.ending(wish))), None)

    def ending(self, end: str) -> str:
        """The only image whose path ends with these parts, with its extension or without; "" where there is none."""
        if self._ends is None:
            self._ends = (_Ends if len(self._tree.files) <= _FEW else _ManyEnds)(self)
        return self._ends.only(end)


def images_by(images: Iterable[str], name_of: Callable[[str], str]) -> RoomyDict[list[str]]:
    """Images by what ``name_of`` makes of their paths."""
    found: RoomyDict[list[str]] = RoomyDict()
    for image in images:
        same = found.get(name_of(image))
        if same is None:
            found[name_of(image)] = [image]
        else:
            same.append(image)
    return found


def _ends_of(image: str) -> set[str]:
    """What a path ends with from any of its parts on, with its extension and without."""
    parts = image.split("/")
    ends = {"/".join(parts[at:]) for at in range(len(parts))}
    return ends | {stem_of(end) for end in ends}


class _Ends:
    """Images by what their paths end with."""

    def __init__(self, images: Iterable[str]) -> None:
        self._found: dict[str, str] = {}
        for image in images:
            for end in _ends_of(image):
                self._found[end] = "" if end in self._found else image

    def only(self, end: str) -> str:
        return self._found.get(end, "")


class _ManyEnds:
    """The same on the disk; ends are known by 64 bits of their hash."""

    def __init__(self, images: Iterable[str]) -> None:
        self._db = temporary_database(self)
        paths, ends = Rows(self._db, "images", ("path",)), Rows(self._db, "ends", ("hash", "image"))
        for place, image in enumerate(images, 1):
            paths.add(image)
            for end in _ends_of(image):
                ends.add(hash(end), place)
        paths.flush()
        ends.flush()
        self._db.execute("CREATE INDEX ends_by_hash ON ends (hash, image)")

    def only(self, end: str) -> str:
        asked = "SELECT path FROM ends JOIN images ON images.place = ends.image WHERE hash = ? LIMIT 2"
        found = self._db.execute(asked, (hash(end),)).fetchall()
        return str(found[0][0]) if len(found) == 1 else ""


@dataclass
class Labelled:
    """What the labels say of an image: ``raw`` is the format's own, None where the image is not labelled.

    Both it and the values are as JSON holds them, but for values that are tuples.
    """

    raw: Any = None
    split: str | None = None
    key: str | None = None
    values: dict[str, Value] = field(default_factory=dict)


Build = Callable[[Any, str, SizeWH], Iterable[Object]]


class ByImage:
    """A reading in which every image of the source is a record.

    Args:
        containers: folders whose name says nothing, such as ``images``, and is left out of the key.
        splits: whether top folders called train, val … are splits.
        renamed: splits that go by another name here.

    Attributes:
        found: what the labels say of images, those that were asked for last held in memory.
    """

    def __init__(
        self,
        source: Path,
        report: Report,
        *,
        containers: Iterable[str] = ("images",),
        splits: bool = True,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        self.report = report
        self.tree = Tree(source)
        self.tree.report_unusable(report)
        self.found = RoomyDict(self._packed, _unpacked)
        self._has_split = False
        self._containers = frozenset(containers)
        self._splits = splits
        self._renamed = renamed or {}
        self.index = ImageIndex(self.tree)

    def entry(self, name: str, folder: str = "", *, place: str = "") -> Labelled | None:
        """What is known of the image of a name; None, set aside, where there is no such image."""
        image = self.index.find(name, folder)
        if image is None:
            self.report.add(Action.SET_ASIDE, "image file missing", key=stem_of(name)[:200], detail=place)
            return None
        labelled = self.found.get(image)
        if labelled is None:
            self.found[image] = labelled = Labelled()
        return labelled

    def reading(
        self,
        classes: Iterable[str | ClassInfo],
        build: Build,
        *,
        columns: Iterable[Column] = (),
        wanted: Wanted | None = None,
        sizes: bool = True,
    ) -> Reading:
        """The reading; ``build`` makes objects of what is known of an image, its key and its size where ``sizes``.

        Args:
            wanted: which images are records; all of them where it is None.
        """
        infos = tuple(info if isinstance(info, ClassInfo) else ClassInfo(info) for info in classes)
        made = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, infos), *columns]
        count, by_split = 0, False
        for image in filter(wanted, self.index):
            count += 1
            by_split = by_split or (self._splits and self._split_and_key(image)[0] is not None)
        if by_split or self._has_split or any(labelled.split is not None for labelled in self.found.latest()):
            made.append(Column(SPLIT, Kind.TEXT))
        plan = self._plan(filter(wanted, self.index), by_split)
        return Reading(Schema(tuple(made)), self._records(plan, build, sizes), count)

    def _plan(self, images: Iterable[str], by_split: bool) -> Iterator[tuple[str, str, Labelled]]:
        keys = Keys(self.report)
        for image in images:
            labelled = self.found.get(image) or Labelled()
            split, key = self._split_and_key(image) if by_split else (None, self._inside(image))
            if labelled.split is None and split is not None:
                labelled.split = self._renamed.get(split, split)
            yield image, keys.take(labelled.key or key, stem_of(image)), labelled

    def _packed(self, labelled: Labelled) -> list[Any]:
        self._has_split = self._has_split or labelled.split is not None
        return [labelled.raw, labelled.split, labelled.key, labelled.values]

    def _inside(self, image: str) -> str:
        first, slash, rest = stem_of(image).partition("/")
        return rest if slash and first in self._containers else stem_of(image)

    def _split_and_key(self, image: str) -> tuple[str | None, str]:
        split, slash, rest = self._inside(image).partition("/")
        if not slash or split not in SPLIT_WORDS:
            return None, self._inside(image)
        first, slash, inner = rest.partition("/")
        outside = self._inside(image) == stem_of(image)  # a container stands on one side of the split
        return split, inner if outside and slash and first in self._containers else rest

    def _records(self, plan: Iterable[tuple[str, str, Labelled]], build: Build, sizes: bool) -> Iterator[Record]:
        for image, key, labelled in plan:
            path = self.tree.path(image)
            size = _size_wh(path) if sizes else None
            values: dict[str, Any] = {**labelled.values, "objects": None}
            if labelled.raw is not None:
                objects = tuple(build(labelled.raw, key, size))
                notice_duplicates(objects, key, self.report)
                values["objects"] = objects
            if labelled.split is not None:
                values[SPLIT] = labelled.split
            yield Record(key, LocalFile(path), values, size)


def _unpacked(packed: list[Any]) -> Labelled:
    raw, split, key, values = packed
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Labelled(raw, split, key, tuples)


def _size_wh(path: Path) -> SizeWH:
    try:
        return image_size_wh(path)
    except (SaccadeError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class Out:
    """A record whose image has been written.

    Attributes:
        image: its path below the destination.
        stem: that without the folder of images and the extension.
        objects: None where it is not labelled.
    """

    record: Record
    image: str
    stem: str
    split: str | None
    size_wh: SizeWH
    objects: Objects | None

    @property
    def key(self) -> str:
        return self.record.key


class ImagesOut:
    """Writes the images of records one by one, and gives what is to be written of each.

    Args:
        folder: of the images.
        splits: "folders" below that for any split, "words" for train, val and test only, "kept" where the format writes
            them itself, "" where it has no place for them.
        details: of classes, that the format does not hold.
    """

    def __init__(
        self,
        reading: Reading,
        destination: Path,
        report: Report,
        *,
        folder: str = "images",
        splits: str = "words",
        kinds: tuple[Kind, ...] = (Kind.OBJECTS,),
        kept: Mapping[str, Kind] | None = None,
        details: tuple[str, ...] = ("parent", "color", "keypoints", "skeleton"),
        reserved: Iterable[str] = (),
    ) -> None:
        self.columns = Columns(reading, report, *kinds, kept=kept)
        self.columns.report_class_details(*details)
        if not splits:
            self.columns.drop_split()
        self.classes = ClassNames(self.columns.labels)
        self.destination, self.report = destination, report
        self._records, self._folder, self._splits = reading.records, folder, splits
        taken = frozenset(reserved) | (SPLIT_WORDS if splits == "words" else frozenset())
        self._files = FileNames(report, reserved=taken)
        self._names = Names(report, "split", reserved=("_no_split",))

    def __iter__(self) -> Iterator[Out]:
        for record in self._records:
            self.columns.count(record)
            split = self._split_of(record)
            stem = self._files.take(record.key)
            if self._splits in ("words", "folders") and self.columns.has_split:
                where = "_no_split" if split is None else self._names.of(split)
                stem = stem if split is None and self._splits == "words" else f"{where}/{stem}"
            folder = self.destination / self._folder
            path = copy_media(record, folder / stem, self.report)
            if path is None:
                continue
            labels = self.columns.labels
            objects = record.values.get(labels.name) if labels else None
            image = path.relative_to(self.destination).as_posix()
            yield Out(record, image, stem, split, size_wh_of(record), objects)
        self.columns.finish()

    def _split_of(self, record: Record) -> str | None:
        split = self.columns.split_of(record)
        if split is not None and self._splits == "words" and split not in SPLIT_WORDS:
            self.report.add(Action.DROPPED, "split that is not train, val or test", key=record.key, detail=split)
            return None
        return split

    def report_unused_classes(self, reason: str = "") -> None:
        """Say which classes no object has, and that their order is lost, where the format has no list of them."""
        for name in self.classes.numbers.keys() - self.classes.used:
            self.report.add(Action.DROPPED, "class that no object has", detail=name)
        order = [name for name in self.classes.numbers if name in self.classes.used]
        if order != sorted(order):
            self.report.add(Action.DROPPED, "order of the classes", detail=reason or "the format has no list of them")
