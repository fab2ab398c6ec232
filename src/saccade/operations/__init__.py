"""The built-in operations of pipelines, one family a file; what to import from."""

from saccade.core.objects import Object
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.operations.base import (
    OPERATIONS,
    Chosen,
    Context,
    Granularity,
    Made,
    NoParameters,
    Operation,
    Parameters,
    Port,
    PortType,
    by_group,
    keeping,
    on_whole,
    one_to_many,
    operation,
    per_item,
)

__all__ = [
    "OPERATIONS",
    "Chosen",
    "Column",
    "Context",
    "Granularity",
    "Item",
    "Kind",
    "Made",
    "NoParameters",
    "Object",
    "Operation",
    "Parameters",
    "Port",
    "PortType",
    "Schema",
    "by_group",
    "keeping",
    "on_whole",
    "one_to_many",
    "operation",
    "per_item",
]
