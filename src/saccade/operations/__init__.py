"""The built-in operations of pipelines, one module per family, and the names that custom operations import."""

from saccade.core.objects import Object
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.operations.base import (
    OPERATIONS,
    Context,
    Granularity,
    NewItems,
    NoParameters,
    Operation,
    Parameters,
    Port,
    PortType,
    Selection,
    by_group,
    dataset_op,
    filter_op,
    one_to_many,
    operation,
    per_item,
)

__all__ = [
    "OPERATIONS",
    "Column",
    "Context",
    "Granularity",
    "Item",
    "Kind",
    "NewItems",
    "NoParameters",
    "Object",
    "Operation",
    "Parameters",
    "Port",
    "PortType",
    "Schema",
    "Selection",
    "by_group",
    "dataset_op",
    "filter_op",
    "one_to_many",
    "operation",
    "per_item",
]
