"""Three-way merge of items and classes; a value that both sides changed differently is a conflict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from saccade.core.errors import ConflictError
from saccade.core.objects import Object, Objects
from saccade.core.schema import ClassInfo, Column, Kind, Value
from saccade.core.text import format_count

Side = Literal["ours", "theirs"]
Did = Literal["added", "changed", "removed"]
Values = Mapping[str, Value]
Version = TypeVar("Version")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A value that both sides changed differently.

    Attributes:
        key: key of the item; "" for a class definition.
        column: None if one side removed the item and the other changed it.
        object_id: None if the whole value is in conflict.
        class_name: set for a class definition.
        ours, theirs: what each side did.
        resolution: the chosen side, or None while unresolved.
    """

    key: str
    column: str | None
    object_id: str | None
    class_name: str | None
    ours: Did
    theirs: Did
    resolution: Side | None = None

    @property
    def location(self) -> tuple[str, str | None, str | None, str | None]:
        """Identify the conflicting value, independent of changes and resolution."""
        return self.key, self.column, self.object_id, self.class_name

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "column": self.column,
            "object": self.object_id,
            "class": self.class_name,
            "ours": self.ours,
            "theirs": self.theirs,
            "resolution": self.resolution,
        }


Resolver = Callable[[Conflict], Side | None]
"""Chooses the side for a conflict; None leaves it unresolved."""


@dataclass(frozen=True, slots=True)
class Merged(Generic[Version]):
    """Result of a merge, or of a dry run if ``version`` is None.

    Attributes:
        base, ours, theirs: exact references of the common ancestor, of the head that was merged into, and of the
            version that was merged.
        added, removed, changed: numbers of items, relative to the branch that was merged into.
        conflicts: all conflicts with their resolution.
    """

    version: Version | None
    base: str
    ours: str
    theirs: str
    added: int = 0
    removed: int = 0
    changed: int = 0
    conflicts: tuple[Conflict, ...] = ()


class MergeConflictError(ConflictError):
    """Both sides changed the same values and no resolution was given.

    Attributes:
        conflicts: all unresolved conflicts.
    """

    code = "merge-conflict"

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        listed = ", ".join(_label(conflict) for conflict in conflicts[:5])
        super().__init__(
            f"{format_count(len(conflicts), 'conflict')}: {listed}{' …' if len(conflicts) > 5 else ''}.",
            hint="Nothing was merged. Choose a side with --take ours or --take theirs, or one by one with --resolve.",
        )
        self.conflicts = tuple(conflicts)

    def __reduce__(self) -> tuple[type[MergeConflictError], tuple[tuple[Conflict, ...]]]:
        return type(self), (self.conflicts,)


def _label(conflict: Conflict) -> str:
    parts = (conflict.key, conflict.column, conflict.object_id, conflict.class_name)
    return "/".join(part for part in parts if part)


def describe_change(before: object, after: object) -> Did:
    """Classify a change of one side; ``before`` and ``after`` differ."""
    return "added" if before is None else "removed" if after is None else "changed"


def values_equal(left: object, right: object) -> bool:
    """Return whether two values are equal; NaN equals NaN."""
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left) and math.isnan(right):
        return True
    return left == right


def items_equal(left: Values | None, right: Values | None) -> bool:
    """Return whether two items are equal; an absent column equals a missing value."""
    if left is None or right is None:
        return left is right
    return all(values_equal(left.get(name), right.get(name)) for name in {*left, *right})


