"""A query evaluated on whole columns in memory; the same answers as item by item.

Numbers are float64 with NaN for a missing one, as in the language itself. What is not held as arrays (JSON, keys,
texts that all differ) raises UnfitError, and the question is one for DuckDB.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from saccade.core.query import nodes
from saccade.core.query.evaluate import lower, pattern
from saccade.core.query.nodes import Node, Type, walk
from saccade.core.schema import Column, Kind
from saccade.store.query.column_cache import Counts, Lists, Numbers, Part, Texts, Truths, UnfitError

Values = Numbers | Texts | Truths
_INNER = {Kind.OBJECTS: ("item", "class"), Kind.LABELS: ("item",)}
_TEXTS_OF_OBJECTS = ("class", "type", "track")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FEW_WORDS = 4
_FEW = 16
"""Where fewer than one in so many elements is chosen, each is looked for among the rows."""


@dataclass(frozen=True)
class Vectors:
    """Values of expressions for every row of a part of a version, or for every object of a column there."""

    part: Part
    column: Column | None = None

    def of(self, node: Node) -> Values:
        """Float64 (N,), bool (N,), or texts, as the type of the node says."""
        if isinstance(node, nodes.Constant):
            return _constant(self, node)
        if self.column is not None and not any(isinstance(below, nodes.ObjectField) for below in _own(node)):
            return self._for_each(Vectors(self.part).of(node))
        try:
            evaluate = _EVALUATE[type(node)]
        except KeyError:
            raise UnfitError from None
        found: Values = evaluate(self, node)
        return found

    def numbers(self, node: Node) -> Numbers:
        if node.type is not Type.NUMBER:
            raise UnfitError
        return cast("Numbers", self.of(node))

    def texts(self, node: Node) -> Texts:
        if node.type is not Type.TEXT:
            raise UnfitError
        return cast("Texts", self.of(node))

    def truths(self, node: Node) -> Truths:
        if node.type is not Type.TRUTH:
            raise UnfitError
        return cast("Truths", self.of(node))

    @property
    def size(self) -> int:
        return self.part.size if self.column is None else int(self.lists(self.column).counts.sum())

    def lists(self, column: Column) -> Lists:
        """How many objects or labels every row has."""
        if column.kind not in _INNER:
            raise UnfitError
        return self.part.lists(column.name, *_INNER[column.kind])

    def _for_each(self, values: Values) -> Values:
        """Values of rows, for each of their objects."""
        assert self.column is not None
        counts = self.lists(self.column).counts
        if isinstance(values, Texts):
            return Texts(np.repeat(values.codes, counts), values.words)
        repeated: Numbers | Truths = values.repeat(counts)
        return repeated


def _own(node: Node) -> list[Node]:
    """The node and what is below it, but for what belongs to an aggregate inside of it."""
    if isinstance(node, nodes.Aggregate):
        return [node]
    below = list(walk(node))
    inner = {id(part) for one in below if isinstance(one, nodes.Aggregate) for part in walk(one)}
    return [one for one in below if id(one) not in inner]


def _constant(at: Vectors, node: nodes.Constant) -> Values:
    if isinstance(node.value, str):
        return Texts(np.broadcast_to(np.int8(0), at.size), [node.value])
    if isinstance(node.value, bool):
        return np.broadcast_to(np.bool_(node.value), at.size)
    return np.broadcast_to(np.float64(node.value), at.size)


def _column(at: Vectors, node: nodes.ColumnValue) -> Values:
    match node.type:
        case Type.NUMBER:
            return at.part.numbers(node.column.name)
        case Type.TEXT:
            return at.part.texts(node.column.name)
        case _:
            raise UnfitError


def _media_field(at: Vectors, node: nodes.MediaField) -> Values:
    read = at.part.numbers if node.type is Type.NUMBER else at.part.texts
    return read(node.column.name, node.field)


def _object_field(at: Vectors, node: nodes.ObjectField) -> Values:
    assert at.column is not None
    name = at.column.name
    if node.type is not Type.NUMBER:
        if node.field not in _TEXTS_OF_OBJECTS:
            raise UnfitError
        return at.part.texts(name, "item", node.field)

    def one(field: str) -> Numbers:
        return at.part.numbers(name, "item", field)

    with np.errstate(all="ignore"):
        match node.field:
            case "width":
                return one("x2") - one("x1")
            case "height":
                return one("y2") - one("y1")
            case "cx":
                return (one("x1") + one("x2")) / 2
            case "cy":
                return (one("y1") + one("y2")) / 2
            case _:
                return one(node.field)


def _compare(at: Vectors, node: nodes.Compare) -> Truths:
    left: Any
    right: Any
    if node.left.type is not node.right.type:
        raise UnfitError
    match node.left.type:
        case Type.NUMBER:
            left, right = at.numbers(node.left), at.numbers(node.right)
            if node.op not in ("==", "!="):
                return np.asarray(_COMPARE[node.op](left, right), np.bool_)  # which NaN never is
            missing = np.isnan(left), np.isnan(right)
        case Type.TEXT:
            if isinstance(node.right, nodes.Constant):
                return _compare_with(at.texts(node.left), node.op, str(node.right.value))
            left, right = _ranked(at.texts(node.left), at.texts(node.right))
            missing = left < 0, right < 0
        case Type.TRUTH:
            left, right = at.truths(node.left), at.truths(node.right)
            return np.asarray(_COMPARE[node.op](left, right), np.bool_)
        case _:
            raise UnfitError
    found = _COMPARE[node.op](left, right)
    if node.op == "==":
        return np.asarray(found | (missing[0] & missing[1]))
    if node.op == "!=":
        return np.asarray(found & ~(missing[0] & missing[1]))
    return np.asarray(found & ~(missing[0] | missing[1]))


def _compare_with(texts: Texts, op: str, constant: str) -> Truths:
    if op == "!=":
        return ~_holds(texts, constant.__eq__)
    return _holds(texts, lambda word: bool(_COMPARE[op](word, constant)))


def _ranked(left: Texts, right: Texts) -> tuple[Counts, Counts]:
    """Numbers that are in the order of the texts; -1 for missing ones."""
    rank = {word: number for number, word in enumerate(sorted({*left.words, *right.words}))}
    return ranks(left, rank), ranks(right, rank)


def ranks(texts: Texts, rank: dict[str, int]) -> Counts:
    """The number of each text; -1 for missing ones."""
    table: Counts = np.array([*(rank[word] for word in texts.words), -1], np.int64)
    return np.asarray(table[texts.codes])


def _holds(texts: Texts, condition: Callable[[str], bool]) -> Truths:
    """Whether a condition holds for each text; it does not for a missing one."""
    table: Truths = np.array([*map(condition, texts.words), False], np.bool_)
    codes = np.flatnonzero(table)
    if len(codes) > _FEW_WORDS:
        return np.asarray(table[texts.codes])
    found = np.zeros(len(texts.codes), np.bool_)
    for code in codes.tolist():  # ten times as fast as looking each up
        found |= texts.codes == code
    return found


def _is_missing(at: Vectors, node: nodes.IsMissing) -> Truths:
    of = node.of
    match of.type:
        case Type.NUMBER:
            return np.isnan(at.numbers(of))
        case Type.TEXT:
            return np.asarray(at.texts(of).codes < 0)
        case Type.TRUTH:
            return np.zeros(at.size, np.bool_)
    if not isinstance(of, nodes.ColumnValue):
        raise UnfitError
    if of.type in (Type.IMAGE, Type.VIDEO, Type.FILE):
        return np.isnan(at.part.numbers(of.column.name, "size"))
    return ~at.lists(of.column).present


def _among(at: Vectors, node: nodes.AmongConstants) -> Truths:
    if node.needle.type is Type.TEXT:
        return _holds(at.texts(node.needle), set(node.values).__contains__)
    values = at.numbers(node.needle)
    return np.isin(values, np.array([value for value in node.values if isinstance(value, float)], np.float64))


def _within(at: Vectors, node: nodes.Within) -> Truths:
    if not isinstance(node.needle, nodes.Constant):
        raise UnfitError
    needle = str(node.needle.value)
    if node.whole.type is Type.TEXT:
        return _holds(at.texts(node.whole), lambda word: needle in word)
    if not (isinstance(node.whole, nodes.ColumnValue) and node.whole.type is Type.LABELS):
        raise UnfitError
    found = _holds(at.part.texts(node.whole.column.name, "item"), needle.__eq__)
    return _counted(found, at.lists(node.whole.column).counts) > 0


def _logic(at: Vectors, node: nodes.Logic) -> Truths:
    together = np.logical_and if node.op == "and" else np.logical_or
    found = at.truths(node.parts[0])
    for part in node.parts[1:]:
        found = together(found, at.truths(part))
    return found


def _arithmetic(at: Vectors, node: nodes.Arithmetic) -> Numbers:
    left, right = at.numbers(node.left), at.numbers(node.right)
    with np.errstate(all="ignore"):
        match node.op:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
        share = np.where(right == 0, np.nan, left / right)
        if node.op == "/":
            return share
        return np.where(np.isfinite(share), left - right * np.floor(share), np.nan)


def _call(at: Vectors, node: nodes.Call) -> Values:
    of = node.args[0]
    match node.name:
        case "len":
            return _length(at, of)
        case "abs":
            return np.abs(at.numbers(of))
        case "lower":
            texts = at.texts(of)
            return Texts(texts.codes, list(map(lower, texts.words)))
    if not isinstance(node.args[1], nodes.Constant):
        raise UnfitError
    argument = str(node.args[1].value)
    match node.name:
        case "startswith":
            return _holds(at.texts(of), lambda word: word.startswith(argument))
        case "endswith":
            return _holds(at.texts(of), lambda word: word.endswith(argument))
        case _:
            fits = pattern(argument).fullmatch
            return _holds(at.texts(of), lambda word: fits(word) is not None)


def _length(at: Vectors, of: Node) -> Numbers:
    if of.type is Type.TEXT:
        texts = at.texts(of)
        table: Numbers = np.array([*map(len, texts.words), np.nan], np.float64)
        return np.asarray(table[texts.codes])
    if not isinstance(of, nodes.ColumnValue):
        raise UnfitError
    lists = at.lists(of.column)
    return np.where(lists.present, lists.counts, np.nan)


def _counted(chosen: Truths, counts: Counts) -> Counts:
    """How many of each row's elements are chosen."""
    ends = np.cumsum(counts)
    if np.count_nonzero(chosen) < len(chosen) // _FEW:
        rows = np.searchsorted(ends, np.flatnonzero(chosen), side="right")
        return np.bincount(rows, minlength=len(counts)).astype(np.int64, copy=False)
    before = np.concatenate([[0], np.cumsum(chosen, dtype=np.int32)])
    return np.asarray(before[ends] - before[ends - counts], np.int64)


