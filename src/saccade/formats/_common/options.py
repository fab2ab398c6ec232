"""Options of formats: a frozen dataclass for each, filled from keyword arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from saccade.core.errors import FormatError, suggest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)
else:
    T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """For formats without options."""


def parse_options(cls: type[T], options: Mapping[str, Any], format_name: str) -> T:
    """Create an options object.

    Args:
        cls: dataclass of the options.
        options: values by name.
        format_name: for the error message.

    Raises:
        FormatError: if an option is unknown.
    """
    known = [field.name for field in dataclasses.fields(cls)]
    for name in options:
        if name not in known:
            hint = suggest(name, known) if known else "It has none."
            raise FormatError(f"{format_name} has no option '{name}'.", hint=hint)
    return cls(**options)


def check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """Return the value of an option as text.

    Raises:
        FormatError: if it is not one of ``allowed``.
    """
    if str(value) not in allowed:
        raise FormatError(f"The option '{name}' may not be {value!r}.", hint=f"Use one of: {', '.join(allowed)}.")
    return str(value)
