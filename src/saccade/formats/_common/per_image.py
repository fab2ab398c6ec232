"""Base classes for formats whose labels name images: find the images, their keys and splits, and write them."""

from __future__ import annotations

import posixpath
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from saccade.core.objects import Object, Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema, Value
from saccade.formats._common.boxes import report_duplicates
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.frames import LabelFrame, read_image_size
from saccade.formats._common.media import copy_media, record_size_wh
from saccade.formats._common.names import NO_SPLIT_FOLDER, SPLIT, FileNames, FolderNames
from saccade.formats._common.paths import (
    SPLIT_NAMES,
    SourceTree,
    UniqueKeys,
    is_image_name,
    normal_form,
    normalize_path,
    strip_extension,
)
from saccade.formats._common.spill import SpillDict, SpillTable, temporary_database
from saccade.formats.base import LocalFile, Reader, Record, RecordStream, SizeWH, Writer

# Up to so many files, the suffix index is kept in memory.
_MAX_IN_MEMORY = 65_536

ImageFilter = Callable[[str], bool]
SplitFolders = Literal["standard", "all", "custom"]


class ImageIndex:
    """The images of a source, found by the names that label files use for them.

    Args:
        include: which images belong to the index; None for all.
    """

    def __init__(self, tree: SourceTree, include: ImageFilter | None = None) -> None:
        self._tree = tree
        self._include = include
        self._suffixes: _SuffixIndex | _DiskSuffixIndex | None = None
        self._normal_suffixes: _SuffixIndex | _DiskSuffixIndex | None = None

    def __iter__(self) -> Iterator[str]:
        return filter(self._include, self._tree.iter_images()) if self._include else self._tree.iter_images()

    def __contains__(self, image: str) -> bool:
        return is_image_name(image) and image in self._tree.files and (self._include is None or self._include(image))

    def find(self, name: str, folder: str = "") -> str | None:
        """Resolve a name from a label file.

        Tried in this order: the path relative to ``folder``, the path relative to the root, the only image whose
        path ends with the whole name, with its last part, or with its last part without the extension.
        """
        unified = name.replace("\\", "/")
        for path in (posixpath.normpath(f"{folder}/{unified}").lstrip("/"), normalize_path(unified)):
            image = self.find_path(path)
            if image is not None:
                return image
        last = unified.rpartition("/")[2]
        suffixes = (normalize_path(unified), last, strip_extension(last))
        return next((image for suffix in suffixes if (image := self.find_by_suffix(suffix))), None)

    def find_path(self, path: str) -> str | None:
        """Return the image of this path, in any Unicode normal form if only one matches."""
        if path in self:
            return path
        image = self._tree.find(path) if is_image_name(path) else None
        return image if image is not None and image in self else None

    def find_by_suffix(self, suffix: str) -> str:
        """Return the only image whose path ends with these parts, with or without its extension; else "".

        An image whose path ends with exactly these characters is preferred to one in another Unicode normal form.
        """
        create = _SuffixIndex if len(self._tree.files) <= _MAX_IN_MEMORY else _DiskSuffixIndex
        if self._suffixes is None:
            self._suffixes = create(self)
        image = self._suffixes.find_unique(suffix)
        if image or suffix.isascii():
            return image
        if self._normal_suffixes is None:
            self._normal_suffixes = create((image for image in self if not image.isascii()), normal_form)
        return self._normal_suffixes.find_unique(normal_form(suffix))


