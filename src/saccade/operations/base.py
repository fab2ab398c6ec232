"""The operation protocol of pipelines: a plain function plus a declaration of its inputs, parameters and output.

Built-in operations and those of plugins register through entry points of the group ``saccade.operations``. A pipeline's
own Python file declares operations with the same decorators.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from saccade.core.errors import InvalidValueError, NotFoundError, suggest
from saccade.core.progress import Progress
from saccade.core.reader import Item, Reader
from saccade.core.registry import Registry
from saccade.core.schema import Column, ImageRef, Kind, MediaRef, Schema, Value


class Parameters(BaseModel):
    """Base class of an operation's parameters: a pydantic model that rejects unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoParameters(Parameters):
    """Parameters of an operation that has none."""


class Granularity(StrEnum):
    """The unit of work that is recomputed after a change.

    item: one item in, one item out. filter: one item in, kept or dropped. many: one item in, any number out. group: all
    items of a group in, one item out. dataset: all items at once. training: like dataset, and can be interrupted and
    resumed.
    """

    ITEM = "item"
    FILTER = "filter"
    MANY = "many"
    GROUP = "group"
    DATASET = "dataset"
    TRAINING = "training"


class PortType(StrEnum):
    """The type of an edge of the graph: a table of items, a model version, a JSON value or a folder of files."""

    DATASET = "dataset"
    MODEL = "model"
    VALUE = "value"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Port:
    """An input of an operation.

    Attributes:
        multiple: the port accepts any number of steps.
        optional: the port may stay unconnected.
    """

    name: str
    type: PortType = PortType.DATASET
    multiple: bool = False
    optional: bool = False
    help: str = ""


DATA_PORT = Port("data", help="The items.")


@dataclass(frozen=True, slots=True)
class ModelInput:
    """A model version as an input or output of a step: its reference and the digest of its weights and manifest."""

    ref: str
    digest: str


class Context(Protocol):
    """Services for an operation while it runs.

    Attributes:
        seed: the seed for random numbers; the same in every run of a step.
        workspace: the open workspace, or None unless the operation declares ``needs_workspace``.
        inputs: for per-item operations, the model or value at each of the other ports, by port name.
        folder: an empty folder for output files, for operations whose output is a folder.
    """

    seed: int
    workspace: Any
    inputs: Mapping[str, Any]
    folder: Path
    progress: Progress

    def read_media(self, ref: MediaRef) -> bytes:
        """Return the content of a media file.

        Raises:
            NotFoundError: the file no longer exists.
        """
        ...

    def open_media(self, ref: MediaRef) -> BinaryIO:
        """Open a media file for random access.

        Raises:
            NotFoundError: the file no longer exists.
        """
        ...

    def put_image(self, data: bytes, name: str) -> ImageRef:
        """Store an encoded image and return a reference to it."""
        ...


