"""Options of a format: a frozen dataclass each, filled from keyword arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from saccade.core.errors import FormatError, nearest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)
else:
    T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """For a format that has none."""


def parse_options(cls: type[T], options: Mapping[str, Any], what: str) -> T:
    """An instance of ``cls`` from ``options``; FormatError for an option that it does not have."""
    known = [field.name for field in dataclasses.fields(cls)]
    for name in options:
        if name not in known:
            hint = nearest(name, known) if known else "It has none."
            raise FormatError(f"{what} has no option '{name}'.", hint=hint)
    return cls(**options)


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """The value as text where it is allowed; FormatError otherwise."""
    if str(value) not in allowed:
        raise FormatError(f"The option '{name}' may not be {value!r}.", hint=f"Use one of: {', '.join(allowed)}.")
    return str(value)
