"""Edits of the classes of a dataset as data, and the plan that they make: a new schema and renamed labels."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, suggest
from saccade.core.schema import ClassInfo, Column, Kind, Schema, is_hex_color

LABEL_KINDS = (Kind.OBJECTS, Kind.LABEL, Kind.LABELS)
MAX_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassEdit:
    """An edit of one class, in ``column`` or, if None, in every column that has the class."""

    name: str
    column: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddClass(ClassEdit):
    """Append a class to a column (None: the first column with classes)."""

    color: str | None = None

    def __post_init__(self) -> None:
        check_class_name(self.name)
        _check_color(self.color)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameClass(ClassEdit):
    """Rename a class to an unused name; its position and everything else stays."""

    new_name: str

    def __post_init__(self) -> None:
        check_class_name(self.new_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecolorClass(ClassEdit):
    """Change the colour of a class to "#rrggbb"."""

    color: str

    def __post_init__(self) -> None:
        _check_color(self.color)


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeClass(ClassEdit):
    """Relabel everything of the class as ``target``; a column without that class renames the class instead."""

    target: str

    def __post_init__(self) -> None:
        if self.target == self.name:
            raise InvalidValueError(f"The class '{self.name}' cannot be merged into itself.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveClass(ClassEdit):
    """Remove a class; refused while it is in use, unless its labels are removed too (``with_objects``)."""

    with_objects: bool = False


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """The combined effect of several class edits on a dataset.

    Attributes:
        schema: the resulting schema.
        names: by column, the new name of each renamed class by its old name; None removes the labels.
        must_be_unused: by column, the old names that must not occur in any item, each with the class to be removed.
        previous_names: by column, the old name of each class that existed before, by its new name.
    """

    schema: Schema
    names: Mapping[str, Mapping[str, str | None]]
    must_be_unused: Mapping[str, Mapping[str, str]]
    previous_names: Mapping[str, Mapping[str, str]]


def plan_class_edits(schema: Schema, edits: Iterable[ClassEdit]) -> ClassPlan:
    """Apply class edits in order to a schema.

    Args:
        schema: the current schema.
        edits: applied one after another; later edits see the result of earlier ones.

    Raises:
        NotFoundError: a column or class does not exist (any more).
        ConflictError: a class name is already in use.
        InvalidValueError: an edit is impossible, or nothing would change.
    """
    columns = {column.name: _ColumnClasses(column) for column in schema.columns_of_kind(*LABEL_KINDS)}
    if not columns:
        raise InvalidValueError("No column of the dataset has classes.", hint="Import labels first.")
    for edit in edits:
        _APPLY[type(edit)](columns, edit)
    names = {name: renamed for name, classes in columns.items() if (renamed := classes.renamed())}
    new_schema = schema.with_columns(*(classes.column() for classes in columns.values()))
    if new_schema == schema and not names:
        raise InvalidValueError("Nothing would change.", hint="The class already has this name or colour.")
    return ClassPlan(
        new_schema,
        names,
        must_be_unused={name: classes.must_be_unused for name, classes in columns.items() if classes.must_be_unused},
        previous_names={name: classes.previous_names for name, classes in columns.items()},
    )


def check_class_name(name: str) -> None:
    """Check that a class name is readable.

    Raises:
        InvalidValueError: the name is empty, too long, padded with white space or has control characters.
    """
    excerpt = name[:60].encode("utf-8", "replace").decode()
    if not name.strip() or name != name.strip() or len(name) > MAX_NAME_LENGTH:
        raise InvalidValueError(
            f"A class name has 1 to {MAX_NAME_LENGTH} characters and no spaces around it: '{excerpt}'."
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise InvalidValueError(f"A class name may not contain control characters: {excerpt!r}.")


def _check_color(color: str | None) -> None:
    if color is not None and not is_hex_color(color):
        raise InvalidValueError(f"A colour is written as '#rrggbb', not {color!r}.")


class _ColumnClasses:
    """The classes of one column while edits are applied to them."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self.infos = {info.name: info for info in column.classes}
        self._new_names: dict[str, str | None] = {name: name for name in self.infos}
        """The new name by the original one; None if the labels are removed."""
        self.must_be_unused: dict[str, str] = {}
        self.previous_names = {name: name for name in self.infos}

    def column(self) -> Column:
        renamed = {old: new for old, new in self._new_names.items() if new is not None and new != old}
        return replace(
            self._column, classes=tuple(self._with_former_names(info, renamed) for info in self.infos.values())
        )

    def _with_former_names(self, info: ClassInfo, renamed: Mapping[str, str]) -> ClassInfo:
        # A former name that denoted another class in this edit does not identify this class any longer. A name that is
        # in use again remains: it shows that the rename was recorded before, not together with the later use.
        names = (
            *(name for name in info.was if name != info.name and self._new_names.get(name, name) == name),
            *(old for old, new in renamed.items() if new == info.name),
        )
        return replace(info, was=tuple(dict.fromkeys(names)))

    def renamed(self) -> dict[str, str | None]:
        return {name: new for name, new in self._new_names.items() if new != name}

    def add(self, info: ClassInfo) -> None:
        if info.name in self.infos:
            raise ConflictError(f"Column '{self._column.name}' already has a class '{info.name}'.")
        self.infos[info.name] = info

    def rename(self, name: str, to: str) -> None:
        if to in self.infos and to != name:
            raise ConflictError(
                f"Column '{self._column.name}' already has a class '{to}'.",
                hint=f"Merge '{name}' into it if both are the same class.",
            )
        infos = (replace(info, name=to) if info.name == name else info for info in self.infos.values())
        self.infos = {info.name: info for info in infos}
        if name in self.previous_names:
            self.previous_names[to] = self.previous_names.pop(name)
        self._relabel(name, to)
        self._reparent(name, to)

    def recolor(self, name: str, color: str) -> None:
        self.infos[name] = replace(self.infos[name], color=color.lower())

    def merge(self, name: str, into: str) -> None:
        source = self.infos[name]
        target = self.infos[into]
        if source.keypoints and target.keypoints and source.keypoints != target.keypoints:
            raise InvalidValueError(
                f"Classes '{name}' and '{into}' of column '{self._column.name}' have different keypoints.",
                hint="Only classes with the same keypoints, or one without any, can be merged.",
            )
        if source.keypoints and not target.keypoints:
            target = replace(target, keypoints=source.keypoints, skeleton=source.skeleton)
        if self._is_descendant(into, name):
            target = replace(target, parent=source.parent)  # otherwise it would become its own ancestor
        self.infos[into] = replace(target, was=(*target.was, *source.was))
        self._remove(name, into)

    def remove(self, name: str, *, with_objects: bool) -> None:
        if not with_objects:
            self.must_be_unused |= {old: name for old, new in self._new_names.items() if new == name}
        self._remove(name, None)

    def _remove(self, name: str, successor: str | None) -> None:
        """Remove a class; its labels and child classes pass to the successor, or are removed and move up a level."""
        removed = self.infos.pop(name)
        self.previous_names.pop(name, None)
        self._relabel(name, successor)
        self._reparent(name, removed.parent if successor is None else successor)

    def _relabel(self, name: str, new_name: str | None) -> None:
        self._new_names = {old: new_name if new == name else new for old, new in self._new_names.items()}

    def _reparent(self, parent: str, new_parent: str | None) -> None:
        for info in list(self.infos.values()):
            if info.parent == parent:  # a class never becomes its own parent
                self.infos[info.name] = replace(info, parent=None if new_parent == info.name else new_parent)

    def _is_descendant(self, name: str, ancestor: str) -> bool:
        visited: set[str] = set()  # imported hierarchies may contain cycles
        parent = self.infos[name].parent
        while parent is not None and parent not in visited and parent != ancestor:
            visited.add(parent)
            parent = self.infos[parent].parent if parent in self.infos else None
        return parent == ancestor