@dataclass(frozen=True, slots=True)
class Selection:
    """Result of a dataset operation: selected input items in a given order.

    Attributes:
        rows: row numbers within the input tables, int64 (N,).
        table_indices: the input table of each row, int64 (N,); None means the first table.
        keys: new keys, or None to keep the keys of the inputs.
        columns: new values for all N items, by column name.
    """

    rows: npt.NDArray[np.int64]
    table_indices: npt.NDArray[np.int64] | None = None
    keys: Sequence[str] | None = None
    columns: Mapping[str, Sequence[Value]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewItems:
    """Result of a dataset operation: new items, with their schema unless the declaration states it."""

    items: Iterable[Item]
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class ExistingVersion:
    """Result of a dataset operation: a dataset version that exists already, by its reference."""

    ref: str


OutputSchema = Callable[[Any, Sequence[Schema]], Schema]
"""``(parameters, schemas of the input datasets) -> schema of the output dataset``."""
OutputColumns = Callable[[Any, Schema], Sequence[Column]]
"""``(parameters, input schema) -> columns that are new or changed``."""
InputColumns = Callable[[Any, Schema], Sequence[str]]
"""``(parameters, input schema) -> names of the columns that the function reads``."""


@dataclass(frozen=True)
class Operation:
    """The declaration of an operation.

    Attributes:
        function: its signature depends on the granularity.
            item: ``(item, parameters, context)`` returns the new values by column name.
            filter: ``(item, parameters, context)`` returns a bool.
            many: ``(item, parameters, context)`` returns items; columns that are not among ``output_columns`` are
            copied from the input item.
            group: ``(target, items, parameters, context)`` returns values by column name; ``target`` is the item that
            the group belongs to (only its key is set), or None if the step has no second input.
            dataset and training: ``(inputs, parameters, context)`` returns a :class:`Selection`, :class:`NewItems`,
            :class:`ExistingVersion`, :class:`ModelInput` or a JSON value; ``inputs`` maps each port name to a reader,
            model or value, or to a list of them.
        input_columns: the columns that the function reads; a change of any other column does not re-run it.
        output_columns: the columns that are new or changed (item, many, group).
        output_schema: the schema of the output dataset (dataset).
        group_by: the name of the text column that defines the groups.
        reads_key: the function reads the item's key as well.
        libraries: distributions whose versions are part of the cache key.
        prepared: for per-item operations, ``function`` is a factory: ``(parameters, schema of the input columns)``
            returns the function of ``(item, context)``. Use it for work that is done once, such as parsing a query.
        needs_workspace: the function uses the workspace, not only its inputs.
        isolated: the code is not trusted: it runs in a separate process with limits.
        fingerprint: ``(parameters, workspace) -> str``, a fingerprint of external data such as the content of files.
            Parameters that are paths count through it alone, so that a folder may be moved.
        files: ``(parameters) -> paths``, files and folders that the function reads; a change of them re-runs it.
            Relative paths start at the folder of the operation's file.
        exists: ``(workspace, result) -> bool``, whether a result that is not a dataset still exists.
        has_side_effects: the operation writes outside of the cache; runs on a subset of the items skip it.
        file: the Python file that declares the operation, or None for a built-in or plugin operation.
    """

    name: str
    granularity: Granularity
    function: Callable[..., Any]
    parameters: type[Parameters] = NoParameters
    inputs: tuple[Port, ...] = (DATA_PORT,)
    output: PortType = PortType.DATASET
    input_columns: InputColumns | None = None
    output_columns: OutputColumns | None = None
    output_schema: OutputSchema | None = None
    group_by: Callable[[Any], str] | None = None
    reads_key: bool = False
    libraries: tuple[str, ...] = ()
    prepared: bool = False
    needs_workspace: bool = False
    isolated: bool = False
    fingerprint: Callable[[Any, Any], str] | None = None
    files: Callable[[Any], Sequence[str | Path]] | None = None
    exists: Callable[[Any, Any], bool] | None = None
    has_side_effects: bool = False
    file: Path | None = None

    @property
    def help(self) -> str:
        """The docstring of the function."""
        return inspect.getdoc(self.function) or ""

    @property
    def is_per_item(self) -> bool:
        """Whether the operation runs on each item or group separately."""
        return self.granularity not in (Granularity.DATASET, Granularity.TRAINING)

    def port(self, name: str) -> Port:
        """Return the input port of that name.

        Raises:
            NotFoundError: the operation has no such port.
        """
        for port in self.inputs:
            if port.name == name:
                return port
        raise NotFoundError(
            f"'{self.name}' has no input '{name}'.", hint=suggest(name, [port.name for port in self.inputs])
        )

    def resolve_input_columns(self, parameters: Parameters, schema: Schema) -> tuple[str, ...]:
        """Return the names of the columns that the function reads, in schema order.

        Raises:
            NotFoundError: a declared column is missing from the schema.
        """
        if self.input_columns is None:
            return schema.names
        names = {schema[name].name for name in self.input_columns(parameters, schema)}
        return tuple(name for name in schema.names if name in names)

    def resolve_output_schema(self, parameters: Parameters, schemas: Sequence[Schema]) -> Schema:
        """Return the schema of the output dataset, without classes that only the data reveals."""
        if self.output_schema is not None:
            return self.output_schema(parameters, schemas)
        if self.output_columns is not None:
            base = Schema() if self.granularity is Granularity.GROUP and len(schemas) < 2 else schemas[-1]
            if self.granularity is not Granularity.GROUP:
                base = schemas[0]
            return base.with_columns(*self.output_columns(parameters, schemas[0]))
        return schemas[0] if schemas else Schema()


OPERATIONS: Registry[Operation] = Registry("operation", "saccade.operations")


def operation(name: str, granularity: Granularity, **options: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Declare a function as an operation.

    Args:
        name: the name that pipelines use.
        granularity: the unit of work.
        options: further fields of :class:`Operation`.
    """

    def decorate(function: Callable[..., Any]) -> Operation:
        return Operation(name, granularity, function, **options)

    return decorate


def per_item(name: str, **options: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Declare an operation that computes new values for an item."""
    return operation(name, Granularity.ITEM, **options)


def filter_op(name: str, **options: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Declare an operation that keeps or drops an item."""
    return operation(name, Granularity.FILTER, **options)


def one_to_many(name: str, **options: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Declare an operation that turns an item into any number of items."""
    return operation(name, Granularity.MANY, **options)


def by_group(name: str, **options: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Declare an operation that reduces a group of items to one item."""
    return operation(name, Granularity.GROUP, **options)


def dataset_op(name: str, **options: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Declare an operation on whole datasets."""
    return operation(name, Granularity.DATASET, **options)


Inputs = Mapping[str, Any]
"""For each port name a reader, model or value, or a list of them."""


def single_dataset(inputs: Inputs, name: str = "data") -> Reader:
    """Return the dataset at a port that accepts one step."""
    reader = inputs[name]
    assert isinstance(reader, Reader)
    return reader


def resolve_column(schema: Schema, name: str | None, *kinds: Kind) -> Column:
    """Return a column by name, or the first column of one of the kinds.

    Args:
        schema: the schema to search.
        name: the column, or None for the first one of ``kinds``.
        kinds: the accepted kinds.

    Raises:
        NotFoundError: there is no such column.
        InvalidValueError: the column is of another kind.
    """
    column = schema.first(*kinds) if name is None else schema[name]
    if column.kind not in kinds:
        raise InvalidValueError(
            f"The column '{column.name}' is of kind {column.kind}, not {' or '.join(kinds)}.",
            hint=suggest(column.name, [candidate.name for candidate in schema.columns_of_kind(*kinds)]),
        )
    return column


def describe_operation(operation: Operation) -> dict[str, Any]:
    """Return an operation's declaration as JSON, with its parameters as JSON Schema."""
    return {
        "name": operation.name,
        "granularity": str(operation.granularity),
        "help": operation.help,
        "output": str(operation.output),
        "inputs": [
            {
                "name": port.name,
                "type": str(port.type),
                "multiple": port.multiple,
                "optional": port.optional,
                "help": port.help,
            }
            for port in operation.inputs
        ],
        "parameters": operation.parameters.model_json_schema(),
    }