def _aggregate(at: Vectors, node: nodes.Aggregate) -> Values:
    inner = Vectors(at.part, node.column)
    chosen = None if node.where is None else inner.truths(node.where)  # first, for it reads the lists on the way
    lists = at.lists(node.column)
    match node.name:
        case "any":
            return (lists.counts if chosen is None else _counted(chosen, lists.counts)) > 0
        case "all":
            return lists.present & (True if chosen is None else _counted(~chosen, lists.counts) == 0)
        case "count":
            found = lists.counts if chosen is None else _counted(chosen, lists.counts)
            return np.where(lists.present, found, np.nan)
    assert node.value is not None
    values = inner.numbers(node.value)
    taken = ~np.isnan(values) if chosen is None else chosen & ~np.isnan(values)
    counts = _counted(taken, lists.counts)
    some = counts > 0
    starts = (np.cumsum(counts) - counts)[some]
    made = np.where(lists.present, 0.0 if node.name == "sum" else np.nan, np.nan)
    if len(starts):
        together = {"min": np.minimum, "max": np.maximum}.get(node.name, np.add)
        with np.errstate(all="ignore"):
            made[some] = together.reduceat(values[taken], starts)
            if node.name == "mean":
                made[some] /= counts[some]
    return made


_EVALUATE: dict[type[Node], Callable[[Vectors, Any], Values]] = {
    nodes.Constant: _constant,
    nodes.ColumnValue: _column,
    nodes.MediaField: _media_field,
    nodes.ObjectField: _object_field,
    nodes.Compare: _compare,
    nodes.IsMissing: _is_missing,
    nodes.AmongConstants: _among,
    nodes.Within: _within,
    nodes.Logic: _logic,
    nodes.Not: lambda at, node: ~at.truths(node.of),
    nodes.Arithmetic: _arithmetic,
    nodes.Call: _call,
    nodes.Aggregate: _aggregate,
}
