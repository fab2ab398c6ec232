"""Operations on columns and items: compute a column from an expression, and filter items by a query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from saccade.core.errors import InvalidValueError
from saccade.core.query import columns_of, evaluate, parse_query, parse_value
from saccade.core.query.nodes import Node, Type
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.operations.base import Context, Parameters, filter_op, per_item

_KINDS: Mapping[Type, Kind] = {Type.NUMBER: Kind.NUMBER, Type.TEXT: Kind.TEXT, Type.BOOLEAN: Kind.NUMBER}


class CalculateParameters(Parameters):
    column: str = Field(description="The output column; it is created or overwritten.")
    value: str = Field(description="An expression of the query language, such as 'len(objects)' or 'image.width / 2'.")


def _parse_expression(parameters: CalculateParameters, schema: Schema) -> Node:
    node = parse_value(parameters.value, schema)
    if node.type not in _KINDS:
        raise InvalidValueError(
            f"'{parameters.value}' has the type {node.type}.", hint="Use an expression for a number, text or condition."
        )
    return node


@per_item(
    "calculate",
    parameters=CalculateParameters,
    input_columns=lambda parameters, schema: columns_of(_parse_expression(parameters, schema)),
    output_columns=lambda parameters, schema: (
        Column(parameters.column, _KINDS[_parse_expression(parameters, schema).type]),
    ),
    reads_key=True,
    prepared=True,
)
def calculate(parameters: CalculateParameters, schema: Schema) -> Callable[[Item, Context], Mapping[str, Any]]:
    """Compute a number or text for each item from an expression; a condition gives 1 or 0."""
    node = _parse_expression(parameters, schema)
    column = parameters.column
    if node.type is Type.BOOLEAN:
        return lambda item, context: {column: float(bool(evaluate(node, item)))}
    return lambda item, context: {column: evaluate(node, item)}


class FilterParameters(Parameters):
    where: str = Field(description='A query, such as \'any(objects, class == "ship") and split == "val"\'.')


def _query_columns(parameters: FilterParameters, schema: Schema) -> Sequence[str]:
    return sorted(columns_of(parse_query(parameters.where, schema)))


@filter_op("filter", parameters=FilterParameters, input_columns=_query_columns, reads_key=True, prepared=True)
def filter_items(parameters: FilterParameters, schema: Schema) -> Callable[[Item, Context], bool]:
    """Keep the items that match a query."""
    node = parse_query(parameters.where, schema)
    return lambda item, context: bool(evaluate(node, item))
