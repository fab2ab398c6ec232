"""The query language over items and their objects; the same in Python, on the command line and on screen."""

from __future__ import annotations

from collections.abc import Callable

from saccade.core.query import nodes
from saccade.core.query.evaluate import evaluate
from saccade.core.query.nodes import Node, walk
from saccade.core.query.parse import parse_query, parse_value
from saccade.core.reader import Item
from saccade.core.schema import Schema

__all__ = ["Node", "columns_of", "evaluate", "parse_query", "parse_value", "predicate"]


def predicate(text: str, schema: Schema) -> Callable[[Item], bool]:
    """A function that says whether an item satisfies a query; QueryError where the query is wrong."""
    node = parse_query(text, schema)
    return lambda item: bool(evaluate(node, item))


def columns_of(node: Node) -> frozenset[str]:
    """The names of the columns that an expression reads."""
    users = (nodes.ColumnValue, nodes.MediaField, nodes.Aggregate)
    return frozenset(each.column.name for each in walk(node) if isinstance(each, users))
