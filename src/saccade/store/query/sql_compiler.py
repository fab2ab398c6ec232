"""A query as a DuckDB expression over the table of a version; the same answers as evaluating it item by item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from saccade.core.errors import QueryError
from saccade.core.query import nodes
from saccade.core.query.nodes import Node, Type
from saccade.core.schema import KEY

_MAX_LENGTH = 200_000
_ENDS = {"startswith": "starts_with", "endswith": "suffix"}
_NUMBERS = "('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE')"
_DERIVED = {
    "width": "{0}.x2 - {0}.x1",
    "height": "{0}.y2 - {0}.y1",
    "cx": "({0}.x1 + {0}.x2) / 2",
    "cy": "({0}.y1 + {0}.y2) / 2",
}

MACROS = ("CREATE OR REPLACE TEMP MACRO saccade_number(x) AS CASE WHEN isnan(x) THEN NULL ELSE x END",)
"""To be made on a connection before an expression is used on it."""


def to_sql(node: Node, thing: str = "") -> str:
    """The expression of a node.

    Args:
        thing: the SQL name of the object that fields without a column are of.
    """
    sql = _WRITE[type(node)](node, thing)
    if len(sql) > _MAX_LENGTH:  # some parts are written several times
        raise QueryError("The query is too complicated.", "", 0, 0, hint="Ask for a part of it first.")
    return sql


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: float | str | bool) -> str:
    """A constant in SQL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"CAST('{value!r}' AS DOUBLE)"


def _number(sql: str) -> str:
    return f"saccade_number(CAST({sql} AS DOUBLE))"


def _column(node: nodes.ColumnValue, thing: str) -> str:
    name = quoted(node.column.name)
    if node.type is Type.JSON:
        return f"CAST({name} AS JSON)"
    return _number(name) if node.type is Type.NUMBER else name


def _media_field(node: nodes.MediaField, thing: str) -> str:
    sql = f"{quoted(node.column.name)}.{quoted(node.field)}"
    return f"CAST({sql} AS DOUBLE)" if node.type is Type.NUMBER else sql


def _object_field(node: nodes.ObjectField, thing: str) -> str:
    if node.field == "attributes":
        return f"CAST({thing}.attributes AS JSON)"
    sql = _DERIVED.get(node.field, "{0}." + quoted(node.field)).format(thing)
    return _number(f"({sql})") if node.type is Type.NUMBER else sql


def _json_part(node: nodes.JsonPart, thing: str) -> str:
    whole = to_sql(node.of, thing)
    if isinstance(node.step, int):
        at = f"$[{node.step}]" if node.step >= 0 else f"$[#{node.step}]"
        return f"json_extract({whole}, {literal(at)})"
    pointer = "/" + node.step.replace("~", "~0").replace("/", "~1")
    part = f"json_extract({whole}, {literal(pointer)})"
    # A pointer that is a number would also find an element of a list.
    return f"(CASE WHEN json_type({whole}) = 'OBJECT' THEN {part} END)" if node.step.isdigit() else part


def _json_as(node: nodes.JsonAs, thing: str) -> str:
    value = to_sql(node.of, thing)
    match node.type:
        case Type.NUMBER:
            return f"(CASE WHEN json_type({value}) IN {_NUMBERS} THEN {_number(f'TRY_CAST({value} AS DOUBLE)')} END)"
        case Type.TRUTH:
            return f"(CASE WHEN json_type({value}) = 'BOOLEAN' THEN TRY_CAST({value} AS BOOLEAN) END)"
        case _:
            return f"(CASE WHEN json_type({value}) = 'VARCHAR' THEN {value} ->> '$' END)"


def _compare(node: nodes.Compare, thing: str) -> str:
    left, right = to_sql(node.left, thing), to_sql(node.right, thing)
    if node.op in ("==", "!="):
        return f"({left} IS {'NOT ' if node.op == '==' else ''}DISTINCT FROM {right})"
    return f"coalesce({left} {node.op} {right}, false)"


def _is_missing(node: nodes.IsMissing, thing: str) -> str:
    of = to_sql(node.of, thing)
    return f"coalesce(json_type({of}) = 'NULL', true)" if node.of.type is Type.JSON else f"({of} IS NULL)"


