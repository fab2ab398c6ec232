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
    """Return a function that tests whether an item satisfies a query.

    Raises:
        QueryError: the query is invalid.
    """
    node = parse_query(text, schema)
    return lambda item: bool(evaluate(node, item))


def columns_of(node: Node) -> frozenset[str]:
    """Return the names of the columns that an expression reads."""
    column_nodes = (nodes.ColumnValue, nodes.MediaField, nodes.AnyLabelContains, nodes.Aggregate)
    return frozenset(child.column.name for child in walk(node) if isinstance(child, column_nodes))
