"""A query asked of items in memory, one by one: what the language means, in plain Python."""

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
_JSON_TYPES: Mapping[Type, tuple[type, ...]] = {Type.NUMBER: (int, float), Type.TEXT: (str,), Type.TRUTH: (bool,)}


def evaluate(node: Node, item: Item, thing: Object | None = None) -> Any:
    """The value of an expression for an item (and an object of it): float, str, bool, or None where it is missing."""
    return _EVALUATE[type(node)](node, item, thing)


def _column(node: nodes.ColumnValue, item: Item, thing: Object | None) -> Any:
    value = item.values.get(node.column.name)
    return _number(value) if node.type is Type.NUMBER else value


def _media_field(node: nodes.MediaField, item: Item, thing: Object | None) -> Any:
    ref = item.values.get(node.column.name)
    value = None if ref is None else getattr(ref, node.field)
    return _number(value) if node.type is Type.NUMBER else value


def _object_field(node: nodes.ObjectField, item: Item, thing: Object | None) -> Any:
    assert thing is not None
    match node.field:
        case "class":
            return thing.class_name
        case "id" | "track" | "attributes":
            return getattr(thing, node.field)
        case "score":
            return _number(thing.score)
        case "type":
            return thing.geometry.type
        case "area":
            return _number(thing.geometry.area())
        case _:
            return _number(_place(node.field, *thing.geometry.bounds_xyxy()))


def _place(field: str, x1: float, y1: float, x2: float, y2: float) -> float:
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


def _json_part(node: nodes.JsonPart, item: Item, thing: Object | None) -> Any:
    whole: Any = evaluate(node.of, item, thing)
    if isinstance(node.step, str):
        return whole.get(node.step) if isinstance(whole, Mapping) else None
    inside = isinstance(whole, list | tuple) and -len(whole) <= node.step < len(whole)
    return whole[node.step] if inside else None


def _json_as(node: nodes.JsonAs, item: Item, thing: Object | None) -> Any:
    value: Any = evaluate(node.of, item, thing)
    fits = isinstance(value, _JSON_TYPES[node.type]) and (node.type is Type.TRUTH or not isinstance(value, bool))
    if not fits:
        return None
    return _number(value) if node.type is Type.NUMBER else value


def _number(value: float | None) -> float | None:
    """A number as float; NaN is none."""
    if value is None:
        return None
    try:
        made = float(value)
    except OverflowError:
        made = math.copysign(math.inf, value)
    return None if math.isnan(made) else made


def _compare(node: nodes.Compare, item: Item, thing: Object | None) -> bool:
    left, right = evaluate(node.left, item, thing), evaluate(node.right, item, thing)
    if node.op in ("==", "!="):
        return bool((left == right) is (node.op == "=="))
    return left is not None and right is not None and _ORDER[node.op](left, right)


def _among(node: nodes.AmongConstants, item: Item, thing: Object | None) -> bool:
    return evaluate(node.needle, item, thing) in node.values


def _within(node: nodes.Within, item: Item, thing: Object | None) -> bool:
    needle, whole = evaluate(node.needle, item, thing), evaluate(node.whole, item, thing)
    return needle is not None and whole is not None and needle in whole


def _logic(node: nodes.Logic, item: Item, thing: Object | None) -> bool:
    each = (bool(evaluate(part, item, thing)) for part in node.parts)
    return all(each) if node.op == "and" else any(each)


def _arithmetic(node: nodes.Arithmetic, item: Item, thing: Object | None) -> float | None:
    left, right = evaluate(node.left, item, thing), evaluate(node.right, item, thing)
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
            share = left / right
            return None if not math.isfinite(share) else _number(left - right * math.floor(share))


def _call(node: nodes.Call, item: Item, thing: Object | None) -> Any:
    args = [evaluate(arg, item, thing) for arg in node.args]
    if any(arg is None for arg in args):
        return False if node.type is Type.TRUTH else None
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
            return pattern(args[1]).fullmatch(args[0]) is not None


def lower(text: str) -> str:
    """The text in small letters, each character for itself."""
    return "".join(small if len(small := char.lower()) == 1 else char for char in text)


@lru_cache(maxsize=256)
def pattern(glob: str) -> re.Pattern[str]:
    """What a text with ``*`` and ``?`` stands for."""
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in re.sub(r"\*+", "*", glob))
    return re.compile("".join(parts), re.DOTALL)


def _aggregate(node: nodes.Aggregate, item: Item, thing: Object | None) -> Any:
    things = item.values.get(node.column.name)
    if things is None:
        return False if node.type is Type.TRUTH else None
    where = node.where
    if node.name == "all":
        return where is None or all(evaluate(where, item, each) for each in things)
    chosen = [each for each in things if where is None or evaluate(where, item, each)]
    if node.name in ("any", "count"):
        return bool(chosen) if node.name == "any" else float(len(chosen))
    assert node.value is not None
    values = [value for each in chosen if (value := evaluate(node.value, item, each)) is not None]
    if node.name == "sum":
        return _number(sum(values, 0.0))
    if not values:
        return None
    return _number(sum(values) / len(values)) if node.name == "mean" else (min if node.name == "min" else max)(values)


_EVALUATE: Mapping[type[Node], Callable[[Any, Item, Object | None], Any]] = {
    nodes.Constant: lambda node, item, thing: node.value,
    nodes.Key: lambda node, item, thing: item.key,
    nodes.ColumnValue: _column,
    nodes.MediaField: _media_field,
    nodes.ObjectField: _object_field,
    nodes.JsonPart: _json_part,
    nodes.JsonAs: _json_as,
    nodes.Compare: _compare,
    nodes.IsMissing: lambda node, item, thing: evaluate(node.of, item, thing) is None,
    nodes.AmongConstants: _among,
    nodes.Within: _within,
    nodes.Logic: _logic,
    nodes.Not: lambda node, item, thing: not evaluate(node.of, item, thing),
    nodes.Arithmetic: _arithmetic,
    nodes.Call: _call,
    nodes.Aggregate: _aggregate,
}
