"""Blocks: the content of a panel as plain values, which the web app renders. Text is never interpreted as markup."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from saccade.core.errors import InvalidValueError
from saccade.core.schema import HEX_COLOR


class BlockModel(BaseModel):
    """Base of all models of panels: immutable, without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Block(BlockModel):
    """A top-level element of a panel."""


def _to_plain(value: Any) -> Any:
    """Convert NumPy values to Python values, and NaN to None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, tuple):
        value = list(value)
    return None if isinstance(value, float) and math.isnan(value) else value


Name = Annotated[str, Field(max_length=300)]
LongText = Annotated[str, Field(max_length=20_000)]
Reference = Annotated[str, Field(min_length=1, max_length=300)]
Color = Annotated[str, Field(pattern=HEX_COLOR)]
Number = Annotated[float | None, BeforeValidator(_to_plain)]
ParameterValue = str | int | float | bool | list[str] | None
ParameterValues = dict[str, ParameterValue]


class Link(Block):
    """A link to the items that match a query, to one item, or to a dataset.

    Attributes:
        text: The text of the link.
        query: The query; the link opens the matching items.
        key: The key of the item to open.
        dataset: NAME or NAME@NUMBER; by default the version of the panel.
    """

    kind: Literal["link"] = "link"
    text: Name
    query: str | None = Field(None, max_length=4000)
    key: str | None = Field(None, max_length=1000)
    dataset: Reference | None = None


class Text(Block):
    """A paragraph. Line breaks are kept."""

    kind: Literal["text"] = "text"
    text: LongText
    tone: Literal["plain", "muted", "good", "warning", "bad"] = "plain"


class Figure(BlockModel):
    """A key figure: a name, a value and an optional note."""

    name: Name
    value: Annotated[Name | int | float | None, BeforeValidator(_to_plain)]
    note: Name = ""


class Figures(Block):
    """Key figures, side by side."""

    kind: Literal["figures"] = "figures"
    figures: list[Figure] = Field(max_length=40)


Cell = Annotated[Link | LongText | int | float | bool | None, BeforeValidator(_to_plain)]


class Table(Block):
    """A table. Numbers are right-aligned, and a cell may be a link."""

    kind: Literal["table"] = "table"
    title: Name = ""
    columns: list[Name] = Field(min_length=1, max_length=50)
    rows: list[Annotated[list[Cell], BeforeValidator(_to_plain)]] = Field(max_length=1000)

    @model_validator(mode="after")
    def _check_row_lengths(self) -> Self:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row has {len(row)} cells, but there are {len(self.columns)} columns")
        return self


class Series(BlockModel):
    """Values of a plot, one for each position on its axis; None leaves a gap."""

    name: Name
    values: Annotated[list[Number], BeforeValidator(_to_plain)] = Field(max_length=2000)
    color: Color | None = None


class Plot(Block):
    """A bar or line chart over an axis of names or numbers.

    Attributes:
        categories: The names or numbers along the axis.
        series: The values, as many in each series as there are positions on the axis.
        stacked: Stack the bars of each position.
        horizontal: Draw horizontal bars, which leaves room for long names.
    """

    kind: Literal["plot"] = "plot"
    type: Literal["bars", "lines"] = "bars"
    title: Name = ""
    categories: Annotated[
        list[Annotated[Name | int | float, BeforeValidator(_to_plain)]], BeforeValidator(_to_plain)
    ] = Field(max_length=2000)
    series: list[Series] = Field(min_length=1, max_length=50)
    stacked: bool = False
    horizontal: bool = False

    @model_validator(mode="after")
    def _check_series_lengths(self) -> Self:
        for series in self.series:
            if len(series.values) != len(self.categories):
                raise ValueError(
                    f"'{series.name}' has {len(series.values)} values for {len(self.categories)} positions"
                )
        return self


class Images(Block):
    """Images of items, each a link to its item.

    Attributes:
        keys: The keys of the items.
        notes: A caption for each image, or none at all.
        dataset: NAME or NAME@NUMBER; by default the version of the panel.
    """

    kind: Literal["images"] = "images"
    title: Name = ""
    keys: list[Annotated[str, Field(max_length=1000)]] = Field(max_length=200)
    notes: list[Name] = Field([], max_length=200)
    dataset: Reference | None = None

    @model_validator(mode="after")
    def _check_notes(self) -> Self:
        if self.notes and len(self.notes) != len(self.keys):
            raise ValueError(f"there are {len(self.notes)} notes for {len(self.keys)} images")
        return self


class Button(Block):
    """A button that renders the panel again with other parameters; those that are not named have their defaults."""

    kind: Literal["button"] = "button"
    text: Name
    parameters: ParameterValues = Field({}, max_length=50)


class FormField(BlockModel):
    """A parameter as a field of a form.

    Attributes:
        type: "boolean" is a check box, "choices" a multiple choice, and "strings" a list of texts.
        options: The options of a choice.
        minimum: The least value of a number.
        maximum: The greatest value of a number.
    """

    name: Name
    title: Name
    help: LongText = ""
    type: Literal["text", "number", "integer", "boolean", "choice", "choices", "strings"]
    options: list[Name] = Field([], max_length=1000)
    minimum: float | None = None
    maximum: float | None = None
    value: ParameterValue = None


class Form(Block):
    """A form for the parameters of the panel, which renders it again; see :func:`build_form`."""

    kind: Literal["form"] = "form"
    fields: list[FormField] = Field(max_length=50)
    submit_label: Name = "Show"


AnyBlock = Annotated[Text | Figures | Table | Plot | Images | Link | Button | Form, Field(discriminator="kind")]
"""Union of all blocks, discriminated by ``kind``."""


def build_form(
    parameters: BaseModel, submit_label: str = "Show", choices: Mapping[str, Sequence[str]] | None = None
) -> Form:
    """Build a form from parameters, filled in with their values.

    Args:
        parameters: The parameters.
        submit_label: The label of the submit button.
        choices: Options for fields of text by name, such as the names of columns.

    Raises:
        InvalidValueError: A parameter has a type that forms do not support.
    """
    fields = [
        build_field(name, field, getattr(parameters, name), (choices or {}).get(name))
        for name, field in type(parameters).model_fields.items()
    ]
    return Form(fields=fields, submit_label=submit_label)


_FIELD_TYPES: Mapping[Any, str] = {str: "text", float: "number", int: "integer", bool: "boolean"}


def build_field(name: str, field: FieldInfo, value: Any = None, choices: Sequence[str] | None = None) -> FormField:
    """Build a field of a form from a parameter of a pydantic model.

    Args:
        name: The name of the parameter.
        field: The pydantic field.
        value: Its present value.
        choices: Options for a field of text.

    Raises:
        InvalidValueError: Forms do not support the type.
    """
    annotation = field.annotation
    non_null = [arg for arg in get_args(annotation) if arg is not type(None)]
    if get_origin(annotation) is not Literal and type(None) in get_args(annotation) and len(non_null) == 1:
        annotation = non_null[0]
    type_, options = _field_type(annotation)
    if type_ is None:
        raise InvalidValueError(
            f"The parameter '{name}' has the type {field.annotation}, which forms do not support.",
            hint="Supported: str, int, float, bool, Literal, Enum, lists of text, and these or None.",
        )
    if choices is not None and type_ in ("text", "strings"):
        type_ = "choice" if type_ == "text" else "choices"
        options = list(choices)
    limits = {
        bound: getattr(constraint, bound)
        for constraint in field.metadata
        for bound in ("ge", "gt", "le", "lt")
        if getattr(constraint, bound, None) is not None
    }
    return FormField(
        name=name,
        title=field.title or name.replace("_", " ").capitalize(),
        help=field.description or "",
        type=type_,
        options=options,
        minimum=limits.get("ge", limits.get("gt")),
        maximum=limits.get("le", limits.get("lt")),
        value=value.value if isinstance(value, Enum) else value,
    )


def _field_type(annotation: Any) -> tuple[Any, list[str]]:
    """Return the type of a field and its options; the type is None if forms do not support the annotation."""
    if annotation in _FIELD_TYPES:
        return _FIELD_TYPES[annotation], []
    if get_origin(annotation) is Literal and all(isinstance(option, str) for option in get_args(annotation)):
        return "choice", list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        values = [member.value for member in annotation]
        if all(isinstance(value, str) for value in values):
            return "choice", values
    if get_origin(annotation) is list:
        element_type, options = _field_type(get_args(annotation)[0])
        return {"text": "strings", "choice": "choices"}.get(element_type), options
    return None, []
