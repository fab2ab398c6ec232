"""The syntax tree of queries: typed, checked nodes that every evaluator interprets in the same way.

An absent value is *missing* (``None``, and NaN, which is no number). Two missing values are equal; in a
comparison (``<``) or a membership (``in``) a missing value never holds; arithmetic and functions with it are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Literal

from saccade.core.schema import Column

BoolOperator = Literal["and", "or"]


class Type(StrEnum):
    """Type of an expression; the value is its description in messages."""

    NUMBER = "a number"
    TEXT = "text"
    BOOLEAN = "true or false"
    LABELS = "a list of labels"
    OBJECTS = "objects"
    JSON = "a value of any type"
    OTHER = "a value without fields"
    IMAGE = "an image"
    VIDEO = "a video"
    FILE = "a file"


@dataclass(frozen=True, slots=True)
class Node:
    """An expression and its type."""

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
    """A field of the current object of the innermost aggregate; its ``attributes`` are JSON."""

    field: str


@dataclass(frozen=True, slots=True)
class JsonGet(Node):
    """A member of a JSON object or list; missing if it does not exist."""

    operand: Node
    step: str | int


@dataclass(frozen=True, slots=True)
class JsonAs(Node):
    """A JSON value interpreted as ``type``; missing if it has another type."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Compare(Node):
    op: Literal["==", "!=", "<", "<=", ">", ">="]
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class IsMissing(Node):
    operand: Node


@dataclass(frozen=True, slots=True)
class InConstants(Node):
    needle: Node
    values: tuple[float | str | bool, ...]


@dataclass(frozen=True, slots=True)
class Contains(Node):
    """Text contained in text, or a label contained in labels."""

    needle: Node
    container: Node


@dataclass(frozen=True, slots=True)
class AnyLabelContains(Node):
    """Whether a label of the column contains ``word``, which is in lower case; upper and lower case are the same."""

    word: str
    column: Column


@dataclass(frozen=True, slots=True)
class BoolOp(Node):
    op: BoolOperator
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    operand: Node


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
    """Aggregates the objects of a column for which ``where`` holds.

    For an unlabelled item, ``any`` and ``all`` are false and the others missing; ``sum`` of no objects is 0,
    ``min``, ``max`` and ``mean`` of none are missing. Missing values are left out.
    """

    name: Literal["any", "all", "count", "sum", "min", "max", "mean"]
    column: Column
    value: Node | None
    where: Node | None


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and its descendants."""
    yield node
    for field in fields(node):
        value = getattr(node, field.name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, Node):
                yield from walk(child)
