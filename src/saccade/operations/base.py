"""What an operation is: a plain function, and a declaration of what goes in and what comes out.

Built-in operations and those of plugins register by entry points of the group ``saccade.operations``; one that stands
in a Python file of a pipeline is declared by the same decorators.
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

from saccade.core.errors import InvalidValueError, NotFoundError, nearest
from saccade.core.progress import Progress
from saccade.core.reader import Item, Reader
from saccade.core.registry import Registry
from saccade.core.schema import Column, ImageRef, Kind, MediaRef, Schema, Value


class Parameters(BaseModel):
    """The parameters of an operation: types, limits and descriptions in pydantic's terms; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoParameters(Parameters):
    """For an operation that needs none."""


class Granularity(StrEnum):
    """What is done again when something changes.

    item: one item gives one; filter: one item stays or goes; many: one item gives any number; group: the items that
    belong together give one; whole: everything at once; training: as whole, and it can be stopped and taken up again.
    """

    ITEM = "item"
    FILTER = "filter"
    MANY = "many"
    GROUP = "group"
    WHOLE = "whole"
    TRAINING = "training"


class PortType(StrEnum):
    """What goes along an edge of the graph: a table of items, a model version, JSON, or a folder of files."""

    DATASET = "dataset"
    MODEL = "model"
    VALUE = "value"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Port:
    """An input of an operation.

    Attributes:
        several: any number of steps may lead here.
        optional: a step may do without it.
    """

    name: str
    type: PortType = PortType.DATASET
    several: bool = False
    optional: bool = False
    help: str = ""


DATA = Port("data", help="The items.")


@dataclass(frozen=True, slots=True)
class ModelInput:
    """A model version that a step gives to another: its reference, and a digest of its weights and manifest."""

    ref: str
    digest: str