def _among(node: nodes.AmongConstants, thing: str) -> str:
    if not node.values:
        return "false"
    return f"coalesce({to_sql(node.needle, thing)} IN ({', '.join(map(literal, node.values))}), false)"


def _within(node: nodes.Within, thing: str) -> str:
    function = "list_contains" if node.whole.type is Type.LABELS else "contains"
    return f"coalesce({function}({to_sql(node.whole, thing)}, {to_sql(node.needle, thing)}), false)"


def _logic(node: nodes.Logic, thing: str) -> str:
    return "(" + f" {node.op} ".join(_truth(part, thing) for part in node.parts) + ")"


def _truth(node: Node, thing: str) -> str:
    """A condition that is never missing."""
    sql = to_sql(node, thing)
    return f"coalesce({sql}, false)" if isinstance(node, nodes.JsonAs) else sql


def _arithmetic(node: nodes.Arithmetic, thing: str) -> str:
    left, right = to_sql(node.left, thing), to_sql(node.right, thing)
    if node.op == "/":
        return f"saccade_number({left} / nullif({right}, 0))"
    if node.op == "%":
        share = f"({left} / nullif({right}, 0))"
        return f"(CASE WHEN isfinite({share}) THEN saccade_number({left} - {right} * floor({share})) END)"
    return f"saccade_number({left} {node.op} {right})"


def _call(node: nodes.Call, thing: str) -> str:
    args = [to_sql(arg, thing) for arg in node.args]
    match node.name:
        case "len":
            return f"CAST(len({args[0]}) AS DOUBLE)"
        case "abs" | "lower":
            return f"{node.name}({args[0]})"
        case "startswith" | "endswith":
            return f"coalesce({_ENDS[node.name]}({args[0]}, {args[1]}), false)"
        case _:
            return f"coalesce({args[0]} LIKE {_like(node.args[1])} ESCAPE '\\', false)"


def _like(pattern: Node) -> str:
    assert isinstance(pattern, nodes.Constant)
    escaped = "".join(f"\\{char}" if char in "%_\\" else char for char in str(pattern.value))
    return literal(escaped.replace("*", "%").replace("?", "_"))


def _aggregate(node: nodes.Aggregate, thing: str) -> str:
    column = quoted(node.column.name)
    each = f"o{len(thing)}" if thing else "o"
    chosen = column
    if node.where is not None:
        where = _truth(node.where, each)
        where = f"(NOT {where})" if node.name == "all" else where
        chosen = f"list_filter({column}, lambda {each}: {where})"
    match node.name:
        case "any":
            return f"coalesce(len({chosen}) > 0, false)"
        case "all":
            return f"coalesce(len({chosen}) = 0, false)"
        case "count":
            return f"CAST(len({chosen}) AS DOUBLE)"
    assert node.value is not None
    values = f"list_transform({chosen}, lambda {each}: {to_sql(node.value, each)})"
    name = {"mean": "avg"}.get(node.name, node.name)
    found = f"saccade_number(CAST(list_aggregate({values}, '{name}') AS DOUBLE))"
    return f"(CASE WHEN {column} IS NOT NULL THEN coalesce({found}, 0) END)" if node.name == "sum" else found


_WRITE: dict[type[Node], Callable[[Any, str], str]] = {
    nodes.Constant: lambda node, thing: literal(node.value),
    nodes.Key: lambda node, thing: quoted(KEY),
    nodes.ColumnValue: _column,
    nodes.MediaField: _media_field,
    nodes.ObjectField: _object_field,
    nodes.JsonPart: _json_part,
    nodes.JsonAs: _json_as,
    nodes.Compare: _compare,
    nodes.IsMissing: _is_missing,
    nodes.AmongConstants: _among,
    nodes.Within: _within,
    nodes.Logic: _logic,
    nodes.Not: lambda node, thing: f"(NOT {_truth(node.of, thing)})",
    nodes.Arithmetic: _arithmetic,
    nodes.Call: _call,
    nodes.Aggregate: _aggregate,
}
