"""Dataset versions, differences and saved views, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

WriteMode = Literal["create", "append", "merge", "replace"]


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """A dataset at its latest version; ``columns`` maps names to kinds."""

    name: str
    latest: int
    items: int
    created: datetime
    updated: datetime
    columns: dict[str, str]


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """Commit metadata of a version.

    Attributes:
        number: version number, counted over all branches of the dataset.
        branch: the branch that it was committed to.
        parent: number of the version that it follows; None for the first.
        items: number of items.
        added, removed, changed: numbers of items, compared with the parent.
        run_id: the run that committed it.
        inputs: exact references of the versions that it was made from.
        merged: number of the version that was merged into the parent.
    """

    number: int
    branch: str
    parent: int | None
    message: str
    author: str
    created: datetime
    items: int
    added: int
    removed: int
    changed: int
    run_id: str | None
    inputs: tuple[str, ...]
    merged: int | None = None


@dataclass(frozen=True, slots=True)
class ObjectsChange:
    """Ids of the objects of one item that were added, removed or changed."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ItemChange:
    """A changed item.

    Attributes:
        key: the item.
        columns: the columns that differ.
        objects: for columns of objects, the objects that differ.
    """

    key: str
    columns: tuple[str, ...]
    objects: Mapping[str, ObjectsChange] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """Added and removed columns, and for columns of both versions changed kinds (old, new) and classes."""

    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    kinds_changed: Mapping[str, tuple[str, str]]
    classes_added: Mapping[str, tuple[str, ...]]
    classes_removed: Mapping[str, tuple[str, ...]]

    def __bool__(self) -> bool:
        parts = (self.columns_added, self.columns_removed, self.kinds_changed, self.classes_added, self.classes_removed)
        return any(parts)


@dataclass(frozen=True, slots=True)
class SavedView:
    """A saved view of a dataset.

    Attributes:
        name: name of the view.
        filters: the filters, as query parameters of the items screen.
        author: who saved it.
        created: when it was saved.
    """

    name: str
    filters: Mapping[str, Any]
    author: str
    created: datetime
