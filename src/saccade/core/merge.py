"""Three-way merging: what two sides made of the same items, put together; what both changed is a conflict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from saccade.core.errors import ConflictError
from saccade.core.objects import Object, Objects
from saccade.core.schema import ClassInfo, Column, Kind, Value

Side = Literal["ours", "theirs"]
Did = Literal["added", "changed", "removed"]
Values = Mapping[str, Value]
Version = TypeVar("Version")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something that both sides changed, each in its own way.

    Attributes:
        key: the item; "" for the definition of a class.
        column: None where one side removed the item that the other changed.
        object_id: None where it is the value as a whole.
        class_name: for the definition of a class.
        ours, theirs: what either side did.
        taken: the side that was chosen, None while nobody has.
    """

    key: str
    column: str | None
    object_id: str | None
    class_name: str | None
    ours: Did
    theirs: Did
    taken: Side | None = None

    @property
    def place(self) -> tuple[str, str | None, str | None, str | None]:
        """What it is about, whatever was done and chosen."""
        return self.key, self.column, self.object_id, self.class_name

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "column": self.column,
            "object": self.object_id,
            "class": self.class_name,
            "ours": self.ours,
            "theirs": self.theirs,
            "take": self.taken,
        }


Choose = Callable[[Conflict], Side | None]
"""The side to take in a conflict; None leaves it open."""


@dataclass(frozen=True, slots=True)
class Merged(Generic[Version]):
    """What a merge did, or with ``version`` None would do.

    Attributes:
        base, ours, theirs: exact references: where the branches parted, the head that was merged into, and the
            version that was merged.
        added, removed, changed: items, in the branch that was merged into.
        conflicts: all of them, each with the side that was taken.
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
    """Two sides changed the same things, and nobody has said which side to take.

    Attributes:
        conflicts: all of them.
    """

    code = "merge-conflict"

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        shown = ", ".join(_named(conflict) for conflict in conflicts[:5])
        super().__init__(
            f"{len(conflicts)} conflicts: {shown}{' …' if len(conflicts) > 5 else ''}.",
            hint="Nothing was merged. Take a side with --take ours or --take theirs, or one by one with --resolve.",
        )
        self.conflicts = tuple(conflicts)

    def __reduce__(self) -> tuple[type[MergeConflictError], tuple[tuple[Conflict, ...]]]:
        return type(self), (self.conflicts,)


def _named(conflict: Conflict) -> str:
    parts = (conflict.key, conflict.column, conflict.object_id, conflict.class_name)
    return "/".join(part for part in parts if part)


def did(before: object, after: object) -> Did:
    """What a side did, where it did anything."""
    return "added" if before is None else "removed" if after is None else "changed"


def same(one: object, other: object) -> bool:
    """Whether two values are equal; NaN is equal to itself."""
    both = isinstance(one, float) and isinstance(other, float)
    return one == other or (both and math.isnan(one) and math.isnan(other))  # type: ignore[arg-type]  # floats by then


def same_values(one: Values | None, other: Values | None) -> bool:
    """Whether two items are equal; a value that is not there equals a missing one."""
    if one is None or other is None:
        return one is other
    return all(same(one.get(name), other.get(name)) for name in {*one, *other})


class Merger:
    """Merges items one by one and gathers the conflicts.

    Args:
        columns: of the result.
        choose: the side to take in a conflict, or None, which leaves it open.
    """

    def __init__(self, columns: Iterable[Column], choose: Callable[[Conflict], Side | None]) -> None:
        self.conflicts: list[Conflict] = []
        self._columns = tuple(columns)
        self._choose = choose

    @property
    def open(self) -> list[Conflict]:
        """The conflicts in which nobody chose a side."""
        return [conflict for conflict in self.conflicts if conflict.taken is None]

    def item(self, key: str, base: Values | None, ours: Values | None, theirs: Values | None) -> Values | None:
        """The merged values of an item; None where it is not, or no longer, there.

        A side's item must have all columns that the side has; a column that only the base and the other side have is
        to be given with the value of the base.
        """
        if same_values(ours, theirs) or same_values(base, theirs):
            return ours
        if same_values(base, ours):
            return theirs
        if ours is None or theirs is None:
            chosen = self._conflict(Conflict(key, None, None, None, did(base, ours), did(base, theirs)))
            return theirs if chosen == "theirs" else ours
        old = base or {}
        return {
            column.name: self._value(key, column, *(side.get(column.name) for side in (old, ours, theirs)))
            for column in self._columns
        }

    def class_info(self, column: str, base: ClassInfo | None, ours: ClassInfo, theirs: ClassInfo) -> ClassInfo:
        """The merged definition of a class; one that is only a name gives way to one that says more."""
        was = tuple(dict.fromkeys((*ours.was, *theirs.was)))
        base = None if base is None else replace(base, was=was)
        ours, theirs = replace(ours, was=was), replace(theirs, was=was)
        bare = ClassInfo(ours.name, was=was)
        if theirs in (ours, base, bare):
            return ours
        if ours in (base, bare):
            return theirs
        chosen = self._conflict(Conflict("", column, None, ours.name, did(base, ours), did(base, theirs)))
        return theirs if chosen == "theirs" else ours

    def _conflict(self, conflict: Conflict) -> Side | None:
        made = replace(conflict, taken=self._choose(conflict))
        self.conflicts.append(made)
        return made.taken

    def _value(self, key: str, column: Column, base: Any, ours: Any, theirs: Any) -> Value:
        if same(ours, theirs) or same(base, theirs):
            return ours
        if same(base, ours):
            return theirs
        if ours is not None and theirs is not None:
            if column.kind is Kind.LABELS:
                return _merged_labels(base or (), ours, theirs)
            if column.kind is Kind.OBJECTS and all(map(_ids_differ, (base or (), ours, theirs))):
                return self._objects(key, column.name, base or (), ours, theirs)
        chosen = self._conflict(Conflict(key, column.name, None, None, did(base, ours), did(base, theirs)))
        return theirs if chosen == "theirs" else ours

    def _objects(self, key: str, column: str, base: Objects, ours: Objects, theirs: Objects) -> Objects:
        """Objects are matched by their id; ours come first, in their order."""
        old, mine, other = ({thing.id: thing for thing in side} for side in (base, ours, theirs))
        merged = (
            self._object(key, column, name, old.get(name), mine.get(name), other.get(name))
            for name in dict.fromkeys((*mine, *other))
        )
        return tuple(thing for thing in merged if thing is not None)

    def _object(
        self, key: str, column: str, name: str, base: Object | None, ours: Object | None, theirs: Object | None
    ) -> Object | None:
        if theirs in (ours, base):
            return ours
        if ours == base:
            return theirs
        chosen = self._conflict(Conflict(key, column, name, None, did(base, ours), did(base, theirs)))
        return theirs if chosen == "theirs" else ours


def _ids_differ(things: Objects) -> bool:
    return len({thing.id for thing in things}) == len(things)


def _merged_labels(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, ...]:
    gone = set(base) - set(theirs)
    return tuple(dict.fromkeys((*(name for name in ours if name not in gone), *(n for n in theirs if n not in base))))
