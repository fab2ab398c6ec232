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
class ClassChange:
    """Classes of one version, and the classes of another version that they became: renamed, merged or split.

    Attributes:
        before: names in the first version.
        after: names in the second version. If classes were merged into one of them, that name is in both.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def action(self) -> Literal["renamed", "merged", "split"]:
        if len(self.after) > 1:
            return "split"
        return "merged" if len(self.before) > 1 else "renamed"

    def __str__(self) -> str:
        # The class that others were merged into is not a change.
        before = [name for name in self.before if name not in self.after] if self.action == "merged" else self.before
        return f"{', '.join(before)} → {', '.join(self.after)}"

    def to_json(self) -> dict[str, Any]:
        return {"action": self.action, "before": list(self.before), "after": list(self.after)}


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """Added and removed columns, and for columns of both versions changed kinds (old, new) and classes.

    A class that was renamed or merged is only in ``classes_renamed``, not among the added and removed classes.
    """

    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    kinds_changed: Mapping[str, tuple[str, str]]
    classes_added: Mapping[str, tuple[str, ...]]
    classes_removed: Mapping[str, tuple[str, ...]]
    classes_renamed: Mapping[str, tuple[ClassChange, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)

    def to_json(self) -> dict[str, Any]:
        return {
            "columns_added": list(self.columns_added),
            "columns_removed": list(self.columns_removed),
            "kinds_changed": {name: list(kinds) for name, kinds in self.kinds_changed.items()},
            "classes_added": {name: list(classes) for name, classes in self.classes_added.items()},
            "classes_removed": {name: list(classes) for name, classes in self.classes_removed.items()},
            "classes_renamed": {
                name: [change.to_json() for change in changes] for name, changes in self.classes_renamed.items()
            },
        }


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
