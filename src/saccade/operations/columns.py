"""Operations on columns and whole items: work out a value, keep what a query holds for, choose columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from saccade.core.errors import InvalidValueError
from saccade.core.query import columns_of, evaluate, parse_query, parse_value
from saccade.core.query.nodes import Node, Type
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.operations.base import Context, Parameters, keeping, per_item

_KINDS: Mapping[Type, Kind] = {Type.NUMBER: Kind.NUMBER, Type.TEXT: Kind.TEXT, Type.TRUTH: Kind.NUMBER}


class CalculateParameters(Parameters):
    column: str = Field(description="The column for the result; it is made, or written anew.")
    value: str = Field(description="An expression of the query language, such as 'len(objects)' or 'image.width / 2'.")


def _value_node(parameters: CalculateParameters, schema: Schema) -> Node:
    node = parse_value(parameters.value, schema)
    if node.type not in _KINDS:
        raise InvalidValueError(f"'{parameters.value}' gives {node.type}.", hint="Give a number, text or condition.")
    return node


@per_item(
    "calculate",
    parameters=CalculateParameters,
    reads=lambda parameters, schema: columns_of(_value_node(parameters, schema)),
    writes=lambda parameters, schema: (Column(parameters.column, _KINDS[_value_node(parameters, schema).type]),),
    reads_key=True,
    bound=True,
)
def calculate(parameters: CalculateParameters, schema: Schema) -> Callable[[Item, Context], Mapping[str, Any]]:
    """Work out a number or text for each item from an expression; a condition gives 1 or 0."""
    node, column = _value_node(parameters, schema), parameters.column
    if node.type is Type.TRUTH:
        return lambda item, context: {column: float(bool(evaluate(node, item)))}
    return lambda item, context: {column: evaluate(node, item)}


class FilterParameters(Parameters):
    where: str = Field(description='A query, such as \'any(objects, class == "ship") and split == "val"\'.')


def _query_columns(parameters: FilterParameters, schema: Schema) -> Sequence[str]:
    return sorted(columns_of(parse_query(parameters.where, schema)))


@keeping("filter", parameters=FilterParameters, reads=_query_columns, reads_key=True, bound=True)
def filter_items(parameters: FilterParameters, schema: Schema) -> Callable[[Item, Context], bool]:
    """Keep the items for which a query holds."""
    node = parse_query(parameters.where, schema)
    return lambda item, context: bool(evaluate(node, item))
