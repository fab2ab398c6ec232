"""What a panel is made of: blocks of plain values, which the web app draws. No text in them is ever markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from saccade.core.errors import InvalidValueError


class Part(BaseModel):
    """What all blocks share: they never change, and know their fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Block(Part):
    """A part of a panel that stands on its own."""


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy as Python's own; NaN as nothing."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, tuple):
        value = list(value)
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 (NaN alone is not itself)


Name = Annotated[str, Field(max_length=300)]
Long = Annotated[str, Field(max_length=20_000)]
Reference = Annotated[str, Field(min_length=1, max_length=300)]
Color = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
Number = Annotated[float | None, BeforeValidator(_plain)]
ParameterValue = str | int | float | bool | list[str] | None
ParameterValues = dict[str, ParameterValue]


class Link(Block):
    """Words that lead to items for which a query holds, to one item by its key, or to a dataset.

    Attributes:
        dataset: NAME or NAME@NUMBER; where none is named, the version that the panel is shown for.
    """

    kind: Literal["link"] = "link"
    text: Name
    query: str | None = Field(None, max_length=4000)
    key: str | None = Field(None, max_length=1000)
    dataset: Reference | None = None


class Text(Block):
    """A paragraph; lines of it stay lines."""

    kind: Literal["text"] = "text"
    text: Long
    tone: Literal["plain", "quiet", "good", "warning", "bad"] = "plain"


class Figure(Part):
    """A key figure: what it is, and its value."""

    name: Name
    value: Annotated[Name | int | float | None, BeforeValidator(_plain)]
    note: Name = ""


class Figures(Block):
    """Key figures beside each other."""

    kind: Literal["figures"] = "figures"
    figures: list[Figure] = Field(max_length=40)


Cell = Annotated[Link | Long | int | float | bool | None, BeforeValidator(_plain)]


class Table(Block):
    """A table; numbers stand right, and a cell may be a link."""

    kind: Literal["table"] = "table"
    title: Name = ""
    columns: list[Name] = Field(min_length=1, max_length=50)
    rows: list[Annotated[list[Cell], BeforeValidator(_plain)]] = Field(max_length=1000)

    @model_validator(mode="after")
    def _is_even(self) -> Self:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row has {len(row)} cells, but there are {len(self.columns)} columns")
        return self


class Series(Part):
    """Values of a plot, one for each place on its axis; None leaves a gap."""

    name: Name
    values: Annotated[list[Number], BeforeValidator(_plain)] = Field(max_length=2000)
    color: Color | None = None


class Plot(Block):
    """Bars or lines over an axis of names or numbers.

    Attributes:
        along: the names, or numbers, of the places on the axis.
        stacked: bars of one place stand on each other.
        sideways: bars lie, which leaves room for long names.
    """

    kind: Literal["plot"] = "plot"
    type: Literal["bars", "lines"] = "bars"
    title: Name = ""
    along: Annotated[list[Annotated[Name | int | float, BeforeValidator(_plain)]], BeforeValidator(_plain)] = Field(
        max_length=2000
    )
    series: list[Series] = Field(min_length=1, max_length=50)
    stacked: bool = False
    sideways: bool = False

    @model_validator(mode="after")
    def _is_even(self) -> Self:
        for one in self.series:
            if len(one.values) != len(self.along):
                raise ValueError(f"'{one.name}' has {len(one.values)} values for {len(self.along)} places")
        return self


class Pictures(Block):
    """Pictures of items, each of which leads to its item.

    Attributes:
        keys: of the items.
        notes: a word under each picture, as many as there are keys, or none.
        dataset: NAME or NAME@NUMBER; where none is named, the version that the panel is shown for.
    """

    kind: Literal["pictures"] = "pictures"
    title: Name = ""
    keys: list[Annotated[str, Field(max_length=1000)]] = Field(max_length=200)
    notes: list[Name] = Field([], max_length=200)
    dataset: Reference | None = None

    @model_validator(mode="after")
    def _is_even(self) -> Self:
        if self.notes and len(self.notes) != len(self.keys):
            raise ValueError(f"there are {len(self.notes)} notes for {len(self.keys)} pictures")
        return self


class Button(Block):
    """Shows the panel again, with other parameters; those that are not named are as they are to begin with."""

    kind: Literal["button"] = "button"
    text: Name
    parameters: ParameterValues = Field({}, max_length=50)


class FormField(Part):
    """A parameter as a field of a form."""

    name: Name
    title: Name
    help: Long = ""
    type: Literal["text", "number", "whole", "truth", "choice", "choices", "texts"]
    options: list[Name] = Field([], max_length=1000)
    low: float | None = None
    high: float | None = None
    value: ParameterValue = None


class Form(Block):
    """A form for the parameters of the panel, which shows it again; see :func:`form_of`."""

    kind: Literal["form"] = "form"
    fields: list[FormField] = Field(max_length=50)
    go: Name = "Show"


AnyBlock = Annotated[Text | Figures | Table | Plot | Pictures | Link | Button | Form, Field(discriminator="kind")]
"""Whichever block it is, by its ``kind``."""


def form_of(parameters: BaseModel, go: str = "Show", choices: Mapping[str, Sequence[str]] | None = None) -> Form:
    """The form of parameters, filled in with their values.

    Args:
        go: the word on its button.
        choices: for fields of text what one may choose from, such as the names of columns.
    """
    fields = [
        field_of(name, field, getattr(parameters, name), (choices or {}).get(name))
        for name, field in type(parameters).model_fields.items()
    ]
    return Form(fields=fields, go=go)


_SIMPLE: Mapping[Any, str] = {str: "text", float: "number", int: "whole", bool: "truth"}


def field_of(name: str, field: FieldInfo, value: Any = None, choices: Sequence[str] | None = None) -> FormField:
    """A field of a form; InvalidValueError for a type that no form has."""
    kind = field.annotation
    optional = [one for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) is not Literal and type(None) in get_args(kind) and len(optional) == 1:
        kind = optional[0]
    type_, options = _type_of(kind)
    if type_ is None:
        raise InvalidValueError(
            f"The parameter '{name}' is of type {field.annotation}, for which there is no field.",
            hint="There are str, int, float, bool, Literal, Enum, lists of text, and these or None.",
        )
    if choices is not None and type_ in ("text", "texts"):
        type_, options = ("choice" if type_ == "text" else "choices"), list(choices)
    limits = {
        key: getattr(found, key)
        for found in field.metadata
        for key in ("ge", "gt", "le", "lt")
        if getattr(found, key, None) is not None
    }
    return FormField(
        name=name,
        title=field.title or name.replace("_", " ").capitalize(),
        help=field.description or "",
        type=type_,
        options=options,
        low=limits.get("ge", limits.get("gt")),
        high=limits.get("le", limits.get("lt")),
        value=value.value if isinstance(value, Enum) else value,
    )


def _type_of(kind: Any) -> tuple[Any, list[str]]:
    if kind in _SIMPLE:
        return _SIMPLE[kind], []
    if get_origin(kind) is Literal and all(isinstance(one, str) for one in get_args(kind)):
        return "choice", list(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum) and all(isinstance(one.value, str) for one in kind):
        return "choice", [one.value for one in kind]
    if get_origin(kind) is list:
        inner, options = _type_of(get_args(kind)[0])
        return {"text": "texts", "choice": "choices"}.get(inner), options
    return None, []