class ImageGroups:
    """Images in groups of equal keys, such as their names; keys are found in any Unicode normal form.

    Args:
        images: paths of the images.
        key_of: returns the key of a path.
    """

    def __init__(self, images: Iterable[str] = (), key_of: Callable[[str], str] = str) -> None:
        self._key_of = key_of
        self._groups: SpillDict[list[str]] = SpillDict()
        for image in images:
            key = normal_form(key_of(image))
            group = self._groups.get(key)
            if group is None:
                self._groups[key] = [image]
            else:
                group.append(image)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.get(key))

    def get(self, key: str) -> list[str]:
        """Return the images of a key: those of exactly this key, or else those that differ in the normal form alone.

        If the latter differ among each other, the key is ambiguous, and there are none.
        """
        group = self._groups.get(normal_form(key)) or []
        exact = [image for image in group if self._key_of(image) == key]
        if exact or len({self._key_of(image) for image in group}) > 1:
            return exact
        return list(group)

    def items(self) -> Iterator[tuple[str, list[str]]]:
        """Iterate over the keys, as they are spelled, and their images."""
        for _, group in self._groups.items():
            by_key: dict[str, list[str]] = {}
            for image in group:
                by_key.setdefault(self._key_of(image), []).append(image)
            yield from by_key.items()


def _suffixes_of(image: str) -> set[str]:
    """Everything that a path ends with, from each of its parts on, with and without the extension."""
    parts = image.split("/")
    suffixes = {"/".join(parts[start:]) for start in range(len(parts))}
    return suffixes | {strip_extension(suffix) for suffix in suffixes}


class _SuffixIndex:
    """Images by the suffixes of their paths, in memory."""

    def __init__(self, images: Iterable[str], transform: Callable[[str], str] = str) -> None:
        self._image_by_suffix: dict[str, str] = {}
        for image in images:
            for suffix in _suffixes_of(transform(image)):
                # A suffix of two images identifies neither.
                self._image_by_suffix[suffix] = "" if suffix in self._image_by_suffix else image

    def find_unique(self, suffix: str) -> str:
        return self._image_by_suffix.get(suffix, "")


class _DiskSuffixIndex:
    """The same index on disk. Suffixes are identified by 64-bit hashes."""

    def __init__(self, images: Iterable[str], transform: Callable[[str], str] = str) -> None:
        self._db = temporary_database(self)
        paths = SpillTable(self._db, "images", ("path",))
        suffixes = SpillTable(self._db, "suffixes", ("hash", "image"))
        for position, image in enumerate(images, 1):
            paths.add(image)
            for suffix in _suffixes_of(transform(image)):
                suffixes.add(hash(suffix), position)
        paths.flush()
        suffixes.flush()
        self._db.execute("CREATE INDEX suffixes_by_hash ON suffixes (hash, image)")

    def find_unique(self, suffix: str) -> str:
        # Two rows suffice to know that the suffix is ambiguous.
        query = "SELECT path FROM suffixes JOIN images ON images.position = suffixes.image WHERE hash = ? LIMIT 2"
        rows = self._db.execute(query, (hash(suffix),)).fetchall()
        return str(rows[0][0]) if len(rows) == 1 else ""


@dataclass
class ImageLabels:
    """The labels of an image, before they become objects.

    Attributes:
        raw: in the format's own representation, as JSON values; None if the image is unlabelled.
        values: further columns, as JSON values or tuples of them.
        stated_wh: size of the image that the label file states, if any.
    """

    raw: Any = None
    split: str | None = None
    key: str | None = None
    values: dict[str, Value] = field(default_factory=dict)
    stated_wh: SizeWH | None = None


ObjectBuilder = Callable[[Any, str, SizeWH | None], Iterable[Object]]


