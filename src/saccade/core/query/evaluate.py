"""Evaluates a query on one item in plain Python; the reference semantics of the query language."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from saccade.core.objects import Object
from saccade.core.query import nodes
from saccade.core.query.nodes import Node, Type
from saccade.core.reader import Item

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_JSON_TYPES: Mapping[Type, tuple[type, ...]] = {Type.NUMBER: (int, float), Type.TEXT: (str,), Type.BOOLEAN: (bool,)}


def evaluate(node: Node, item: Item, obj: Object | None = None) -> Any:
    """Evaluate an expression.

    Args:
        node: the expression.
        item: the item to evaluate it on.
        obj: the current object, inside an aggregate.

    Returns:
        A float, str or bool, or None if the value is missing.
    """
    return _EVALUATE[type(node)](node, item, obj)


def _column(node: nodes.ColumnValue, item: Item, obj: Object | None) -> Any:
    value = item.values.get(node.column.name)
    return _number(value) if node.type is Type.NUMBER else value


def _media_field(node: nodes.MediaField, item: Item, obj: Object | None) -> Any:
    ref = item.values.get(node.column.name)
    value = None if ref is None else getattr(ref, node.field)
    return _number(value) if node.type is Type.NUMBER else value


def _object_field(node: nodes.ObjectField, item: Item, obj: Object | None) -> Any:
    assert obj is not None
    match node.field:
        case "class":
            return obj.class_name
        case "id" | "track" | "attributes":
            return getattr(obj, node.field)
        case "score":
            return _number(obj.score)
        case "type":
            return obj.geometry.type
        case "area":
            return _number(obj.geometry.area())
        case _:
            return _number(_bounds_field(node.field, *obj.geometry.bounds_xyxy()))


def _bounds_field(field: str, x1: float, y1: float, x2: float, y2: float) -> float:
    return {
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "width": x2 - x1,
        "height": y2 - y1,
        "cx": (x1 + x2) / 2,
        "cy": (y1 + y2) / 2,
    }[field]


def _json_get(node: nodes.JsonGet, item: Item, obj: Object | None) -> Any:
    container: Any = evaluate(node.operand, item, obj)
    if isinstance(node.step, str):
        return container.get(node.step) if isinstance(container, Mapping) else None
    in_range = isinstance(container, list | tuple) and -len(container) <= node.step < len(container)
    return container[node.step] if in_range else None


def _json_as(node: nodes.JsonAs, item: Item, obj: Object | None) -> Any:
    value: Any = evaluate(node.operand, item, obj)
    has_type = isinstance(value, _JSON_TYPES[node.type]) and (node.type is Type.BOOLEAN or not isinstance(value, bool))
    if not has_type:
        return None
    return _number(value) if node.type is Type.NUMBER else value


def _number(value: float | None) -> float | None:
    """Convert a number to float; NaN becomes None (missing)."""
    if value is None:
        return None
    try:
        number = float(value)
    except OverflowError:
        number = math.copysign(math.inf, value)
    return None if math.isnan(number) else number


def _compare(node: nodes.Compare, item: Item, obj: Object | None) -> bool:
    left = evaluate(node.left, item, obj)
    right = evaluate(node.right, item, obj)
    if node.op in ("==", "!="):
        return bool((left == right) is (node.op == "=="))
    return left is not None and right is not None and _ORDER[node.op](left, right)


def _in_constants(node: nodes.InConstants, item: Item, obj: Object | None) -> bool:
    return evaluate(node.needle, item, obj) in node.values


def _contains(node: nodes.Contains, item: Item, obj: Object | None) -> bool:
    needle = evaluate(node.needle, item, obj)
    container = evaluate(node.container, item, obj)
    return needle is not None and container is not None and needle in container


def _any_label_contains(node: nodes.AnyLabelContains, item: Item, obj: Object | None) -> bool:
    return any(node.word in lower(label) for label in item.values.get(node.column.name) or ())


def _bool_op(node: nodes.BoolOp, item: Item, obj: Object | None) -> bool:
    values = (bool(evaluate(operand, item, obj)) for operand in node.operands)
    return all(values) if node.op == "and" else any(values)


def _arithmetic(node: nodes.Arithmetic, item: Item, obj: Object | None) -> float | None:
    left = evaluate(node.left, item, obj)
    right = evaluate(node.right, item, obj)
    if left is None or right is None or (node.op in "/%" and right == 0):
        return None
    match node.op:
        case "+":
            return _number(left + right)
        case "-":
            return _number(left - right)
        case "*":
            return _number(left * right)
        case "/":
            return _number(left / right)
        case _:
            quotient = left / right
            return None if not math.isfinite(quotient) else _number(left - right * math.floor(quotient))


def _call(node: nodes.Call, item: Item, obj: Object | None) -> Any:
    args = [evaluate(arg, item, obj) for arg in node.args]
    if any(arg is None for arg in args):
        return False if node.type is Type.BOOLEAN else None
    match node.name:
        case "len":
            return float(len(args[0]))
        case "abs":
            return abs(args[0])
        case "lower":
            return lower(args[0])
        case "startswith" | "endswith":
            return getattr(args[0], node.name)(args[1])
        case _:
            return glob_pattern(args[1]).fullmatch(args[0]) is not None


def lower(text: str) -> str:
    """Convert to lower case character by character.

    Characters whose lower case has several characters stay, so that the result matches the vectorised evaluator.
    """
    lowered_text = text.lower()
    # Only the lower case of a capital sigma depends on the characters around it.
    if len(lowered_text) == len(text) and "Σ" not in text:
        return lowered_text
    return "".join(lowered if len(lowered := char.lower()) == 1 else char for char in text)


@lru_cache(maxsize=256)
def glob_pattern(glob: str) -> re.Pattern[str]:
    """Compile a glob pattern with ``*`` and ``?`` to a regular expression."""
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in re.sub(r"\*+", "*", glob))
    return re.compile("".join(parts), re.DOTALL)


def _aggregate(node: nodes.Aggregate, item: Item, obj: Object | None) -> Any:
    objects = item.values.get(node.column.name)
    if objects is None:
        return False if node.type is Type.BOOLEAN else None
    where = node.where
    if node.name == "all":
        return where is None or all(evaluate(where, item, element) for element in objects)
    selected = [element for element in objects if where is None or evaluate(where, item, element)]
    if node.name in ("any", "count"):
        return bool(selected) if node.name == "any" else float(len(selected))
    assert node.value is not None
    values = [value for element in selected if (value := evaluate(node.value, item, element)) is not None]
    if node.name == "sum":
        return _number(sum(values, 0.0))
    if not values:
        return None
    return _number(sum(values) / len(values)) if node.name == "mean" else (min if node.name == "min" else max)(values)


_EVALUATE: Mapping[type[Node], Callable[[Any, Item, Object | None], Any]] = {
    nodes.Constant: lambda node, item, obj: node.value,
    nodes.Key: lambda node, item, obj: item.key,
    nodes.ColumnValue: _column,
    nodes.MediaField: _media_field,
    nodes.ObjectField: _object_field,
    nodes.JsonGet: _json_get,
    nodes.JsonAs: _json_as,
    nodes.Compare: _compare,
    nodes.IsMissing: lambda node, item, obj: evaluate(node.operand, item, obj) is None,
    nodes.InConstants: _in_constants,
    nodes.Contains: _contains,
    nodes.AnyLabelContains: _any_label_contains,
    nodes.BoolOp: _bool_op,
    nodes.Not: lambda node, item, obj: not evaluate(node.operand, item, obj),
    nodes.Arithmetic: _arithmetic,
    nodes.Call: _call,
    nodes.Aggregate: _aggregate,
}
