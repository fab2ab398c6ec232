"""What a server tells as JSON, as the objects of Saccade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
_MOMENTS = frozenset({"created", "updated", "started", "finished", "at"})


def made(kind: type[T], facts: Mapping[str, Any], **more: Any) -> T:
    """An object of a dataclass; what the server tells besides is left out, lists become tuples."""
    names = {one.name for one in fields(kind)}
    told = {name: _value(name, value) for name, value in facts.items() if name in names}
    return kind(**{**told, **more})


def _value(name: str, value: Any) -> Any:
    if name in _MOMENTS and value is not None:
        return datetime.fromisoformat(value)
    return tuple(value) if isinstance(value, list) else value


def path_of(what: str, *parts: str) -> str:
    """The path of something by its names, such as ``/datasets/cells%402/tags``."""
    return "/".join(["", what, *(quote(part, safe="") for part in parts)])