class PerImageReader(Reader):
    """Base class of readers in which every image of the source is a record, labelled or not.

    Subclasses define :meth:`open`: they collect the labels by :meth:`labels_for` and return :meth:`stream`.

    Args:
        containers: names of folders that are left out of keys, such as ``images``.
        split_folders: whether top folders named train, val … are splits.
        split_aliases: names of splits by the words that the format uses for them.
        relative: whether the format's coordinates are shares of the image's sides.

    Attributes:
        labels: the labels of images; those used last are in memory, the others on disk.
    """

    def __init__(
        self,
        source: Path,
        report: ConversionReport,
        *,
        containers: Iterable[str] = ("images",),
        split_folders: bool = True,
        split_aliases: Mapping[str, str] | None = None,
        relative: bool = False,
    ) -> None:
        self.report = report
        self.tree = SourceTree(source)
        self.tree.report_skipped(report)
        self.labels = SpillDict(self._pack, _unpack)
        self.index = ImageIndex(self.tree)
        self._has_split = False
        self._containers = frozenset(containers)
        self._split_folders = split_folders
        self._split_aliases = split_aliases or {}
        self._relative = relative

    def labels_for(self, name: str, folder: str = "", *, location: str = "") -> ImageLabels | None:
        """Return the labels of an image, to be filled in.

        Args:
            name: the image's name in the label file.
            folder: folder of the label file, to resolve the name.
            location: place of the entry in the label file, for the report.

        Returns:
            None if there is no such image; that is reported.
        """
        image = self.index.find(name, folder)
        if image is None:
            key = strip_extension(name)[:200]
            self.report.add(FindingType.SKIPPED, "image file missing", key=key, detail=location)
            return None
        labels = self.labels.get(image)
        if labels is None:
            labels = ImageLabels()
            self.labels[image] = labels
        return labels

    def stream(
        self,
        classes: Iterable[str | ClassInfo],
        build_objects: ObjectBuilder,
        *,
        columns: Iterable[Column] = (),
        include: ImageFilter | None = None,
    ) -> RecordStream:
        """Return the stream of records once all labels are collected.

        Args:
            build_objects: makes objects from the raw labels of an image, its key, and the size that its labels refer
                to, if it is known.
            columns: further columns that the labels have values for.
            include: which images become records; None for all.
        """
        infos = tuple(info if isinstance(info, ClassInfo) else ClassInfo(info) for info in classes)
        schema = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, infos), *columns]
        # A pass over all images first: whether there are split folders decides the keys.
        count = 0
        by_split = False
        for image in filter(include, self.index):
            count += 1
            by_split = by_split or (self._split_folders and self._split_and_key(image)[0] is not None)
        if by_split or self._has_split or any(labels.split is not None for labels in self.labels.cached_values()):
            schema.append(Column(SPLIT, Kind.TEXT))
        keyed = self._assign_keys(filter(include, self.index), by_split)
        return RecordStream(Schema(tuple(schema)), self._records(keyed, build_objects), count)

    def _assign_keys(self, images: Iterable[str], by_split: bool) -> Iterator[tuple[str, str, ImageLabels]]:
        keys = UniqueKeys(self.report)
        for image in images:
            labels = self.labels.get(image) or ImageLabels()
            split, key = self._split_and_key(image) if by_split else (None, self._strip_container(image))
            if labels.split is None and split is not None:
                labels.split = self._split_aliases.get(split, split)
            yield image, keys.claim(labels.key or key, strip_extension(image)), labels

    def _pack(self, labels: ImageLabels) -> list[Any]:
        # Noted here because `stream` does not read labels on disk again to find out.
        self._has_split = self._has_split or labels.split is not None
        return [labels.raw, labels.split, labels.key, labels.values, labels.stated_wh]

    def _strip_container(self, image: str) -> str:
        first, slash, rest = strip_extension(image).partition("/")
        return rest if slash and first in self._containers else strip_extension(image)

    def _split_and_key(self, image: str) -> tuple[str | None, str]:
        split, slash, rest = self._strip_container(image).partition("/")
        if not slash or split not in SPLIT_NAMES:
            return None, self._strip_container(image)
        first, slash, inner = rest.partition("/")
        # images/train/x or train/images/x, but not both: only one container is left out.
        has_outer_container = self._strip_container(image) != strip_extension(image)
        return split, inner if slash and first in self._containers and not has_outer_container else rest

    def _records(self, keyed: Iterable[tuple[str, str, ImageLabels]], build_objects: ObjectBuilder) -> Iterator[Record]:
        for image, key, labels in keyed:
            media = LocalFile(self.tree.path(image))
            frame = LabelFrame.create(
                read_image_size(media), labels.stated_wh, self.report, key, relative=self._relative
            )
            values: dict[str, Any] = {**labels.values, "objects": None}
            if labels.raw is not None:
                objects = frame.to_image(tuple(build_objects(labels.raw, key, frame.size_wh)))
                report_duplicates(objects or (), key, self.report)
                values["objects"] = objects
            if labels.split is not None:
                values[SPLIT] = labels.split
            yield Record(key, media, values, frame.image_wh)


