"""Evaluates queries on whole columns in memory, with the same results as :mod:`saccade.core.query.evaluate`.

Numbers are float64 with NaN for missing, as in the query language. Functions of texts are called once for each distinct
text; Arrow compares texts that nearly all differ, such as keys, with constants. Other expressions on those, and all on
values that are not held as arrays (JSON), raise NotVectorizableError; DuckDB evaluates them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.query import nodes
from saccade.core.query.evaluate import glob_pattern, lower
from saccade.core.query.nodes import Node, Type, walk
from saccade.core.schema import KEY, Column, Kind
from saccade.store.query.column_cache import (
    BoolArray,
    DictArray,
    FloatArray,
    FragmentView,
    IntArray,
    ListLengths,
    NotVectorizableError,
)

Values = FloatArray | DictArray | BoolArray
_LIST_LEAVES = {Kind.OBJECTS: ("item", "class"), Kind.LABELS: ("item",)}
"""For each kind of lists the leaf that is read to get the lengths of the lists."""
_OBJECT_TEXT_FIELDS = ("class", "type", "track")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARROW_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": pc.equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_MAX_CODE_SCANS = 4
"""Up to so many matching categories, one comparison of all codes for each is faster than a table lookup."""
_SPARSE_FACTOR = 16
"""If fewer than one in so many elements matches, the row of each is searched instead of summing over all elements."""


@dataclass(frozen=True)
class VectorEvaluator:
    """Evaluates expressions for every row of a fragment.

    Attributes:
        view: the fragment.
        column: a column of objects, to evaluate expressions for each of its objects instead of each row.
    """

    view: FragmentView
    column: Column | None = None

    def eval(self, node: Node) -> Values:
        """Evaluate an expression.

        Returns:
            float64 (N,), bool (N,) or a DictArray, depending on the type of the node.

        Raises:
            NotVectorizableError: if the expression cannot be evaluated on arrays.
        """
        if isinstance(node, nodes.Constant):
            return _constant(self, node)
        if self.column is not None and not any(
            isinstance(descendant, nodes.ObjectField) for descendant in _nodes_outside_aggregates(node)
        ):
            return self._repeat_per_object(VectorEvaluator(self.view).eval(node))
        try:
            evaluate = _EVALUATORS[type(node)]
        except KeyError:
            raise NotVectorizableError from None
        values: Values = evaluate(self, node)
        return values

    def eval_numbers(self, node: Node) -> FloatArray:
        if node.type is not Type.NUMBER:
            raise NotVectorizableError
        return cast("FloatArray", self.eval(node))

    def eval_texts(self, node: Node) -> DictArray:
        if node.type is not Type.TEXT:
            raise NotVectorizableError
        return cast("DictArray", self.eval(node))

    def eval_strings(self, node: Node) -> pa.Array:
        """Evaluate an expression whose texts nearly all differ.

        Raises:
            NotVectorizableError: if many are equal, or if they cannot be read as an array.
        """
        match node:
            case nodes.Call(name="lower", args=(operand,)):
                return _lower_strings(self.eval_strings(operand))
            case nodes.ObjectField(type=Type.TEXT, field=field) if self.column is not None:
                return self.view.strings(self.column.name, "item", field)
            case nodes.Key() if self.column is None:
                return self.view.strings(KEY)
            case nodes.ColumnValue(type=Type.TEXT, column=column) if self.column is None:
                return self.view.strings(column.name)
            case nodes.MediaField(type=Type.TEXT, column=column, field=field) if self.column is None:
                return self.view.strings(column.name, field)
        raise NotVectorizableError

    def eval_bool(self, node: Node) -> BoolArray:
        if node.type is not Type.BOOLEAN:
            raise NotVectorizableError
        return cast("BoolArray", self.eval(node))

    @property
    def size(self) -> int:
        """Number of values of an expression."""
        return self.view.size if self.column is None else int(self.list_lengths(self.column).lengths.sum())

    def list_lengths(self, column: Column) -> ListLengths:
        """Return the number of objects or labels of every row."""
        if column.kind not in _LIST_LEAVES:
            raise NotVectorizableError
        return self.view.list_lengths(column.name, *_LIST_LEAVES[column.kind])

    def _repeat_per_object(self, values: Values) -> Values:
        """Repeat the value of each row for each of its objects."""
        assert self.column is not None
        lengths = self.list_lengths(self.column).lengths
        if isinstance(values, DictArray):
            return DictArray(np.repeat(values.codes, lengths), values.categories)
        repeated: FloatArray | BoolArray = values.repeat(lengths)
        return repeated


def _nodes_outside_aggregates(node: Node) -> list[Node]:
    """Return the node and its descendants, without those inside an aggregate."""
    if isinstance(node, nodes.Aggregate):
        return [node]
    descendants = list(walk(node))
    inside = {
        id(inner) for aggregate in descendants if isinstance(aggregate, nodes.Aggregate) for inner in walk(aggregate)
    }
    return [descendant for descendant in descendants if id(descendant) not in inside]


def _constant(evaluator: VectorEvaluator, node: nodes.Constant) -> Values:
    if isinstance(node.value, str):
        return DictArray(np.broadcast_to(np.int8(0), evaluator.size), [node.value])
    if isinstance(node.value, bool):
        return np.broadcast_to(np.bool_(node.value), evaluator.size)
    return np.broadcast_to(np.float64(node.value), evaluator.size)


def _column(evaluator: VectorEvaluator, node: nodes.ColumnValue) -> Values:
    match node.type:
        case Type.NUMBER:
            return evaluator.view.numbers(node.column.name)
        case Type.TEXT:
            return evaluator.view.texts(node.column.name)
        case _:
            raise NotVectorizableError


def _key(evaluator: VectorEvaluator, node: nodes.Key) -> Values:
    return evaluator.view.texts(KEY)


def _media_field(evaluator: VectorEvaluator, node: nodes.MediaField) -> Values:
    read = evaluator.view.numbers if node.type is Type.NUMBER else evaluator.view.texts
    return read(node.column.name, node.field)


def _object_field(evaluator: VectorEvaluator, node: nodes.ObjectField) -> Values:
    assert evaluator.column is not None
    name = evaluator.column.name
    if node.type is not Type.NUMBER:
        if node.field not in _OBJECT_TEXT_FIELDS:
            raise NotVectorizableError
        return evaluator.view.texts(name, "item", node.field)

    def numbers(field: str) -> FloatArray:
        return evaluator.view.numbers(name, "item", field)

    with np.errstate(all="ignore"):
        match node.field:
            case "width":
                return numbers("x2") - numbers("x1")
            case "height":
                return numbers("y2") - numbers("y1")
            case "cx":
                return (numbers("x1") + numbers("x2")) / 2
            case "cy":
                return (numbers("y1") + numbers("y2")) / 2
            case _:
                return numbers(node.field)


def _compare(evaluator: VectorEvaluator, node: nodes.Compare) -> BoolArray:
    left: Any
    right: Any
    if node.left.type is not node.right.type:
        raise NotVectorizableError
    compare = _COMPARE[node.op]
    match node.left.type:
        case Type.NUMBER:
            left = evaluator.eval_numbers(node.left)
            right = evaluator.eval_numbers(node.right)
            if node.op not in ("==", "!="):
                return np.asarray(compare(left, right), np.bool_)  # false for NaN, as for missing
            left_missing = np.isnan(left)
            right_missing = np.isnan(right)
        case Type.TEXT:
            if isinstance(node.right, nodes.Constant):
                return _compare_constant(evaluator, node.left, node.op, str(node.right.value))
            left, right = _comparable_ranks(evaluator.eval_texts(node.left), evaluator.eval_texts(node.right))
            left_missing = left < 0
            right_missing = right < 0
        case Type.BOOLEAN:
            return np.asarray(compare(evaluator.eval_bool(node.left), evaluator.eval_bool(node.right)), np.bool_)
        case _:
            raise NotVectorizableError
    result = compare(left, right)
    if node.op == "==":
        return np.asarray(result | (left_missing & right_missing))
    if node.op == "!=":
        return np.asarray(result & ~(left_missing & right_missing))
    return np.asarray(result & ~(left_missing | right_missing))


def _compare_constant(evaluator: VectorEvaluator, texts: Node, op: str, constant: str) -> BoolArray:
    if op == "!=":  # holds for missing texts too
        return ~_compare_constant(evaluator, texts, "==", constant)
    # Arrow compares the bytes of UTF-8, whose order is that of the characters.
    kernel = _ARROW_COMPARE[op]
    return _match_texts(
        evaluator, texts, lambda text: bool(_COMPARE[op](text, constant)), lambda strings: kernel(strings, constant)
    )


def _comparable_ranks(left: DictArray, right: DictArray) -> tuple[IntArray, IntArray]:
    """Return numbers that compare like the texts, -1 if missing."""
    ranks = {category: rank for rank, category in enumerate(sorted({*left.categories, *right.categories}))}
    return category_ranks(left, ranks), category_ranks(right, ranks)


def category_ranks(texts: DictArray, ranks: dict[str, int]) -> IntArray:
    """Return the rank of each text, -1 if missing."""
    table: IntArray = np.array([*(ranks[category] for category in texts.categories), -1], np.int64)
    return np.asarray(table[texts.codes])


def _match_texts(
    evaluator: VectorEvaluator,
    node: Node,
    condition: Callable[[str], bool],
    kernel: Callable[[pa.Array], pa.Array],
) -> BoolArray:
    """Evaluate a condition for each text of an expression, false if missing.

    Args:
        evaluator: evaluates the expression.
        node: the expression.
        condition: the condition, called for each distinct text.
        kernel: the same condition as a function of Arrow, for texts that nearly all differ.
    """
    try:
        strings = evaluator.eval_strings(node)
    except NotVectorizableError:
        return _match_categories(evaluator.eval_texts(node), condition)
    return np.asarray(kernel(strings).fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


def _lower_strings(strings: pa.Array) -> pa.Array:
    """Convert strings to lower case as :func:`~saccade.core.query.evaluate.lower` does."""
    is_ascii = pc.fill_null(pc.string_is_ascii(strings), True)
    lowered = pc.ascii_lower(strings)
    if pc.all(is_ascii).as_py() is not False:
        return lowered
    others = pc.invert(is_ascii)
    return pc.replace_with_mask(lowered, others, pa.array(map(lower, strings.filter(others).to_pylist()), pa.string()))


def _match_categories(texts: DictArray, condition: Callable[[str], bool]) -> BoolArray:
    """Evaluate a condition for each text, false if missing."""
    matches: BoolArray = np.array([*map(condition, texts.categories), False], np.bool_)
    matching_codes = np.flatnonzero(matches)
    if len(matching_codes) > _MAX_CODE_SCANS:
        return np.asarray(matches[texts.codes])
    result = np.zeros(len(texts.codes), np.bool_)
    for code in matching_codes.tolist():  # ten times as fast as the table lookup
        result |= texts.codes == code
    return result


def _is_missing(evaluator: VectorEvaluator, node: nodes.IsMissing) -> BoolArray:
    operand = node.operand
    match operand.type:
        case Type.NUMBER:
            return np.isnan(evaluator.eval_numbers(operand))
        case Type.TEXT:
            return np.asarray(evaluator.eval_texts(operand).codes < 0)
        case Type.BOOLEAN:
            return np.zeros(evaluator.size, np.bool_)
    if not isinstance(operand, nodes.ColumnValue):
        raise NotVectorizableError
    if operand.type in (Type.IMAGE, Type.VIDEO, Type.FILE):
        return np.isnan(evaluator.view.numbers(operand.column.name, "size"))
    return ~evaluator.list_lengths(operand.column).is_valid


def _in_constants(evaluator: VectorEvaluator, node: nodes.InConstants) -> BoolArray:
    if node.needle.type is Type.TEXT:
        values = pa.array(node.values, pa.string())
        return _match_texts(
            evaluator,
            node.needle,
            set(node.values).__contains__,
            lambda strings: pc.is_in(strings, value_set=values),
        )
    numbers = evaluator.eval_numbers(node.needle)
    return np.isin(numbers, np.array([value for value in node.values if isinstance(value, float)], np.float64))


def _contains(evaluator: VectorEvaluator, node: nodes.Contains) -> BoolArray:
    if not isinstance(node.needle, nodes.Constant):
        raise NotVectorizableError
    needle = str(node.needle.value)
    if node.container.type is Type.TEXT:
        return _match_texts(
            evaluator,
            node.container,
            lambda text: needle in text,
            lambda strings: pc.match_substring(strings, needle),
        )
    if not (isinstance(node.container, nodes.ColumnValue) and node.container.type is Type.LABELS):
        raise NotVectorizableError
    matches = _match_categories(evaluator.view.texts(node.container.column.name, "item"), needle.__eq__)
    return _count_per_row(matches, evaluator.list_lengths(node.container.column).lengths) > 0


def _any_label_contains(evaluator: VectorEvaluator, node: nodes.AnyLabelContains) -> BoolArray:
    matches = _match_categories(evaluator.view.texts(node.column.name, "item"), lambda text: node.word in lower(text))
    return _count_per_row(matches, evaluator.list_lengths(node.column).lengths) > 0


def _bool_op(evaluator: VectorEvaluator, node: nodes.BoolOp) -> BoolArray:
    combine = np.logical_and if node.op == "and" else np.logical_or
    is_decided = np.all if node.op == "or" else lambda result: not np.any(result)
    result = evaluator.eval_bool(node.operands[0])
    for operand in node.operands[1:]:
        if is_decided(result):
            break
        result = combine(result, evaluator.eval_bool(operand))
    return result


def _arithmetic(evaluator: VectorEvaluator, node: nodes.Arithmetic) -> FloatArray:
    left = evaluator.eval_numbers(node.left)
    right = evaluator.eval_numbers(node.right)
    with np.errstate(all="ignore"):
        match node.op:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
        quotient = np.where(right == 0, np.nan, left / right)
        if node.op == "/":
            return quotient
        return np.where(np.isfinite(quotient), left - right * np.floor(quotient), np.nan)


def _call(evaluator: VectorEvaluator, node: nodes.Call) -> Values:
    operand = node.args[0]
    match node.name:
        case "len":
            return _length(evaluator, operand)
        case "abs":
            return np.abs(evaluator.eval_numbers(operand))
        case "lower":
            texts = evaluator.eval_texts(operand)
            return DictArray(texts.codes, list(map(lower, texts.categories)))
    if not isinstance(node.args[1], nodes.Constant):
        raise NotVectorizableError
    argument = str(node.args[1].value)
    match node.name:
        case "startswith":
            return _match_texts(
                evaluator,
                operand,
                lambda text: text.startswith(argument),
                lambda strings: pc.starts_with(strings, argument),
            )
        case "endswith":
            return _match_texts(
                evaluator,
                operand,
                lambda text: text.endswith(argument),
                lambda strings: pc.ends_with(strings, argument),
            )
        case _:
            pattern = glob_pattern(argument)
            return _match_texts(
                evaluator,
                operand,
                lambda text: pattern.fullmatch(text) is not None,
                lambda strings: pc.match_substring_regex(strings, rf"(?s)\A{pattern.pattern}\z"),
            )


def _length(evaluator: VectorEvaluator, operand: Node) -> FloatArray:
    if operand.type is Type.TEXT:
        texts = evaluator.eval_texts(operand)
        table: FloatArray = np.array([*map(len, texts.categories), np.nan], np.float64)
        return np.asarray(table[texts.codes])
    if not isinstance(operand, nodes.ColumnValue):
        raise NotVectorizableError
    lists = evaluator.list_lengths(operand.column)
    return np.where(lists.is_valid, lists.lengths, np.nan)


def _count_per_row(matches: BoolArray, lengths: IntArray) -> IntArray:
    """Count the matching elements of each row.

    Args:
        matches: bool (M,), for the elements of all rows.
        lengths: int64 (N,), number of elements of each row.
    """
    ends = np.cumsum(lengths)
    if np.count_nonzero(matches) < len(matches) // _SPARSE_FACTOR:
        rows = np.searchsorted(ends, np.flatnonzero(matches), side="right")
        return np.bincount(rows, minlength=len(lengths)).astype(np.int64, copy=False)
    cumulative = np.concatenate([[0], np.cumsum(matches, dtype=np.int32)])
    return np.asarray(cumulative[ends] - cumulative[ends - lengths], np.int64)


def _aggregate(evaluator: VectorEvaluator, node: nodes.Aggregate) -> Values:
    per_object = VectorEvaluator(evaluator.view, node.column)
    # Evaluated before the list lengths are needed: reading a leaf of the objects caches them too.
    matches = None if node.where is None else per_object.eval_bool(node.where)
    lists = evaluator.list_lengths(node.column)
    match node.name:
        case "any":
            return (lists.lengths if matches is None else _count_per_row(matches, lists.lengths)) > 0
        case "all":
            return lists.is_valid & (True if matches is None else _count_per_row(~matches, lists.lengths) == 0)
        case "count":
            counts = lists.lengths if matches is None else _count_per_row(matches, lists.lengths)
            return np.where(lists.is_valid, counts, np.nan)
    assert node.value is not None
    values = per_object.eval_numbers(node.value)
    is_aggregated = ~np.isnan(values) if matches is None else matches & ~np.isnan(values)
    counts = _count_per_row(is_aggregated, lists.lengths)
    has_values = counts > 0
    # reduceat returns an element of the next row for an empty range, so rows without values are left out.
    starts = (np.cumsum(counts) - counts)[has_values]
    result = np.where(lists.is_valid, 0.0 if node.name == "sum" else np.nan, np.nan)
    if len(starts):
        reduction = {"min": np.minimum, "max": np.maximum}.get(node.name, np.add)
        with np.errstate(all="ignore"):
            result[has_values] = reduction.reduceat(values[is_aggregated], starts)
            if node.name == "mean":
                result[has_values] /= counts[has_values]
    return result


_EVALUATORS: dict[type[Node], Callable[[VectorEvaluator, Any], Values]] = {
    nodes.Constant: _constant,
    nodes.Key: _key,
    nodes.ColumnValue: _column,
    nodes.MediaField: _media_field,
    nodes.ObjectField: _object_field,
    nodes.Compare: _compare,
    nodes.IsMissing: _is_missing,
    nodes.InConstants: _in_constants,
    nodes.Contains: _contains,
    nodes.AnyLabelContains: _any_label_contains,
    nodes.BoolOp: _bool_op,
    nodes.Not: lambda evaluator, node: ~evaluator.eval_bool(node.operand),
    nodes.Arithmetic: _arithmetic,
    nodes.Call: _call,
    nodes.Aggregate: _aggregate,
}
