"""What formats share whose labels name images: finding the images, their keys and splits, and writing them."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade.core.errors import SaccadeError
from saccade.core.objects import Object, Objects
from saccade.core.report import Action, Report
from saccade.core.schema import ClassInfo, Column, Kind, Schema, Value
from saccade.formats._boxes import notice_duplicates
from saccade.formats._paths import SPLIT_WORDS, Keys, Tree, normal, stem_of
from saccade.formats._writing import (
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

SizeWH = tuple[int, int] | None


class ImageIndex:
    """The images of a source, found by what label files call them."""

    def __init__(self, tree: Tree, images: Iterable[str] | None = None) -> None:
        self.images = dict.fromkeys(tree.images() if images is None else images)
        self._by_name: dict[str, set[str]] = defaultdict(set)
        for image in self.images:
            parts = image.split("/")
            for end in ("/".join(parts[at:]) for at in range(len(parts))):
                self._by_name[end].add(image)
                self._by_name[stem_of(end)].add(image)

    def find(self, name: str, folder: str = "") -> str | None:
        """The image of a path from the root or from ``folder``, else the only one that ends so; else None."""
        unified = name.replace("\\", "/")
        for wish in (posixpath.normpath(f"{folder}/{unified}").lstrip("/"), normal(unified)):
            if wish in self.images:
                return wish
        last = unified.rpartition("/")[2]
        for wish in (normal(unified), last, stem_of(last)):
            found = self._by_name.get(wish, set())
            if len(found) == 1:
                return next(iter(found))
        return None


@dataclass
class Labelled:
    """What the labels say of an image: ``raw`` is the format's own, None where the image is not labelled."""

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
    """

    def __init__(
        self, source: Path, report: Report, *, containers: Iterable[str] = ("images",), splits: bool = True,
        renamed: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.report = report
        self.tree = Tree(source)
        self.tree.report_unusable(report)
        self.found: dict[str, Labelled] = {}
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
        return self.found.setdefault(image, Labelled())

    def reading(
        self, classes: Iterable[str | ClassInfo], build: Build, *, columns: Iterable[Column] = (),
        images: Iterable[str] | None = None, sizes: bool = True,
    ) -> Reading:  # fmt: skip
        """The reading; ``build`` makes objects of what is known of an image, its key and its size where ``sizes``."""
        wanted = sorted(self.index.images if images is None else images)
        plan = list(self._plan(wanted))
        infos = tuple(info if isinstance(info, ClassInfo) else ClassInfo(info) for info in classes)
        made = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, infos), *columns]
        if any(labelled.split is not None for _, _, labelled in plan):
            made.append(Column(SPLIT, Kind.TEXT))
        return Reading(Schema(tuple(made)), self._records(plan, build, sizes), len(plan))

    def _plan(self, images: list[str]) -> Iterator[tuple[str, str, Labelled]]:
        keys = Keys(self.report)
        by_split = self._splits and any(self._split_and_key(image)[0] for image in images)
        for image in images:
            labelled = self.found.get(image) or Labelled()
            split, key = self._split_and_key(image) if by_split else (None, self._inside(image))
            if labelled.split is None and split is not None:
                labelled.split = self._renamed.get(split, split)
            yield image, keys.take(labelled.key or key, stem_of(image)), labelled

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

    def _records(self, plan: list[tuple[str, str, Labelled]], build: Build, sizes: bool) -> Iterator[Record]:
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
        self, reading: Reading, destination: Path, report: Report, *, folder: str = "images", splits: str = "words",
        kinds: tuple[Kind, ...] = (Kind.OBJECTS,), kept: Mapping[str, Kind] | None = None,
        details: tuple[str, ...] = ("parent", "color", "keypoints", "skeleton"), reserved: Iterable[str] = (),
    ) -> None:  # fmt: skip
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