def _unpack(packed: list[Any]) -> ImageLabels:
    raw, split, key, values, stated_wh = packed
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return ImageLabels(raw, split, key, tuples, tuple(stated_wh) if stated_wh else None)


@dataclass(frozen=True, slots=True)
class WrittenImage:
    """A record whose image has been written.

    Attributes:
        image_path: path of the image relative to the destination.
        stem: the same without the image folder and the extension.
        objects: None if the image is unlabelled.
    """

    record: Record
    image_path: str
    stem: str
    split: str | None
    size_wh: SizeWH | None
    objects: Objects | None

    @property
    def key(self) -> str:
        return self.record.key


class PerImageWriter(Writer):
    """Base class of writers that copy the image of each record and then write its labels.

    Subclasses define :meth:`write_labels`, and extend :meth:`_finish` if something is written at the end.

    Args:
        folder: folder of the images below the destination.
        split_folders: "standard": images of train, val and test lie in folders of these names, and other splits are
            dropped; "all": images of every split lie in its folder; "custom": the subclass writes splits itself.
        extra: further columns that the subclass writes, with their kinds.
        details: details of classes that the format cannot express.
        reserved: folder names with a meaning in the format.
    """

    def __init__(
        self,
        schema: Schema,
        destination: Path,
        report: ConversionReport,
        *,
        folder: str = "images",
        split_folders: SplitFolders = "standard",
        extra: Mapping[str, Kind] | None = None,
        details: tuple[str, ...] = ("parent", "color", "keypoints", "skeleton"),
        reserved: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self.columns = SupportedColumns(schema, report, Kind.OBJECTS, extra=extra)
        self.columns.report_class_details(*details)
        self.classes = ClassIndex(self.columns.labels)
        self.destination = destination
        self.report = report
        self._folder = folder
        self._split_folders = split_folders
        reserved_names = frozenset(reserved) | (SPLIT_NAMES if split_folders == "standard" else frozenset())
        self._file_names = FileNames(report, reserved=reserved_names)
        self._folder_names = FolderNames(report, SPLIT, reserved=(NO_SPLIT_FOLDER,))

    @abstractmethod
    def write_labels(self, image: WrittenImage) -> None:
        """Write the labels of an image that has been copied."""

    def add(self, record: Record) -> None:
        self.columns.count_dropped(record)
        split = self._split_of(record)
        stem = self._file_names.claim(record.key)
        if self._split_folders != "custom" and self.columns.has_split:
            split_folder = NO_SPLIT_FOLDER if split is None else self._folder_names.get(split)
            stem = stem if split is None and self._split_folders == "standard" else f"{split_folder}/{stem}"
        path = copy_media(record, self.destination / self._folder / stem, self.report)
        if path is None:
            return
        image_path = path.relative_to(self.destination).as_posix()
        objects = self.columns.labels_of(record)
        self.write_labels(WrittenImage(record, image_path, stem, split, record_size_wh(record), objects))

    def _finish(self) -> None:
        self.columns.report_dropped()

    def _split_of(self, record: Record) -> str | None:
        split = self.columns.split_of(record)
        if split is not None and self._split_folders == "standard" and split not in SPLIT_NAMES:
            self.report.add(FindingType.DROPPED, "split that is not train, val or test", key=record.key, detail=split)
            return None
        return split
