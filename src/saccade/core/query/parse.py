"""Parser of the query language: an allow-list of Python's expression syntax."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, cast

from saccade.core.errors import suggest
from saccade.core.query import nodes
from saccade.core.query.names import AGGREGATES, COLUMN_TYPES, FUNCTIONS, MEDIA_FIELDS, OBJECT_FIELDS, RESULTS
from saccade.core.query.nodes import Node, Type
from saccade.core.query.search import MAX_WORDS, matches_words, split_words
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
    """Parse a condition on items, such as ``any(objects, class == "ship") and split == "val"``.

    Raises:
        QueryError: the query is invalid.
    """
    parser = _Parser(text, schema)
    return parser.condition(parser.root)


def parse_value(text: str, schema: Schema, objects_column: Column | None = None) -> Node:
    """Parse an expression with a number, text or boolean for each item, or for each object.

    Args:
        text: the expression.
        schema: columns that it may use.
        objects_column: evaluate for each object of this column.

    Raises:
        QueryError: the expression is invalid, or has another type.
    """
    parser = _Parser(text, schema, inside=objects_column is not None)
    node = parser.node(parser.root)
    if node.type not in (Type.NUMBER, Type.TEXT, Type.BOOLEAN):
        hint = "Use one of its fields." if node.type is not Type.JSON else "Convert it with number(…) or text(…)."
        raise parser.source.error_at(parser.root, f"This is {node.type}; expected a number, text or a condition.", hint)
    return node


class _Parser:
    """Converts Python's syntax tree to query nodes and checks every node.

    Args:
        text: the query.
        schema: columns that it may use.
        inside: look names up in an object first, as in the condition of an aggregate.
    """

    def __init__(self, text: str, schema: Schema, *, inside: bool = False) -> None:
        self.source = Source(text)
        self._schema = schema
        self._inside = int(inside)
        self._depth = 0
        self.root = self.source.parse()

    def node(self, expression: ast.expr) -> Node:
        """Convert an expression of any type."""
        handle = self._handlers.get(type(expression))
        if handle is None:
            syntax = type(expression).__name__
            raise self.source.error_at(
                expression, f"'{syntax}' is not part of the query language.", "See the guide on queries."
            )
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self.source.error_at(expression, "The expression is nested too deeply.")
        node: Node = handle(self, expression)
        self._depth -= 1
        return node

    def condition(self, expression: ast.expr) -> Node:
        """Convert a condition."""
        return self._typed(expression, Type.BOOLEAN, "Compare it with a value.")

    def _typed(self, expression: ast.expr, expected: Type, hint: str = "") -> Node:
        node = self.node(expression)
        if node.type is Type.JSON:
            return nodes.JsonAs(expected, node)
        if node.type is not expected:
            raise self.source.error_at(expression, f"This is {node.type}; expected {expected}.", hint)
        return node

    # Values

    def _constant(self, expression: ast.Constant) -> Node:
        value = expression.value
        if isinstance(value, bool):
            return nodes.Constant(Type.BOOLEAN, value)
        if isinstance(value, int | float):
            return nodes.Constant(Type.NUMBER, self._number(expression, value))
        if isinstance(value, str):
            self._check_text(expression, value)
            return nodes.Constant(Type.TEXT, value)
        hint = "Test with 'is None' or '== None'." if value is None else "Use numbers, text in quotes, True or False."
        raise self.source.error_at(expression, "This value cannot be used here.", hint)

    def _check_text(self, expression: ast.AST, text: str) -> None:
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            raise self.source.error_at(expression, "This text contains characters that no value can contain.")

    def _number(self, expression: ast.AST, value: float) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.source.error_at(expression, "This number is too large.")
        return number

    def _name(self, expression: ast.Name) -> Node:
        name = "class" if expression.id == CLASS else expression.id
        if self._inside and name in OBJECT_FIELDS:
            return nodes.ObjectField(OBJECT_FIELDS[name], name)
        known = [*(OBJECT_FIELDS if self._inside else ()), KEY, *self._schema.names]
        if name == KEY:
            return nodes.Key(Type.TEXT)
        if name not in self._schema:
            problem = "neither a field of an object nor a column" if self._inside else "not a column"
            hint = suggest(name, known)
            if not self._inside and name in OBJECT_FIELDS:
                hint = f"It is a field of objects: any(objects, {name} == …), for example. {hint}"
            raise self.source.error_at(expression, f"'{name}' is {problem}.", hint)
        return self._column(self._schema[name])

    def _column(self, column: Column) -> Node:
        return nodes.ColumnValue(COLUMN_TYPES[column.kind], column)

    def _attribute(self, expression: ast.Attribute) -> Node:
        if isinstance(expression.value, ast.Name) and expression.value.id == "item":
            return self._item_field(expression, expression.attr)
        operand = self.node(expression.value)
        field = "class" if expression.attr == CLASS else expression.attr
        if operand.type is Type.JSON:
            return nodes.JsonGet(Type.JSON, operand, field)
        known = MEDIA_FIELDS.get(operand.type, {})
        if field not in known or not isinstance(operand, nodes.ColumnValue):
            hint = suggest(field, known) if known else "Only images, videos, files, attributes and tables have fields."
            if operand.type is Type.OBJECTS:
                hint = (
                    f"Use an aggregate: any({operand.column.name}, {field} == …), for example."
                    if isinstance(operand, nodes.ColumnValue)
                    else ""
                )
            raise self.source.error_at(expression, f"{operand.type.capitalize()} has no field '{field}'.", hint)
        return nodes.MediaField(known[field], operand.column, field)

    def _item_field(self, expression: ast.AST, name: str) -> Node:
        if name == KEY:
            return nodes.Key(Type.TEXT)
        if name not in self._schema:
            raise self.source.error_at(
                expression, f"'{name}' is not a column.", suggest(name, [KEY, *self._schema.names])
            )
        return self._column(self._schema[name])

    def _subscript(self, expression: ast.Subscript) -> Node:
        step = _json_step(expression.slice)
        if step is None:
            raise self.source.error_at(
                expression.slice, "A member is selected by text or a number.", 'Example: attributes["occluded"].'
            )
        if isinstance(expression.value, ast.Name) and expression.value.id == "item":
            return self._item_field(expression.slice, str(step))
        operand = self.node(expression.value)
        if operand.type is not Type.JSON:
            raise self.source.error_at(expression.value, f"{operand.type.capitalize()} has no members.")
        if isinstance(step, str):
            self._check_text(expression.slice, step)
        return nodes.JsonGet(Type.JSON, operand, step)

    # Conditions

    def _bool_op(self, expression: ast.BoolOp) -> Node:
        op: Literal["and", "or"] = "and" if isinstance(expression.op, ast.And) else "or"
        return nodes.BoolOp(Type.BOOLEAN, op, tuple(map(self.condition, expression.values)))

    def _unary(self, expression: ast.UnaryOp) -> Node:
        if isinstance(expression.op, ast.Not):
            return nodes.Not(Type.BOOLEAN, self.condition(expression.operand))
        if isinstance(expression.op, ast.Invert):
            raise self.source.error_at(expression, "'~' is not part of the query language.", "Use 'not'.")
        operand = self._typed(expression.operand, Type.NUMBER)
        if isinstance(expression.op, ast.UAdd):
            return operand
        if isinstance(operand, nodes.Constant):
            return nodes.Constant(Type.NUMBER, -cast("float", operand.value))
        return nodes.Arithmetic(Type.NUMBER, "*", nodes.Constant(Type.NUMBER, -1.0), operand)

    def _compare(self, expression: ast.Compare) -> Node:
        sides = [expression.left, *expression.comparators]
        parts = tuple(
            self._comparison(expression, left, op, right)
            for left, op, right in zip(sides, expression.ops, sides[1:], strict=False)
        )
        return parts[0] if len(parts) == 1 else nodes.BoolOp(Type.BOOLEAN, "and", parts)

    def _comparison(self, comparison: ast.expr, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Node:
        if isinstance(op, ast.In | ast.NotIn):
            membership = self._membership(left, right)
            return nodes.Not(Type.BOOLEAN, membership) if isinstance(op, ast.NotIn) else membership
        negated = isinstance(op, ast.NotEq | ast.IsNot)
        if _is_none(left) or _is_none(right):
            if type(op) in _ORDER:
                raise self.source.error_at(comparison, "None has no order.", "Test with 'is None' or 'is not None'.")
            operand = self.node(right if _is_none(left) else left)
            missing = nodes.IsMissing(Type.BOOLEAN, operand)
            return nodes.Not(Type.BOOLEAN, missing) if negated else missing
        if isinstance(op, ast.Is | ast.IsNot):
            raise self.source.error_at(comparison, "'is' works with None only.", "Use == or !=.")
        first, second = self._comparable(comparison, left, right)
        if type(op) in _ORDER:
            if first.type is Type.BOOLEAN:
                raise self.source.error_at(comparison, "True and False have no order.", "Use == or !=.")
            return nodes.Compare(Type.BOOLEAN, _ORDER[type(op)], first, second)
        return nodes.Compare(Type.BOOLEAN, "!=" if negated else "==", first, second)

    def _comparable(self, comparison: ast.expr, left: ast.expr, right: ast.expr) -> tuple[Node, Node]:
        first = self.node(left)
        second = self.node(right)
        if first.type is Type.JSON and second.type is Type.JSON:
            raise self.source.error_at(
                comparison, "Both sides have an unknown type.", "Convert one with number(…) or text(…)."
            )
        if first.type is Type.JSON:
            first = nodes.JsonAs(second.type, first)
        elif second.type is Type.JSON:
            second = nodes.JsonAs(first.type, second)
        for expression, side in ((left, first), (right, second)):
            if side.type not in (Type.NUMBER, Type.TEXT, Type.BOOLEAN):
                hint = 'Use in: "name" in labels.' if side.type is Type.LABELS else "Compare one of its fields."
                raise self.source.error_at(expression, f"{side.type.capitalize()} cannot be compared.", hint)
        if first.type is not second.type:
            raise self.source.error_at(
                comparison,
                f"{first.type.capitalize()} is compared with {second.type}.",
                "Both sides must have the same type.",
            )
        return first, second

    def _membership(self, left: ast.expr, right: ast.expr) -> Node:
        needle = self.node(left)
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            return self._in_constants(left, needle, right.elts, right)
        container = self.node(right)
        if container.type is Type.JSON:
            container = nodes.JsonAs(Type.TEXT, container)
        if needle.type is Type.JSON:
            needle = nodes.JsonAs(Type.TEXT, needle)
        if container.type not in (Type.TEXT, Type.LABELS) or needle.type is not Type.TEXT:
            raise self.source.error_at(
                right, f"{needle.type.capitalize()} cannot be in {container.type}.", 'Example: split in ("a", "b").'
            )
        return nodes.Contains(Type.BOOLEAN, needle, container)

    def _in_constants(self, left: ast.expr, needle: Node, elements: Sequence[ast.expr], container: ast.expr) -> Node:
        values = [self.node(element) for element in elements]
        for element, value in zip(elements, values, strict=True):
            if not isinstance(value, nodes.Constant):
                raise self.source.error_at(element, "A list after 'in' may contain only numbers and texts.")
        types = {value.type for value in values}
        if len(types) > 1:
            raise self.source.error_at(container, "The values of this list have different types.")
        if needle.type is Type.JSON:
            needle = nodes.JsonAs(next(iter(types), Type.TEXT), needle)
        if needle.type not in (Type.NUMBER, Type.TEXT, Type.BOOLEAN) or (types and types != {needle.type}):
            raise self.source.error_at(left, f"{needle.type.capitalize()} cannot be in this list.")
        return nodes.InConstants(
            Type.BOOLEAN, needle, tuple(value.value for value in values if isinstance(value, nodes.Constant))
        )

    # Calculations

    def _arithmetic(self, expression: ast.BinOp) -> Node:
        op = _ARITHMETIC.get(type(expression.op))
        if op is None:
            raise self.source.error_at(expression, "This operator is not part of the query language.", "Use + - * / %.")
        left, right = (self._typed(side, Type.NUMBER) for side in (expression.left, expression.right))
        return nodes.Arithmetic(Type.NUMBER, op, left, right)

    def _call(self, call: ast.Call) -> Node:
        if call.keywords:
            raise self.source.error_at(call, "Functions take no keyword arguments.")
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
            case "search":
                return self._search(call)
        known = [*AGGREGATES, *FUNCTIONS, "len", "number", "search", "text"]
        raise self.source.error_at(call.func, f"There is no function {name or 'of that kind'}.", suggest(name, known))

    def _arguments(self, call: ast.Call, arguments: Sequence[ast.expr], counts: Iterable[int]) -> None:
        allowed = list(counts)
        if len(arguments) not in allowed or any(isinstance(argument, ast.Starred) for argument in arguments):
            raise self.source.error_at(
                call, f"The function takes {' or '.join(map(str, allowed))} arguments, not {len(arguments)}."
            )

    def _conversion(self, call: ast.Call, target: Type) -> Node:
        self._arguments(call, call.args, [1])
        return self._typed(call.args[0], target)

    def _len(self, call: ast.Call) -> Node:
        self._arguments(call, call.args, [1])
        operand = self.node(call.args[0])
        if operand.type is Type.OBJECTS and isinstance(operand, nodes.ColumnValue):
            return nodes.Aggregate(Type.NUMBER, "count", operand.column, None, None)
        if operand.type is Type.JSON:
            operand = nodes.JsonAs(Type.TEXT, operand)
        is_list = isinstance(operand, nodes.ColumnValue) and operand.column.kind is Kind.EMBEDDING
        if operand.type not in (Type.TEXT, Type.LABELS) and not is_list:
            raise self.source.error_at(call.args[0], f"{operand.type.capitalize()} has no length.")
        return nodes.Call(Type.NUMBER, "len", (operand,))

    def _search(self, call: ast.Call) -> Node:
        self._arguments(call, call.args, [1])
        words = self.node(call.args[0])
        if not (isinstance(words, nodes.Constant) and isinstance(words.value, str)):
            raise self.source.error_at(
                call.args[0], "'search' needs its words as text in quotes.", 'Example: search("harbour ship").'
            )
        if self._inside:
            raise self.source.error_at(call, "'search' finds items, not objects.", 'Compare a field: "ship" in class.')
        split = split_words(words.value)
        if not 0 < len(split) <= MAX_WORDS:
            raise self.source.error_at(
                call.args[0], f"The search has {len(split)} words; expected between 1 and {MAX_WORDS}."
            )
        return matches_words(split, self._schema)

    def _function(self, call: ast.Call, name: str, arguments: Sequence[ast.expr]) -> Node:
        types = FUNCTIONS[name]
        self._arguments(call, arguments, [len(types)])
        args = tuple(self._typed(argument, type_) for argument, type_ in zip(arguments, types, strict=True))
        if name == "matches" and not isinstance(args[1], nodes.Constant):
            raise self.source.error_at(
                arguments[1], "A pattern must be text in quotes.", "* matches any text, ? one character."
            )
        return nodes.Call(RESULTS[name], cast("Any", name), args)

    def _aggregate(self, call: ast.Call, name: str) -> Node:
        with_value = name in ("sum", "min", "max", "mean")
        self._arguments(call, call.args, [2, 3] if with_value else [1, 2] if name in ("count", "any") else [2])
        column = self.node(call.args[0])
        if column.type is not Type.OBJECTS or not isinstance(column, nodes.ColumnValue):
            known = [candidate.name for candidate in self._schema.columns_of_kind(Kind.OBJECTS)]
            hint = f"Columns of objects: {', '.join(known)}." if known else "This dataset has none."
            raise self.source.error_at(call.args[0], f"'{name}' needs a column of objects as its first argument.", hint)
        self._inside += 1
        rest = call.args[1:]
        value = self._typed(rest.pop(0), Type.NUMBER) if with_value else None
        where = self.condition(rest[0]) if rest else None
        self._inside -= 1
        result = Type.BOOLEAN if name in ("any", "all") else Type.NUMBER
        return nodes.Aggregate(result, cast("Any", name), column.column, value, where)

    _handlers: dict[type, Callable[..., Node]] = {  # noqa: RUF012 - never modified
        ast.Constant: _constant,
        ast.Name: _name,
        ast.Attribute: _attribute,
        ast.Subscript: _subscript,
        ast.BoolOp: _bool_op,
        ast.UnaryOp: _unary,
        ast.Compare: _compare,
        ast.BinOp: _arithmetic,
        ast.Call: _call,
    }


def _json_step(expression: ast.expr) -> str | int | None:
    """Return the key or index of a member: text or an integer, which may be negative; None if it is neither."""
    sign = 1
    if isinstance(expression, ast.UnaryOp) and isinstance(expression.op, ast.USub):
        sign = -1
        expression = expression.operand
    value = expression.value if isinstance(expression, ast.Constant) else None
    if isinstance(value, str) and sign == 1:
        return value
    return sign * value if isinstance(value, int) and not isinstance(value, bool) and value < 1 << 31 else None


def _is_none(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Constant) and expression.value is None
