"""Schema: the columns of a dataset, each with a kind, and the classes that label them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from saccade.core.errors import InvalidValueError, NotFoundError, nearest

KEY = "key"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")


class Kind(StrEnum):
    """The type of a column's values, and the Python value that stands for it.

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
    """A file: its SHA-256 digest, size in bytes and original name; ``uri`` only where it is kept by reference."""

    digest: str
    size: int
    name: str
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image file: identity, and what is known without decoding.

    ``width`` and ``height`` are pixels after the EXIF ``orientation`` (1 to 8) has been applied, as it always is on
    decoding. ``format`` is Pillow's name in lower case ("jpeg"), ``mode`` Pillow's mode ("RGB", "I;16").
    ``uri`` is set where the file is kept by reference instead of by copy. ``frame`` is set where the image is one frame
    of a video or one page of a file that has several: its number from 0, in the order of showing.
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
    """A video file: identity, and what its frames say.

    ``width`` and ``height`` are pixels of a frame after ``orientation``, as numbered by EXIF, has been applied.
    ``duration`` is in seconds, ``rate`` in frames a second in the mean; ``format`` and ``codec`` are FFmpeg's names.
    ``uri`` is set where the file is kept by reference instead of by copy.
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
"""A file that a value refers to."""


Value = Any
"""A value of one of the kinds; see :class:`Kind`."""


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """A class: its name, optionally its parent, colour (#rrggbb), keypoint names and skeleton (pairs of indices).

    ``was`` has the names that it had before, and those of classes that were merged into it.
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
    """A column: its name, kind and, for label, labels and objects, its classes in order."""

    name: str
    kind: Kind
    classes: tuple[ClassInfo, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == KEY:
            raise InvalidValueError(
                f"A column may not be called {self.name!r}: use letters, digits, '_' and '-', and not '{KEY}'."
            )
        names = [info.name for info in self.classes]
        if len(set(names)) != len(names):
            raise InvalidValueError(f"The classes of column '{self.name}' repeat a name: {names}.")

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(info.name for info in self.classes)

    def class_now(self, name: str) -> str | None:
        """What a class of an earlier version is called; None where it is gone."""
        if name in self.class_names:
            return name
        return next((info.name for info in self.classes if name in info.was), None)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "kind": str(self.kind), "classes": [info.to_json() for info in self.classes]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Column:
        if data["kind"] not in set(Kind):
            raise InvalidValueError(f"There is no kind '{data['kind']}'.", hint=nearest(str(data["kind"]), Kind))
        return cls(
            data["name"], Kind(data["kind"]), tuple(ClassInfo.from_json(info) for info in data.get("classes", ()))
        )


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a dataset in order; the key is always there and is not listed."""

    columns: tuple[Column, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise InvalidValueError(f"A schema may not repeat a column: {names}.")

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFoundError(f"There is no column '{name}'.", hint=nearest(name, self.names))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def of_kind(self, *kinds: Kind) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind in kinds)

    def first(self, *kinds: Kind) -> Column:
        """The first column of one of these kinds; NotFoundError where there is none."""
        if found := self.of_kind(*kinds):
            return found[0]
        raise NotFoundError(f"There is no column of kind {' or '.join(kinds)}.", hint=f"Columns: {self.names}.")

    def with_columns(self, *columns: Column) -> Schema:
        """These columns added, or put in the place of those with the same name."""
        new = {column.name: column for column in columns}
        kept = tuple(new.pop(column.name, column) for column in self.columns)
        return Schema((*kept, *new.values()))

    def merged(self, other: Schema) -> Schema:
        """The columns and classes of both; InvalidValueError where a column would change its kind."""
        columns: list[Column] = []
        for column in other.columns:
            if column.name not in self:
                columns.append(column)
                continue
            there = self[column.name]
            if there.kind is not column.kind:
                raise InvalidValueError(
                    f"Column '{column.name}' is of kind {there.kind} and cannot become {column.kind}.",
                    hint="Give the new column another name, or write with mode 'replace'.",
                )
            columns.append(replace(there, classes=union_classes(there.classes, column.classes)))
        return self.with_columns(*columns)

    def select(self, names: Iterable[str]) -> Schema:
        return Schema(tuple(self[name] for name in names))

    def to_json(self) -> dict[str, Any]:
        return {"columns": [column.to_json() for column in self.columns]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        return cls(tuple(Column.from_json(column) for column in data["columns"]))


def union_classes(old: Iterable[ClassInfo], new: Iterable[ClassInfo]) -> tuple[ClassInfo, ...]:
    """The classes of both in order; one that was only a name takes on what the other says of it."""
    found = {info.name: info for info in old}
    for info in new:
        there = found.get(info.name, info)
        if there == ClassInfo(info.name, was=there.was):
            found[info.name] = replace(info, was=there.was or info.was)
        found.setdefault(info.name, info)
    return tuple(found.values())