class Merger:
    """Merges items one by one and collects the conflicts.

    Args:
        columns: columns of the result.
        resolve: returns the side for a conflict, or None to leave it unresolved.
    """

    def __init__(self, columns: Iterable[Column], resolve: Resolver) -> None:
        self.conflicts: list[Conflict] = []
        self._columns = tuple(columns)
        self._resolve = resolve

    @property
    def unresolved(self) -> list[Conflict]:
        """Conflicts without a resolution."""
        return [conflict for conflict in self.conflicts if conflict.resolution is None]

    def item(self, key: str, base: Values | None, ours: Values | None, theirs: Values | None) -> Values | None:
        """Merge one item.

        Args:
            key: key of the item.
            base, ours, theirs: values by column, None if the item does not exist there. Each side must contain all of
                its columns; for a column that only the base and the other side have, pass the value of the base.

        Returns:
            The merged values, or None if the item does not exist in the result.
        """
        if items_equal(ours, theirs) or items_equal(base, theirs):
            return ours
        if items_equal(base, ours):
            return theirs
        if ours is None or theirs is None:
            side = self._side(key, None, None, base, ours, theirs)
            return theirs if side == "theirs" else ours
        old = base or {}
        return {
            column.name: self._value(key, column, *(side.get(column.name) for side in (old, ours, theirs)))
            for column in self._columns
        }

    def class_info(self, column: str, base: ClassInfo | None, ours: ClassInfo, theirs: ClassInfo) -> ClassInfo:
        """Merge the definition of a class; a definition with a name only gives way to a fuller one."""
        was = tuple(dict.fromkeys((*ours.was, *theirs.was)))
        base = None if base is None else replace(base, was=was)
        ours = replace(ours, was=was)
        theirs = replace(theirs, was=was)
        bare = ClassInfo(ours.name, was=was)
        if theirs in (ours, base, bare):
            return ours
        if ours in (base, bare):
            return theirs
        side = self._side("", column, None, base, ours, theirs, class_name=ours.name)
        return theirs if side == "theirs" else ours

    def _side(
        self,
        key: str,
        column: str | None,
        object_id: str | None,
        base: object,
        ours: object,
        theirs: object,
        class_name: str | None = None,
    ) -> Side | None:
        """Record a conflict and return its resolution."""
        changes = describe_change(base, ours), describe_change(base, theirs)
        conflict = Conflict(key, column, object_id, class_name, *changes)
        conflict = replace(conflict, resolution=self._resolve(conflict))
        self.conflicts.append(conflict)
        return conflict.resolution

    def _value(self, key: str, column: Column, base: Any, ours: Any, theirs: Any) -> Value:
        if values_equal(ours, theirs) or values_equal(base, theirs):
            return ours
        if values_equal(base, ours):
            return theirs
        if ours is not None and theirs is not None:
            if column.kind is Kind.LABELS:
                return _merge_labels(base or (), ours, theirs)
            if column.kind is Kind.OBJECTS and all(map(_ids_are_unique, (base or (), ours, theirs))):
                return self._objects(key, column.name, base or (), ours, theirs)
        side = self._side(key, column.name, None, base, ours, theirs)
        return theirs if side == "theirs" else ours

    def _objects(self, key: str, column: str, base: Objects, ours: Objects, theirs: Objects) -> Objects:
        """Merge objects matched by id; ours come first, in their order."""
        base_by_id, ours_by_id, theirs_by_id = ({obj.id: obj for obj in objects} for objects in (base, ours, theirs))
        merged = (
            self._object(key, column, id_, base_by_id.get(id_), ours_by_id.get(id_), theirs_by_id.get(id_))
            for id_ in dict.fromkeys((*ours_by_id, *theirs_by_id))
        )
        return tuple(obj for obj in merged if obj is not None)

    def _object(
        self, key: str, column: str, object_id: str, base: Object | None, ours: Object | None, theirs: Object | None
    ) -> Object | None:
        if theirs in (ours, base):
            return ours
        if ours == base:
            return theirs
        side = self._side(key, column, object_id, base, ours, theirs)
        return theirs if side == "theirs" else ours


def _ids_are_unique(objects: Objects) -> bool:
    return len({obj.id for obj in objects}) == len(objects)


def _merge_labels(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, ...]:
    removed = set(base) - set(theirs)
    kept = (name for name in ours if name not in removed)
    added = (name for name in theirs if name not in base)
    return tuple(dict.fromkeys((*kept, *added)))
