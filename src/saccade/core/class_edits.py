"""What is done to the classes of a dataset, as data, and what becomes of its schema and of the names in its items."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, nearest
from saccade.core.schema import ClassInfo, Column, Kind, Schema

LABEL_KINDS = (Kind.OBJECTS, Kind.LABEL, Kind.LABELS)
LONGEST_NAME = 200
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAct:
    """One act on a class, in the column that is named or in every column that has the class."""

    name: str
    column: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddClass(ClassAct):
    """A new class at the end of a column: of the one that is named, or of the first one with classes."""

    color: str | None = None

    def __post_init__(self) -> None:
        check_class_name(self.name)
        _check_color(self.color)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameClass(ClassAct):
    """Another name that no class has; everything else of it stays, and so does its place."""

    to: str

    def __post_init__(self) -> None:
        check_class_name(self.to)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecolorClass(ClassAct):
    """Another colour, "#rrggbb"."""

    color: str

    def __post_init__(self) -> None:
        _check_color(self.color)


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeClass(ClassAct):
    """Whatever is of the class is of the class ``into`` from then on. A column without that one renames the class."""

    into: str

    def __post_init__(self) -> None:
        if self.into == self.name:
            raise InvalidValueError(f"The class '{self.name}' cannot be merged into itself.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveClass(ClassAct):
    """The class goes; refused while something is of it, unless that goes too (``with_objects``)."""

    with_objects: bool = False


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """What a row of acts makes of a dataset.

    Attributes:
        schema: with the classes as they are to be.
        names: for each column the new names by the old ones of those that change; None where what has it goes.
        kept: for each column the old names of which there may be nothing, with the class that was to be removed.
        before: for each column what the classes that were there already were called.
    """

    schema: Schema
    names: Mapping[str, Mapping[str, str | None]]
    kept: Mapping[str, Mapping[str, str]]
    before: Mapping[str, Mapping[str, str]]


def plan_classes(schema: Schema, acts: Iterable[ClassAct]) -> ClassPlan:
    """What acts, one after another, make of a schema.

    Raises:
        NotFoundError: a column or class that is not there (any more).
        ConflictError: a name that is taken.
        InvalidValueError: an act that cannot be done, or nothing that would change.
    """
    columns = {column.name: _Classes(column) for column in schema.of_kind(*LABEL_KINDS)}
    if not columns:
        raise InvalidValueError("No column of the dataset has classes.", hint="Import labels first.")
    for act in acts:
        _DO[type(act)](columns, act)
    names = {name: changed for name, one in columns.items() if (changed := one.changed_names())}
    after = schema.with_columns(*(one.column() for one in columns.values()))
    if after == schema and not names:
        raise InvalidValueError("Nothing would change.", hint="Say which class is to be another.")
    kept = {name: one.kept for name, one in columns.items() if one.kept}
    return ClassPlan(after, names, kept, {name: one.before for name, one in columns.items()})


def check_class_name(name: str) -> None:
    """InvalidValueError for what would be no name to a reader."""
    shown = name[:60].encode("utf-8", "replace").decode()
    if not name.strip() or name != name.strip() or len(name) > LONGEST_NAME:
        raise InvalidValueError(
            f"A class needs a name of 1 to {LONGEST_NAME} characters without space around it, not '{shown}'."
        )
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
        raise InvalidValueError(f"The name of a class may not have control characters: {shown!r}.")


def _check_color(color: str | None) -> None:
    if color is not None and not _COLOR.fullmatch(color):
        raise InvalidValueError(f"A colour is written '#rrggbb', not {color!r}.")


class _Classes:
    """The classes of one column while acts are done to them."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self.infos = {info.name: info for info in column.classes}
        self._now: dict[str, str | None] = {name: name for name in self.infos}
        """The name of today by the name of the beginning; None where what has it goes."""
        self.kept: dict[str, str] = {}
        self.before = {name: name for name in self.infos}

    def column(self) -> Column:
        became = {old: now for old, now in self._now.items() if now is not None and now != old}
        return replace(
            self._column, classes=tuple(self._with_names_before(info, became) for info in self.infos.values())
        )

    def _with_names_before(self, info: ClassInfo, became: Mapping[str, str]) -> ClassInfo:
        """A name that is in use again, or was given to another class since, says nothing of this one any more."""
        names = (
            *(name for name in info.was if name not in became),
            *(old for old, to in became.items() if to == info.name),
        )
        return replace(info, was=tuple(name for name in dict.fromkeys(names) if name not in self.infos))

    def changed_names(self) -> dict[str, str | None]:
        return {name: now for name, now in self._now.items() if now != name}

    def add(self, info: ClassInfo) -> None:
        if info.name in self.infos:
            raise ConflictError(f"The column '{self._column.name}' has a class '{info.name}' already.")
        self.infos[info.name] = info

    def rename(self, name: str, to: str) -> None:
        if to in self.infos and to != name:
            raise ConflictError(
                f"The column '{self._column.name}' has a class '{to}' already.",
                hint=f"Merge '{name}' into it, if both are the same.",
            )
        renamed = (replace(info, name=to) if info.name == name else info for info in self.infos.values())
        self.infos = {info.name: info for info in renamed}
        if name in self.before:
            self.before[to] = self.before.pop(name)
        self._become(name, to)
        self._pass_on(name, to)

    def recolor(self, name: str, color: str) -> None:
        self.infos[name] = replace(self.infos[name], color=color.lower())

    def merge(self, name: str, into: str) -> None:
        gone, stays = self.infos[name], self.infos[into]
        if gone.keypoints and stays.keypoints and gone.keypoints != stays.keypoints:
            raise InvalidValueError(
                f"The classes '{name}' and '{into}' of column '{self._column.name}' have different keypoints.",
                hint="What is in one cannot be read as the other.",
            )
        if gone.keypoints and not stays.keypoints:
            stays = replace(stays, keypoints=gone.keypoints, skeleton=gone.skeleton)
        if self._is_under(into, name):
            stays = replace(stays, parent=gone.parent)  # else it would stand under itself
        self.infos[into] = replace(stays, was=(*stays.was, *gone.was))
        self._leave(name, into)

    def remove(self, name: str, *, with_objects: bool) -> None:
        if not with_objects:
            self.kept |= {old: name for old, now in self._now.items() if now == name}
        self._leave(name, None)

    def _leave(self, name: str, successor: str | None) -> None:
        """Take a class out; what is of it, and what stands under it, goes to another or to nothing and its parent."""
        gone = self.infos.pop(name)
        self.before.pop(name, None)
        self._become(name, successor)
        self._pass_on(name, gone.parent if successor is None else successor)

    def _become(self, name: str, now: str | None) -> None:
        self._now = {old: now if current == name else current for old, current in self._now.items()}

    def _pass_on(self, parent: str, to: str | None) -> None:
        """The classes under one stand under another from then on; none under itself."""
        for info in list(self.infos.values()):
            if info.parent == parent:
                self.infos[info.name] = replace(info, parent=None if to == info.name else to)

    def _is_under(self, name: str, above: str) -> bool:
        seen: set[str] = set()
        parent = self.infos[name].parent
        while parent is not None and parent not in seen and parent != above:
            seen.add(parent)
            parent = self.infos[parent].parent if parent in self.infos else None
        return parent == above