class Context(Protocol):
    """What an operation may ask for while it works.

    Attributes:
        seed: for whatever is random; the same in every run of a step.
        workspace: for operations that declare ``needs_workspace``, else None.
        inputs: for operations by item what comes in at the other ports: a model or value by the name of the port.
        folder: a new folder for results in files, for operations whose output is one.
    """

    seed: int
    workspace: Any
    inputs: Mapping[str, Any]
    folder: Path
    progress: Progress

    def read_media(self, ref: MediaRef) -> bytes:
        """The bytes of a file; NotFoundError where it is gone."""
        ...

    def open_media(self, ref: MediaRef) -> BinaryIO:
        """A file, open for reading anywhere in it; NotFoundError where it is gone."""
        ...

    def keep_image(self, data: bytes, name: str) -> ImageRef:
        """Keep an encoded image, and refer to it."""
        ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """Items of the inputs, in an order, as what an operation on the whole makes.

    Attributes:
        rows: row numbers, each in the table that ``tables`` names (the first one where it is None).
        keys: new keys, where they are not to stay as they are.
        columns: new values for all of these items.
    """

    rows: npt.NDArray[np.int64]
    tables: npt.NDArray[np.int64] | None = None
    keys: Sequence[str] | None = None
    columns: Mapping[str, Sequence[Value]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """New items, as what an operation on the whole makes; their schema, where it is not known before."""

    items: Iterable[Item]
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A dataset version as it is, as what an operation on the whole gives."""

    ref: str


Makes = Callable[[Any, Sequence[Schema]], Schema]
"""From parameters and the schemas of the datasets that come in to that of the one that comes out."""
Writes = Callable[[Any, Schema], Sequence[Column]]
Reads = Callable[[Any, Schema], Sequence[str]]


@dataclass(frozen=True)
class Operation:
    """A declared operation.

    Attributes:
        function: by granularity. item: ``(item, parameters, context)`` to the new values by column; filter: the same
            to a bool; many: the same to items, whose columns that are not written are those of the item they come
            from; group: ``(whole or None, items, parameters, context)`` to values, where the whole has its key only;
            whole and training: ``(inputs, parameters, context)`` to :class:`Chosen`, :class:`Made`, :class:`Kept`, a
            :class:`ModelInput` or JSON, where ``inputs`` holds a reader, model or value (or a list of them) by the
            name of the port.
        reads: the columns that the function sees; a change of another one is none for it.
        writes: the columns that come out new or changed (item, many, group).
        makes: the schema that comes out (whole).
        group_by: the text column whose value says which items belong together.
        reads_key: the key is seen too.
        libraries: distributions whose version matters for the result.
        bound: by item, the function is ``(parameters, schema of the columns that are read)`` instead, and gives the
            one of ``(item, context)``: for what is to be got ready once.
        needs_workspace: it is not only a function of its inputs: it works on the workspace.
        isolated: it is strange code, and runs in a process of its own with limits.
        fingerprint: from the parameters and the workspace to a text for what it reads of the outside, as the content of
            files. Parameters that are paths count by it alone, so that a folder may be moved.
        is_there: from the workspace and a result that is no dataset to whether that still exists.
        has_effect: it changes something outside of the cache, and is left out of a run on some of the items.
    """

    name: str
    granularity: Granularity
    function: Callable[..., Any]
    parameters: type[Parameters] = NoParameters
    inputs: tuple[Port, ...] = (DATA,)
    output: PortType = PortType.DATASET
    reads: Reads | None = None
    writes: Writes | None = None
    makes: Makes | None = None
    group_by: Callable[[Any], str] | None = None
    reads_key: bool = False
    libraries: tuple[str, ...] = ()
    bound: bool = False
    needs_workspace: bool = False
    isolated: bool = False
    fingerprint: Callable[[Any, Any], str] | None = None
    is_there: Callable[[Any, Any], bool] | None = None
    has_effect: bool = False
    file: Path | None = None

    @property
    def help(self) -> str:
        """The docstring of the function."""
        return inspect.getdoc(self.function) or ""

    @property
    def is_by_item(self) -> bool:
        return self.granularity not in (Granularity.WHOLE, Granularity.TRAINING)

    def port(self, name: str) -> Port:
        """The input of that name; NotFoundError where there is none."""
        for port in self.inputs:
            if port.name == name:
                return port
        raise NotFoundError(
            f"'{self.name}' has no input '{name}'.", hint=nearest(name, [port.name for port in self.inputs])
        )

    def read_columns(self, parameters: Parameters, schema: Schema) -> tuple[str, ...]:
        """The names of the columns that are read, in the order of the schema; NotFoundError for one that is missing."""
        if self.reads is None:
            return schema.names
        wanted = {schema[name].name for name in self.reads(parameters, schema)}
        return tuple(name for name in schema.names if name in wanted)

    def result_schema(self, parameters: Parameters, schemas: Sequence[Schema]) -> Schema:
        """The schema of the dataset that comes out, before classes that occur are added."""
        if self.makes is not None:
            return self.makes(parameters, schemas)
        if self.writes is not None:
            base = Schema() if self.granularity is Granularity.GROUP and len(schemas) < 2 else schemas[-1]
            if self.granularity is not Granularity.GROUP:
                base = schemas[0]
            return base.with_columns(*self.writes(parameters, schemas[0]))
        return schemas[0] if schemas else Schema()


OPERATIONS: Registry[Operation] = Registry("operation", "saccade.operations")


def operation(name: str, granularity: Granularity, **facts: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Declare a function as an operation; ``facts`` are further fields of :class:`Operation`."""

    def declared(function: Callable[..., Any]) -> Operation:
        return Operation(name, granularity, function, **facts)

    return declared


def per_item(name: str, **facts: Any) -> Callable[[Callable[..., Any]], Operation]:
    """An operation from an item to new values of it."""
    return operation(name, Granularity.ITEM, **facts)


def keeping(name: str, **facts: Any) -> Callable[[Callable[..., Any]], Operation]:
    """An operation that keeps an item or does not."""
    return operation(name, Granularity.FILTER, **facts)


def one_to_many(name: str, **facts: Any) -> Callable[[Callable[..., Any]], Operation]:
    """An operation from an item to several."""
    return operation(name, Granularity.MANY, **facts)


def by_group(name: str, **facts: Any) -> Callable[[Callable[..., Any]], Operation]:
    """An operation from items that belong together to one."""
    return operation(name, Granularity.GROUP, **facts)


def on_whole(name: str, **facts: Any) -> Callable[[Callable[..., Any]], Operation]:
    """An operation on everything at once."""
    return operation(name, Granularity.WHOLE, **facts)


Inputs = Mapping[str, Any]
"""A reader, model or value (or a list of them) by the name of the port."""


def the_dataset(inputs: Inputs, name: str = "data") -> Reader:
    """The one dataset of a port."""
    found = inputs[name]
    assert isinstance(found, Reader)
    return found


def column_of(schema: Schema, name: str | None, *kinds: Kind) -> Column:
    """The column of that name or, where none is named, the first of these kinds; errors say what there is."""
    column = schema.first(*kinds) if name is None else schema[name]
    if column.kind not in kinds:
        raise InvalidValueError(
            f"The column '{column.name}' is of kind {column.kind}, not {' or '.join(kinds)}.",
            hint=nearest(column.name, [other.name for other in schema.of_kind(*kinds)]),
        )
    return column


def facts_of(one: Operation) -> dict[str, Any]:
    """What an operation takes and gives, as plain data; its parameters as JSON Schema."""
    return {
        "name": one.name,
        "granularity": str(one.granularity),
        "help": one.help,
        "output": str(one.output),
        "inputs": [
            {
                "name": port.name,
                "type": str(port.type),
                "several": port.several,
                "optional": port.optional,
                "help": port.help,
            }
            for port in one.inputs
        ],
        "parameters": one.parameters.model_json_schema(),
    }
