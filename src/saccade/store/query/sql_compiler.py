"""Compiles queries to DuckDB expressions, with the same results as :mod:`saccade.core.query.evaluate`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from saccade.core.errors import QueryError
from saccade.core.query import nodes
from saccade.core.query.nodes import Node, Type
from saccade.core.schema import KEY

_MAX_LENGTH = 200_000
_STRING_FUNCTIONS = {"startswith": "starts_with", "endswith": "suffix"}
_JSON_NUMBER_TYPES = "('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE')"
_DERIVED_FIELDS = {
    "width": "{0}.x2 - {0}.x1",
    "height": "{0}.y2 - {0}.y1",
    "cx": "({0}.x1 + {0}.x2) / 2",
    "cy": "({0}.y1 + {0}.y2) / 2",
}

MACROS = ("CREATE OR REPLACE TEMP MACRO saccade_number(x) AS CASE WHEN isnan(x) THEN NULL ELSE x END",)
"""SQL to execute on a connection before compiled expressions are used."""


def to_sql(node: Node, object_name: str = "") -> str:
    """Compile a node to an SQL expression.

    Args:
        node: the node.
        object_name: SQL name of the current object, for :class:`~saccade.core.query.nodes.ObjectField`.

    Raises:
        QueryError: if the expression is too long.
    """
    sql = _COMPILERS[type(node)](node, object_name)
    # Operands that SQL needs several times are repeated, so that nesting grows the text exponentially.
    if len(sql) > _MAX_LENGTH:
        raise QueryError("The query is too complex.", "", 0, 0, hint="Split it into simpler queries.")
    return sql


def quote_identifier(name: str) -> str:
    """Quote a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def sql_literal(value: float | str | bool) -> str:
    """Format a constant as an SQL literal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"CAST('{value!r}' AS DOUBLE)"


def _number_sql(sql: str) -> str:
    """Wrap an expression so that it is DOUBLE and never NaN, which the query language takes for missing."""
    return f"saccade_number(CAST({sql} AS DOUBLE))"


def _column(node: nodes.ColumnValue, object_name: str) -> str:
    name = quote_identifier(node.column.name)
    if node.type is Type.JSON:
        return f"CAST({name} AS JSON)"
    return _number_sql(name) if node.type is Type.NUMBER else name


def _media_field(node: nodes.MediaField, object_name: str) -> str:
    sql = f"{quote_identifier(node.column.name)}.{quote_identifier(node.field)}"
    return f"CAST({sql} AS DOUBLE)" if node.type is Type.NUMBER else sql


def _object_field(node: nodes.ObjectField, object_name: str) -> str:
    if node.field == "attributes":
        return f"CAST({object_name}.attributes AS JSON)"
    sql = _DERIVED_FIELDS.get(node.field, "{0}." + quote_identifier(node.field)).format(object_name)
    return _number_sql(f"({sql})") if node.type is Type.NUMBER else sql


def _json_get(node: nodes.JsonGet, object_name: str) -> str:
    container = to_sql(node.operand, object_name)
    if isinstance(node.step, int):
        path = f"$[{node.step}]" if node.step >= 0 else f"$[#{node.step}]"
        return f"json_extract({container}, {sql_literal(path)})"
    pointer = "/" + node.step.replace("~", "~0").replace("/", "~1")
    member = f"json_extract({container}, {sql_literal(pointer)})"
    # A numeric JSON pointer also matches an element of a list; a name must match only members of objects.
    return f"(CASE WHEN json_type({container}) = 'OBJECT' THEN {member} END)" if node.step.isdigit() else member


def _json_as(node: nodes.JsonAs, object_name: str) -> str:
    value = to_sql(node.operand, object_name)
    match node.type:
        case Type.NUMBER:
            number = _number_sql(f"TRY_CAST({value} AS DOUBLE)")
            return f"(CASE WHEN json_type({value}) IN {_JSON_NUMBER_TYPES} THEN {number} END)"
        case Type.BOOLEAN:
            return f"(CASE WHEN json_type({value}) = 'BOOLEAN' THEN TRY_CAST({value} AS BOOLEAN) END)"
        case _:
            return f"(CASE WHEN json_type({value}) = 'VARCHAR' THEN {value} ->> '$' END)"


def _compare(node: nodes.Compare, object_name: str) -> str:
    left = to_sql(node.left, object_name)
    right = to_sql(node.right, object_name)
    if node.op in ("==", "!="):
        return f"({left} IS {'NOT ' if node.op == '==' else ''}DISTINCT FROM {right})"
    return f"coalesce({left} {node.op} {right}, false)"


def _is_missing(node: nodes.IsMissing, object_name: str) -> str:
    sql = to_sql(node.operand, object_name)
    return f"coalesce(json_type({sql}) = 'NULL', true)" if node.operand.type is Type.JSON else f"({sql} IS NULL)"


def _in_constants(node: nodes.InConstants, object_name: str) -> str:
    if not node.values:
        return "false"
    return f"coalesce({to_sql(node.needle, object_name)} IN ({', '.join(map(sql_literal, node.values))}), false)"


def _contains(node: nodes.Contains, object_name: str) -> str:
    function = "list_contains" if node.container.type is Type.LABELS else "contains"
    return f"coalesce({function}({to_sql(node.container, object_name)}, {to_sql(node.needle, object_name)}), false)"


def _any_label_contains(node: nodes.AnyLabelContains, object_name: str) -> str:
    matching = f"lambda label: contains(lower(label), {sql_literal(node.word)})"
    return f"coalesce(len(list_filter({quote_identifier(node.column.name)}, {matching})) > 0, false)"


def _bool_op(node: nodes.BoolOp, object_name: str) -> str:
    return "(" + f" {node.op} ".join(_boolean_sql(operand, object_name) for operand in node.operands) + ")"


def _boolean_sql(node: Node, object_name: str) -> str:
    """Compile a condition that is never NULL."""
    sql = to_sql(node, object_name)
    return f"coalesce({sql}, false)" if isinstance(node, nodes.JsonAs) else sql


def _arithmetic(node: nodes.Arithmetic, object_name: str) -> str:
    left = to_sql(node.left, object_name)
    right = to_sql(node.right, object_name)
    if node.op == "/":
        return f"saccade_number({left} / nullif({right}, 0))"
    if node.op == "%":
        quotient = f"({left} / nullif({right}, 0))"
        return f"(CASE WHEN isfinite({quotient}) THEN saccade_number({left} - {right} * floor({quotient})) END)"
    return f"saccade_number({left} {node.op} {right})"


def _call(node: nodes.Call, object_name: str) -> str:
    args = [to_sql(arg, object_name) for arg in node.args]
    match node.name:
        case "len":
            return f"CAST(len({args[0]}) AS DOUBLE)"
        case "abs" | "lower":
            return f"{node.name}({args[0]})"
        case "startswith" | "endswith":
            return f"coalesce({_STRING_FUNCTIONS[node.name]}({args[0]}, {args[1]}), false)"
        case _:
            return f"coalesce({args[0]} LIKE {_like(node.args[1])} ESCAPE '\\', false)"


def _like(pattern: Node) -> str:
    """Convert a pattern with ``*`` and ``?`` to an SQL LIKE pattern."""
    assert isinstance(pattern, nodes.Constant)
    escaped = "".join(f"\\{char}" if char in "%_\\" else char for char in str(pattern.value))
    return sql_literal(escaped.replace("*", "%").replace("?", "_"))


def _aggregate(node: nodes.Aggregate, object_name: str) -> str:
    column = quote_identifier(node.column.name)
    parameter = f"o{len(object_name)}" if object_name else "o"  # unlike that of an enclosing aggregate
    selected = column
    if node.where is not None:
        where = _boolean_sql(node.where, parameter)
        # "all" holds if no object violates the condition.
        where = f"(NOT {where})" if node.name == "all" else where
        selected = f"list_filter({column}, lambda {parameter}: {where})"
    match node.name:
        case "any":
            return f"coalesce(len({selected}) > 0, false)"
        case "all":
            return f"coalesce(len({selected}) = 0, false)"
        case "count":
            return f"CAST(len({selected}) AS DOUBLE)"
    assert node.value is not None
    values = f"list_transform({selected}, lambda {parameter}: {to_sql(node.value, parameter)})"
    function = {"mean": "avg"}.get(node.name, node.name)
    aggregate = f"saccade_number(CAST(list_aggregate({values}, '{function}') AS DOUBLE))"
    if node.name == "sum":  # of no objects is 0, but missing if the item is not labelled
        return f"(CASE WHEN {column} IS NOT NULL THEN coalesce({aggregate}, 0) END)"
    return aggregate


_COMPILERS: dict[type[Node], Callable[[Any, str], str]] = {
    nodes.Constant: lambda node, object_name: sql_literal(node.value),
    nodes.Key: lambda node, object_name: quote_identifier(KEY),
    nodes.ColumnValue: _column,
    nodes.MediaField: _media_field,
    nodes.ObjectField: _object_field,
    nodes.JsonGet: _json_get,
    nodes.JsonAs: _json_as,
    nodes.Compare: _compare,
    nodes.IsMissing: _is_missing,
    nodes.InConstants: _in_constants,
    nodes.Contains: _contains,
    nodes.AnyLabelContains: _any_label_contains,
    nodes.BoolOp: _bool_op,
    nodes.Not: lambda node, object_name: f"(NOT {_boolean_sql(node.operand, object_name)})",
    nodes.Arithmetic: _arithmetic,
    nodes.Call: _call,
    nodes.Aggregate: _aggregate,
}
