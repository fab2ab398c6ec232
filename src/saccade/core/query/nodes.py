"""A query as a tree: every node is typed and checked, and means the same wherever it is evaluated.

A value that is not there is *missing* (``None``, and NaN, which is no number). Two missing values are equal; in an
order (``<``) or a membership (``in``) a missing value never holds; arithmetic and functions with it are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Literal

from saccade.core.schema import Column


class Type(StrEnum):
    """What an expression gives."""

    NUMBER = "a number"
    TEXT = "text"
    TRUTH = "true or false"
    LABELS = "a list of labels"
    OBJECTS = "objects"
    JSON = "a value of any type"
    OTHER = "a value without fields"
    IMAGE = "an image"
    VIDEO = "a video"
    FILE = "a file"


@dataclass(frozen=True, slots=True)
class Node:
    """An expression; ``type`` is what it gives."""

    type: Type


@dataclass(frozen=True, slots=True)
class Constant(Node):
    value: float | str | bool


@dataclass(frozen=True, slots=True)
class Key(Node):
    """The key of the item."""


@dataclass(frozen=True, slots=True)
class ColumnValue(Node):
    column: Column


@dataclass(frozen=True, slots=True)
class MediaField(Node):
    """A field of an image or file, such as ``image.width``."""

    column: Column
    field: str


@dataclass(frozen=True, slots=True)
class ObjectField(Node):
    """A field of the object that the innermost aggregate looks at; its ``attributes`` are JSON."""

    field: str


@dataclass(frozen=True, slots=True)
class JsonPart(Node):
    """A member of a JSON object or list; missing where there is none."""

    of: Node
    step: str | int


@dataclass(frozen=True, slots=True)
class JsonAs(Node):
    """A JSON value taken as ``type``; missing where it is of another."""

    of: Node


@dataclass(frozen=True, slots=True)
class Compare(Node):
    op: Literal["==", "!=", "<", "<=", ">", ">="]
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class IsMissing(Node):
    of: Node


@dataclass(frozen=True, slots=True)
class AmongConstants(Node):
    needle: Node
    values: tuple[float | str | bool, ...]


@dataclass(frozen=True, slots=True)
class Within(Node):
    """Text within text, or a label among labels."""

    needle: Node
    whole: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    op: Literal["and", "or"]
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    of: Node


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """``a % b`` is ``a - b * floor(a / b)``; a division by 0 is missing."""

    op: Literal["+", "-", "*", "/", "%"]
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    name: Literal["abs", "len", "lower", "startswith", "endswith", "matches"]
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Aggregate(Node):
    """Over the objects of a column, or those of them for which ``where`` holds.

    ``any`` and ``all`` are false and the others missing where the item is not labelled; ``sum`` of no objects is 0,
    ``min``, ``max`` and ``mean`` of none are missing. Missing values are left out.
    """

    name: Literal["any", "all", "count", "sum", "min", "max", "mean"]
    column: Column
    value: Node | None
    where: Node | None


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    for field in fields(node):
        value = getattr(node, field.name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, Node):
                yield from walk(child)
