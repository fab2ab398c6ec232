"""Schema: the columns of a dataset, each with a kind, and the classes that label them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from saccade.core.errors import InvalidValueError, NotFoundError, suggest

KEY = "key"
HEX_COLOR = "^#[0-9a-fA-F]{6}$"
"""Pattern of a colour, "#rrggbb"."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")


class Kind(StrEnum):
    """The type of a column's values, and how they are represented in Python.

    image: :class:`ImageRef`; video: :class:`VideoRef`; objects: tuple of :class:`~saccade.core.objects.Object`;
    label: a class name; labels: tuple of class names; embedding: tuple of float; text: str; number: float; table: any
    JSON value; file: :class:`FileRef`. ``None`` in any column means "no value" ("not labelled yet" for label, labels,
    objects).
    """

    IMAGE = "image"
    VIDEO = "video"
    OBJECTS = "objects"
    LABEL = "label"
    LABELS = "labels"
    EMBEDDING = "embedding"
    TEXT = "text"
    NUMBER = "number"
    TABLE = "table"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file: its SHA-256 digest, size in bytes and original name; ``uri`` is set if it is stored externally."""

    digest: str
    size: int
    name: str
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image file: its identity and its header.

    Attributes:
        digest: SHA-256 of the file.
        size: bytes.
        name: original file name.
        width, height: pixels after the EXIF orientation was applied, as decoding always does.
        format: Pillow's format name in lower case, such as "jpeg".
        mode: Pillow's mode, such as "RGB" or "I;16"; with the stated window of its values, "I;16[0.0:4095.0]".
        orientation: EXIF orientation, 1 to 8.
        uri: set if the file is stored externally instead of in the workspace.
        frame: index of a video frame or of a page of a multi-page file, from 0 in presentation order.
    """

    digest: str
    size: int
    name: str
    width: int
    height: int
    format: str
    mode: str = "RGB"
    orientation: int = 1
    uri: str | None = None
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class VideoRef:
    """A video file: its identity and its stream properties.

    Attributes:
        digest: SHA-256 of the file.
        size: bytes.
        name: original file name.
        width, height: pixels of a frame after ``orientation`` was applied.
        frames: number of frames.
        duration: seconds.
        rate: mean frames per second.
        format, codec: FFmpeg's names.
        orientation: rotation in EXIF numbering, 1 to 8.
        uri: set if the file is stored externally instead of in the workspace.
    """

    digest: str
    size: int
    name: str
    width: int
    height: int
    frames: int
    duration: float
    rate: float
    format: str
    codec: str
    orientation: int = 1
    uri: str | None = None


MediaRef = ImageRef | VideoRef | FileRef
"""A reference to a media file."""


Value = Any
"""A value of one of the kinds; see :class:`Kind`."""


def is_hex_color(text: str | None) -> bool:
    """Return whether a text is a colour, "#rrggbb"."""
    return text is not None and re.fullmatch(HEX_COLOR, text) is not None


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """A class of labels.

    Attributes:
        name: unique in its column.
        parent: name of the parent class.
        color: "#rrggbb".
        keypoints: names of the keypoints.
        skeleton: pairs of keypoint indices.
        was: former names, and names of classes that were merged into this one.
    """

    name: str
    parent: str | None = None
    color: str | None = None
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    was: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidValueError("A class needs a name.")

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "parent": self.parent,
            "color": self.color,
            "keypoints": list(self.keypoints),
            "skeleton": [list(pair) for pair in self.skeleton],
            **({"was": list(self.was)} if self.was else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ClassInfo:
        return cls(
            data["name"],
            data.get("parent"),
            data.get("color"),
            tuple(data.get("keypoints", ())),
            tuple((int(a), int(b)) for a, b in data.get("skeleton", ())),
            tuple(data.get("was", ())),
        )


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, kind and, for the kinds label, labels and objects, its classes in order."""

    name: str
    kind: Kind
    classes: tuple[ClassInfo, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == KEY:
            raise InvalidValueError(
                f"Invalid column name {self.name!r}: use letters, digits, '_' and '-', and not '{KEY}'."
            )
        names = [info.name for info in self.classes]
        if len(set(names)) != len(names):
            raise InvalidValueError(f"Column '{self.name}' has duplicate class names: {names}.")

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(info.name for info in self.classes)

    def resolve_class(self, name: str) -> str | None:
        """Return the current name of a class of an earlier version, or None if it was removed."""
        if name in self.class_names:
            return name
        return next((info.name for info in self.classes if name in info.was), None)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "kind": str(self.kind), "classes": [info.to_json() for info in self.classes]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Column:
        if data["kind"] not in set(Kind):
            raise InvalidValueError(f"There is no kind '{data['kind']}'.", hint=suggest(str(data["kind"]), Kind))
        return cls(
            data["name"], Kind(data["kind"]), tuple(ClassInfo.from_json(info) for info in data.get("classes", ()))
        )


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a dataset in order, without the key, which every dataset has."""

    columns: tuple[Column, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise InvalidValueError(f"Duplicate column names: {names}.")

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFoundError(f"There is no column '{name}'.", hint=suggest(name, self.names))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def columns_of_kind(self, *kinds: Kind) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind in kinds)

    def first(self, *kinds: Kind) -> Column:
        """Return the first column of one of these kinds.

        Raises:
            NotFoundError: there is no such column.
        """
        if columns := self.columns_of_kind(*kinds):
            return columns[0]
        raise NotFoundError(f"There is no column of kind {' or '.join(kinds)}.", hint=f"Columns: {self.names}.")

    def with_columns(self, *columns: Column) -> Schema:
        """Return the schema with columns added, or replaced if the name exists."""
        new = {column.name: column for column in columns}
        existing = tuple(new.pop(column.name, column) for column in self.columns)
        return Schema((*existing, *new.values()))

    def union(self, other: Schema) -> Schema:
        """Return a schema with the columns and classes of both.

        Raises:
            InvalidValueError: a column has different kinds in the two schemas.
        """
        columns: list[Column] = []
        for column in other.columns:
            if column.name not in self:
                columns.append(column)
                continue
            existing = self[column.name]
            if existing.kind is not column.kind:
                raise InvalidValueError(
                    f"Column '{column.name}' has kind {existing.kind} and cannot become {column.kind}.",
                    hint="Give the new column another name, or write with mode 'replace'.",
                )
            columns.append(replace(existing, classes=union_classes(existing.classes, column.classes)))
        return self.with_columns(*columns)

    def select(self, names: Iterable[str]) -> Schema:
        return Schema(tuple(self[name] for name in names))

    def to_json(self) -> dict[str, Any]:
        return {"columns": [column.to_json() for column in self.columns]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        return cls(tuple(Column.from_json(column) for column in data["columns"]))


def union_classes(old: Iterable[ClassInfo], new: Iterable[ClassInfo]) -> tuple[ClassInfo, ...]:
    """Return the classes of both in order; a definition with a name only is replaced by a fuller one."""
    classes = {info.name: info for info in old}
    # A class that exists here was not renamed here, whatever it is called elsewhere.
    foreign = [replace(info, was=tuple(name for name in info.was if name not in classes)) for info in new]
    for info in foreign:
        existing = classes.get(info.name, info)
        if existing == ClassInfo(info.name, was=existing.was):
            classes[info.name] = replace(info, was=existing.was or info.was)
        classes.setdefault(info.name, info)
    return tuple(classes.values())