_Columns = Mapping[str, _ColumnClasses]


def _columns_with_class(columns: _Columns, edit: ClassEdit, name: str) -> list[_ColumnClasses]:
    if edit.column is not None and edit.column not in columns:
        raise _no_column(columns, edit.column)
    candidates = list(columns.values()) if edit.column is None else [columns[edit.column]]
    matching = [column for column in candidates if name in column.infos]
    if not matching:
        known = {class_name for column in candidates for class_name in column.infos}
        raise NotFoundError(f"There is no class '{name}'.", hint=suggest(name, known))
    return matching


def _no_column(columns: _Columns, name: str) -> NotFoundError:
    return NotFoundError(f"There is no column '{name}' with classes.", hint=suggest(name, columns))


def _add(columns: _Columns, edit: AddClass) -> None:
    name = edit.column if edit.column is not None else next(iter(columns))
    if name not in columns:
        raise _no_column(columns, name)
    columns[name].add(ClassInfo(edit.name, color=None if edit.color is None else edit.color.lower()))


def _rename(columns: _Columns, edit: RenameClass) -> None:
    for column in _columns_with_class(columns, edit, edit.name):
        column.rename(edit.name, edit.new_name)


def _recolor(columns: _Columns, edit: RecolorClass) -> None:
    for column in _columns_with_class(columns, edit, edit.name):
        column.recolor(edit.name, edit.color)


def _merge(columns: _Columns, edit: MergeClass) -> None:
    matching = _columns_with_class(columns, edit, edit.name)
    if not any(edit.target in column.infos for column in matching):
        known = {name for column in matching for name in column.infos if name != edit.name}
        raise NotFoundError(f"There is no class '{edit.target}' to merge into.", hint=suggest(edit.target, known))
    for column in matching:
        (column.merge if edit.target in column.infos else column.rename)(edit.name, edit.target)


def _remove(columns: _Columns, edit: RemoveClass) -> None:
    for column in _columns_with_class(columns, edit, edit.name):
        column.remove(edit.name, with_objects=edit.with_objects)


_APPLY: Mapping[type[ClassEdit], Callable[..., None]] = {
    AddClass: _add,
    RenameClass: _rename,
    RecolorClass: _recolor,
    MergeClass: _merge,
    RemoveClass: _remove,
}
