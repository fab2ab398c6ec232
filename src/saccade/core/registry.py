"""Registries of plugins: built-ins and third-party plugins register the same way, by entry points."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from saccade.core.errors import ConflictError, NotFoundError, suggest

T = TypeVar("T")


def entry_point_names(group: str) -> list[str]:
    """Return the sorted names of an entry-point group without importing anything."""
    return sorted({entry.name for entry in entry_points(group=group)})


class Registry(Generic[T]):
    """Named plugins of one family, from the entry points of ``group`` and from :meth:`register`.

    Entry points are imported on first use, so that unused plugins cost nothing.

    Args:
        what: name of the family for messages, such as "format".
        group: entry-point group that built-ins and plugins declare, such as "saccade.formats".
    """

    def __init__(self, what: str, group: str) -> None:
        self.what = what
        self.group = group
        self._plugins: dict[str, T] = {}

    def register(self, name: str, plugin: T) -> None:
        """Add a plugin.

        Raises:
            ConflictError: the name is already registered.
        """
        if name in self.names():
            raise ConflictError(f"The {self.what} '{name}' is already registered.", hint="Choose another name.")
        self._plugins[name] = plugin

    def names(self) -> list[str]:
        """Return all names, sorted, without importing anything."""
        return sorted({*self._plugins, *entry_point_names(self.group)})

    def get(self, name: str) -> T:
        """Return the plugin with this name, importing it on first use.

        Raises:
            NotFoundError: the name is unknown; the hint lists close matches.
            ConflictError: two installed packages provide the name.
        """
        if name not in self._plugins:
            entries = list(entry_points(group=self.group, name=name))
            if not entries:
                raise NotFoundError(f"There is no {self.what} '{name}'.", hint=suggest(name, self.names()))
            if len(entries) > 1:
                packages = " and ".join(entry.value for entry in entries)
                raise ConflictError(f"Two packages provide the {self.what} '{name}': {packages}.", hint="Remove one.")
            self._plugins[name] = entries[0].load()
        return self._plugins[name]

    def package(self, name: str) -> str:
        """Return the package that provides a plugin, or "" if it was registered at run time; imports nothing."""
        entries = entry_points(group=self.group, name=name)
        return ", ".join(entry.dist.name for entry in entries if entry.dist is not None)

    def __iter__(self) -> Iterator[T]:
        return (self.get(name) for name in self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()
