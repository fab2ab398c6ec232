"""Registries: one object per family of parts; built-ins and plugins enter the same way."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from saccade.core.errors import ConflictError, NotFoundError, nearest

T = TypeVar("T")


def names_of(group: str) -> list[str]:
    """The names of all parts of an entry-point group, sorted; imports nothing."""
    return sorted({entry.name for entry in entry_points(group=group)})


class Registry(Generic[T]):
    """Named parts of one family, from the entry points of ``group`` and from :meth:`register`.

    Entry points are imported when first asked for, so that an unused part costs nothing.

    Args:
        what: the family in words, for messages ("format").
        group: the entry-point group that built-ins and plugins declare ("saccade.formats").
    """

    def __init__(self, what: str, group: str) -> None:
        self.what = what
        self.group = group
        self._parts: dict[str, T] = {}

    def register(self, name: str, part: T) -> None:
        """Add a part; a name that is taken raises ConflictError."""
        if name in self.names():
            raise ConflictError(f"The {self.what} '{name}' is already registered.", hint="Choose another name.")
        self._parts[name] = part

    def names(self) -> list[str]:
        """All names, sorted; imports nothing."""
        return sorted({*self._parts, *names_of(self.group)})

    def get(self, name: str) -> T:
        """The part of that name; an unknown name raises NotFoundError with the nearest ones."""
        if name not in self._parts:
            found = list(entry_points(group=self.group, name=name))
            if not found:
                raise NotFoundError(f"There is no {self.what} '{name}'.", hint=nearest(name, self.names()))
            if len(found) > 1:
                owners = " and ".join(entry.value for entry in found)
                raise ConflictError(f"Two packages offer the {self.what} '{name}': {owners}.", hint="Remove one.")
            self._parts[name] = found[0].load()
        return self._parts[name]

    def package(self, name: str) -> str:
        """The package that offers a part; "" for one that was registered. Imports nothing."""
        found = entry_points(group=self.group, name=name)
        return ", ".join(entry.dist.name for entry in found if entry.dist is not None)

    def __iter__(self) -> Iterator[T]:
        return (self.get(name) for name in self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()