_Columns = Mapping[str, _Classes]


def _with(columns: _Columns, act: ClassAct, name: str) -> list[_Classes]:
    """The columns that an act is about; NotFoundError where none has the class."""
    if act.column is not None and act.column not in columns:
        raise _no_column(columns, act.column)
    asked = list(columns.values()) if act.column is None else [columns[act.column]]
    found = [one for one in asked if name in one.infos]
    if not found:
        known = {known for one in asked for known in one.infos}
        raise NotFoundError(f"There is no class '{name}'.", hint=nearest(name, known))
    return found


def _no_column(columns: _Columns, name: str) -> NotFoundError:
    return NotFoundError(f"There is no column '{name}' with classes.", hint=nearest(name, columns))


def _add(columns: _Columns, act: AddClass) -> None:
    name = act.column if act.column is not None else next(iter(columns))
    if name not in columns:
        raise _no_column(columns, name)
    columns[name].add(ClassInfo(act.name, color=None if act.color is None else act.color.lower()))


def _rename(columns: _Columns, act: RenameClass) -> None:
    for one in _with(columns, act, act.name):
        one.rename(act.name, act.to)


def _recolor(columns: _Columns, act: RecolorClass) -> None:
    for one in _with(columns, act, act.name):
        one.recolor(act.name, act.color)


def _merge(columns: _Columns, act: MergeClass) -> None:
    found = _with(columns, act, act.name)
    if not any(act.into in one.infos for one in found):
        known = {known for one in found for known in one.infos if known != act.name}
        raise NotFoundError(f"There is no class '{act.into}' to merge into.", hint=nearest(act.into, known))
    for one in found:
        (one.merge if act.into in one.infos else one.rename)(act.name, act.into)


def _remove(columns: _Columns, act: RemoveClass) -> None:
    for one in _with(columns, act, act.name):
        one.remove(act.name, with_objects=act.with_objects)


_DO: Mapping[type[ClassAct], Callable[..., None]] = {
    AddClass: _add,
    RenameClass: _rename,
    RecolorClass: _recolor,
    MergeClass: _merge,
    RemoveClass: _remove,
}
