"""The query language: Python's own expression syntax, of which only what is listed here is let through."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, cast

from saccade.core.errors import nearest
from saccade.core.query import nodes
from saccade.core.query.names import AGGREGATES, COLUMN_TYPES, FUNCTIONS, MEDIA_FIELDS, OBJECT_FIELDS, RESULTS
from saccade.core.query.nodes import Node, Type
from saccade.core.query.source import CLASS, Source
from saccade.core.schema import KEY, Column, Kind, Schema

_MAX_DEPTH = 60
_ORDER: dict[type, Literal["<", "<=", ">", ">="]] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_ARITHMETIC: dict[type, Literal["+", "-", "*", "/", "%"]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Mod: "%",
}


def parse_query(text: str, schema: Schema) -> Node:
    """A condition on items, such as ``any(objects, class == "ship") and split == "val"``; QueryError where wrong."""
    parser = _Parser(text, schema)
    return parser.as_truth(parser.root)


def parse_value(text: str, schema: Schema, over: Column | None = None) -> Node:
    """An expression for a number, text or truth of each item, or of each object of the column ``over``."""
    parser = _Parser(text, schema, inside=over is not None)
    found = parser.node(parser.root)
    if found.type not in (Type.NUMBER, Type.TEXT, Type.TRUTH):
        hint = "Say which field of it." if found.type is not Type.JSON else "Say number(…) or text(…) of it."
        raise parser.source.wrong(parser.root, f"This is {found.type}, not a number, text or a condition.", hint)
    return found


class _Parser:
    """From Python's tree to ours; every node is checked on the way.

    Args:
        inside: whether names are looked up in an object first, as in the condition of an aggregate.
    """

    def __init__(self, text: str, schema: Schema, *, inside: bool = False) -> None:
        self.source = Source(text)
        self._schema = schema
        self._inside = int(inside)
        self._depth = 0
        self.root = self.source.parse()

    def node(self, expression: ast.expr) -> Node:
        """The node of an expression of any type."""
        handle = self._handlers.get(type(expression))
        if handle is None:
            what = type(expression).__name__
            raise self.source.wrong(
                expression, f"'{what}' is not part of the query language.", "See the guide on queries."
            )
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self.source.wrong(expression, "This is nested too deep.")
        found: Node = handle(self, expression)
        self._depth -= 1
        return found

    def as_truth(self, expression: ast.expr) -> Node:
        """The node of a condition."""
        return self._as(expression, Type.TRUTH, "Compare it with something.")

    def _as(self, expression: ast.expr, wanted: Type, hint: str = "") -> Node:
        found = self.node(expression)
        if found.type is Type.JSON:
            return nodes.JsonAs(wanted, found)
        if found.type is not wanted:
            raise self.source.wrong(expression, f"This is {found.type}, and {wanted} is needed here.", hint)
        return found

    # Values

    def _constant(self, expression: ast.Constant) -> Node:
        value = expression.value
        if isinstance(value, bool):
            return nodes.Constant(Type.TRUTH, value)
        if isinstance(value, int | float):
            return nodes.Constant(Type.NUMBER, self._number(expression, value))
        if isinstance(value, str):
            self._check_text(expression, value)
            return nodes.Constant(Type.TEXT, value)
        hint = "Ask with 'is None' or '== None'." if value is None else "Use numbers, text in quotes, True or False."
        raise self.source.wrong(expression, "This value cannot be used here.", hint)

    def _check_text(self, place: ast.AST, text: str) -> None:
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            raise self.source.wrong(place, "This text holds characters that no value can hold.")

    def _number(self, place: ast.AST, value: float) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.source.wrong(place, "This number is too large.")
        return number

    def _name(self, expression: ast.Name) -> Node:
        name = "class" if expression.id == CLASS else expression.id
        if self._inside and name in OBJECT_FIELDS:
            return nodes.ObjectField(OBJECT_FIELDS[name], name)
        known = [*(OBJECT_FIELDS if self._inside else ()), KEY, *self._schema.names]
        if name == KEY:
            return nodes.Key(Type.TEXT)
        if name not in self._schema:
            what = "neither a field of an object nor a column" if self._inside else "not a column"
            hint = nearest(name, known)
            if not self._inside and name in OBJECT_FIELDS:
                hint = f"It is a field of objects: any(objects, {name} == …), for one. {hint}"
            raise self.source.wrong(expression, f"'{name}' is {what}.", hint)
        return self._column(self._schema[name])

    def _column(self, column: Column) -> Node:
        return nodes.ColumnValue(COLUMN_TYPES[column.kind], column)

    def _attribute(self, expression: ast.Attribute) -> Node:
        if isinstance(expression.value, ast.Name) and expression.value.id == "item":
            return self._of_item(expression, expression.attr)
        of = self.node(expression.value)
        field = "class" if expression.attr == CLASS else expression.attr
        if of.type is Type.JSON:
            return nodes.JsonPart(Type.JSON, of, field)
        known = MEDIA_FIELDS.get(of.type, {})
        if field not in known or not isinstance(of, nodes.ColumnValue):
            hint = nearest(field, known) if known else "Only images, videos, files, attributes and tables have fields."
            if of.type is Type.OBJECTS:
                hint = (
                    f"Ask of the objects: any({of.column.name}, {field} == …), for one."
                    if isinstance(of, nodes.ColumnValue)
                    else ""
                )
            raise self.source.wrong(expression, f"{of.type.capitalize()} has no field '{field}'.", hint)
        return nodes.MediaField(known[field], of.column, field)

    def _of_item(self, place: ast.AST, name: str) -> Node:
        if name == KEY:
            return nodes.Key(Type.TEXT)
        if name not in self._schema:
            raise self.source.wrong(place, f"'{name}' is not a column.", nearest(name, [KEY, *self._schema.names]))
        return self._column(self._schema[name])

    def _subscript(self, expression: ast.Subscript) -> Node:
        step = _step(expression.slice)
        if step is None:
            raise self.source.wrong(
                expression.slice, "A member is named by text or a number.", 'Such as attributes["occluded"].'
            )
        if isinstance(expression.value, ast.Name) and expression.value.id == "item":
            return self._of_item(expression.slice, str(step))
        of = self.node(expression.value)
        if of.type is not Type.JSON:
            raise self.source.wrong(expression.value, f"{of.type.capitalize()} has no members.")
        if isinstance(step, str):
            self._check_text(expression.slice, step)
        return nodes.JsonPart(Type.JSON, of, step)

    # Conditions

    def _logic(self, expression: ast.BoolOp) -> Node:
        op: Literal["and", "or"] = "and" if isinstance(expression.op, ast.And) else "or"
        return nodes.Logic(Type.TRUTH, op, tuple(map(self.as_truth, expression.values)))

    def _unary(self, expression: ast.UnaryOp) -> Node:
        if isinstance(expression.op, ast.Not):
            return nodes.Not(Type.TRUTH, self.as_truth(expression.operand))
        if isinstance(expression.op, ast.Invert):
            raise self.source.wrong(expression, "'~' is not part of the query language.", "Use 'not'.")
        operand = self._as(expression.operand, Type.NUMBER)
        if isinstance(expression.op, ast.UAdd):
            return operand
        if isinstance(operand, nodes.Constant):
            return nodes.Constant(Type.NUMBER, -cast("float", operand.value))
        return nodes.Arithmetic(Type.NUMBER, "*", nodes.Constant(Type.NUMBER, -1.0), operand)

    def _compare(self, expression: ast.Compare) -> Node:
        sides = [expression.left, *expression.comparators]
        parts = tuple(
            self._one_comparison(expression, left, op, right)
            for left, op, right in zip(sides, expression.ops, sides[1:], strict=False)
        )
        return parts[0] if len(parts) == 1 else nodes.Logic(Type.TRUTH, "and", parts)

    def _one_comparison(self, whole: ast.expr, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Node:
        if isinstance(op, ast.In | ast.NotIn):
            found = self._membership(left, right)
            return nodes.Not(Type.TRUTH, found) if isinstance(op, ast.NotIn) else found
        negated = isinstance(op, ast.NotEq | ast.IsNot)
        if _is_none(left) or _is_none(right):
            if type(op) in _ORDER:
                raise self.source.wrong(whole, "None has no order.", "Ask with 'is None' or 'is not None'.")
            asked = self.node(right if _is_none(left) else left)
            missing = nodes.IsMissing(Type.TRUTH, asked)
            return nodes.Not(Type.TRUTH, missing) if negated else missing
        if isinstance(op, ast.Is | ast.IsNot):
            raise self.source.wrong(whole, "'is' goes with None only.", "Use == or !=.")
        first, second = self._alike(whole, left, right)
        if type(op) in _ORDER:
            if first.type is Type.TRUTH:
                raise self.source.wrong(whole, "True and False have no order.", "Use == or !=.")
            return nodes.Compare(Type.TRUTH, _ORDER[type(op)], first, second)
        return nodes.Compare(Type.TRUTH, "!=" if negated else "==", first, second)

    def _alike(self, whole: ast.expr, left: ast.expr, right: ast.expr) -> tuple[Node, Node]:
        first, second = self.node(left), self.node(right)
        if first.type is Type.JSON and second.type is Type.JSON:
            raise self.source.wrong(whole, "The type of neither side is known.", "Say number(…) or text(…) of one.")
        if first.type is Type.JSON:
            first = nodes.JsonAs(second.type, first)
        elif second.type is Type.JSON:
            second = nodes.JsonAs(first.type, second)
        for place, side in ((left, first), (right, second)):
            if side.type not in (Type.NUMBER, Type.TEXT, Type.TRUTH):
                hint = 'Use in: "name" in labels.' if side.type is Type.LABELS else "Compare a field of it."
                raise self.source.wrong(place, f"{side.type.capitalize()} cannot be compared.", hint)
        if first.type is not second.type:
            raise self.source.wrong(
                whole, f"{first.type.capitalize()} is compared with {second.type}.", "Both must be alike."
            )
        return first, second

    def _membership(self, left: ast.expr, right: ast.expr) -> Node:
        needle = self.node(left)
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            return self._among(left, needle, right.elts, right)
        whole = self.node(right)
        if whole.type is Type.JSON:
            whole = nodes.JsonAs(Type.TEXT, whole)
        if needle.type is Type.JSON:
            needle = nodes.JsonAs(Type.TEXT, needle)
        if whole.type not in (Type.TEXT, Type.LABELS) or needle.type is not Type.TEXT:
            raise self.source.wrong(
                right, f"{needle.type.capitalize()} cannot be in {whole.type}.", 'Such as: split in ("a", "b").'
            )
        return nodes.Within(Type.TRUTH, needle, whole)

    def _among(self, left: ast.expr, needle: Node, given: Sequence[ast.expr], place: ast.expr) -> Node:
        values = [self.node(one) for one in given]
        for one, value in zip(given, values, strict=True):
            if not isinstance(value, nodes.Constant):
                raise self.source.wrong(one, "A list after 'in' holds numbers or texts only.")
        types = {value.type for value in values}
        if len(types) > 1:
            raise self.source.wrong(place, "The values in this list are not of one type.")
        if needle.type is Type.JSON:
            needle = nodes.JsonAs(next(iter(types), Type.TEXT), needle)
        if needle.type not in (Type.NUMBER, Type.TEXT, Type.TRUTH) or (types and types != {needle.type}):
            raise self.source.wrong(left, f"{needle.type.capitalize()} cannot be in this list.")
        return nodes.AmongConstants(
            Type.TRUTH, needle, tuple(value.value for value in values if isinstance(value, nodes.Constant))
        )

    # Calculations

    def _arithmetic(self, expression: ast.BinOp) -> Node:
        op = _ARITHMETIC.get(type(expression.op))
        if op is None:
            raise self.source.wrong(expression, "This operator is not part of the query language.", "Use + - * / %.")
        left, right = (self._as(side, Type.NUMBER) for side in (expression.left, expression.right))
        return nodes.Arithmetic(Type.NUMBER, op, left, right)

    def _call(self, call: ast.Call) -> Node:
        if call.keywords:
            raise self.source.wrong(call, "Arguments have no names here.")
        if isinstance(call.func, ast.Attribute) and call.func.attr in FUNCTIONS:
            return self._function(call, call.func.attr, [call.func.value, *call.args])
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name in AGGREGATES:
            return self._aggregate(call, name)
        if name in FUNCTIONS:
            return self._function(call, name, call.args)
        match name:
            case "number" | "text":
                return self._conversion(call, Type.NUMBER if name == "number" else Type.TEXT)
            case "len":
                return self._len(call)
        known = [*AGGREGATES, *FUNCTIONS, "len", "number", "text"]
        raise self.source.wrong(call.func, f"There is no function {name or 'of that kind'}.", nearest(name, known))

    def _arguments(self, call: ast.Call, given: Sequence[ast.expr], counts: Iterable[int]) -> None:
        allowed = list(counts)
        if len(given) not in allowed or any(isinstance(one, ast.Starred) for one in given):
            raise self.source.wrong(call, f"It takes {' or '.join(map(str, allowed))} arguments, not {len(given)}.")

    def _conversion(self, call: ast.Call, wanted: Type) -> Node:
        self._arguments(call, call.args, [1])
        return self._as(call.args[0], wanted)

    def _len(self, call: ast.Call) -> Node:
        self._arguments(call, call.args, [1])
        of = self.node(call.args[0])
        if of.type is Type.OBJECTS and isinstance(of, nodes.ColumnValue):
            return nodes.Aggregate(Type.NUMBER, "count", of.column, None, None)
        if of.type is Type.JSON:
            of = nodes.JsonAs(Type.TEXT, of)
        is_list = isinstance(of, nodes.ColumnValue) and of.column.kind is Kind.EMBEDDING
        if of.type not in (Type.TEXT, Type.LABELS) and not is_list:
            raise self.source.wrong(call.args[0], f"{of.type.capitalize()} has no length.")
        return nodes.Call(Type.NUMBER, "len", (of,))

    def _function(self, call: ast.Call, name: str, given: Sequence[ast.expr]) -> Node:
        types = FUNCTIONS[name]
        self._arguments(call, given, [len(types)])
        args = tuple(self._as(one, wanted) for one, wanted in zip(given, types, strict=True))
        if name == "matches" and not isinstance(args[1], nodes.Constant):
            raise self.source.wrong(given[1], "A pattern is text in quotes.", "* stands for any characters, ? for one.")
        return nodes.Call(RESULTS[name], cast("Any", name), args)

    def _aggregate(self, call: ast.Call, name: str) -> Node:
        with_value = name in ("sum", "min", "max", "mean")
        self._arguments(call, call.args, [2, 3] if with_value else [1, 2] if name in ("count", "any") else [2])
        column = self.node(call.args[0])
        if column.type is not Type.OBJECTS or not isinstance(column, nodes.ColumnValue):
            known = [each.name for each in self._schema.of_kind(Kind.OBJECTS)]
            hint = f"Columns of objects: {', '.join(known)}." if known else "This dataset has none."
            raise self.source.wrong(call.args[0], f"'{name}' needs a column of objects first.", hint)
        self._inside += 1
        rest = call.args[1:]
        value = self._as(rest.pop(0), Type.NUMBER) if with_value else None
        where = self.as_truth(rest[0]) if rest else None
        self._inside -= 1
        result = Type.TRUTH if name in ("any", "all") else Type.NUMBER
        return nodes.Aggregate(result, cast("Any", name), column.column, value, where)

    _handlers: dict[type, Callable[..., Node]] = {  # noqa: RUF012 (never changed)
        ast.Constant: _constant,
        ast.Name: _name,
        ast.Attribute: _attribute,
        ast.Subscript: _subscript,
        ast.BoolOp: _logic,
        ast.UnaryOp: _unary,
        ast.Compare: _compare,
        ast.BinOp: _arithmetic,
        ast.Call: _call,
    }


def _step(place: ast.expr) -> str | int | None:
    """The name or place of a member: text, or a whole number that may be negative."""
    sign = 1
    if isinstance(place, ast.UnaryOp) and isinstance(place.op, ast.USub):
        sign, place = -1, place.operand
    value = place.value if isinstance(place, ast.Constant) else None
    if isinstance(value, str) and sign == 1:
        return value
    return sign * value if isinstance(value, int) and not isinstance(value, bool) and value < 1 << 31 else None


def _is_none(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Constant) and expression.value is None
