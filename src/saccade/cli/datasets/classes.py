"""``saccade datasets classes``."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saccade.cli.datasets.app import Ref, datasets
from saccade.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from saccade.core.class_edits import ClassAct
    from saccade.store.datasets.version import DatasetVersion


def _several(flag: str, metavar: str, help: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=help, show_default=False)


@datasets.command("classes")
def classes(
    ref: Ref,
    add: Annotated[list[str] | None, _several("--add", "NAME", "A new class.")] = None,
    rename: Annotated[list[str] | None, _several("--rename", "OLD=NEW", "Another name for a class.")] = None,
    merge: Annotated[
        list[str] | None, _several("--merge", "FROM=INTO", "Whatever is of one class is of another one then.")
    ] = None,
    color: Annotated[
        list[str] | None, _several("--color", "CLASS=#RRGGBB", "The colour in which a class is drawn.")
    ] = None,
    remove: Annotated[
        list[str] | None, _several("--remove", "NAME", "Take a class away of which there is nothing.")
    ] = None,
    with_objects: Annotated[
        bool, typer.Option("--with-objects", help="With --remove: also what is of it; earlier versions keep it.")
    ] = False,
    column: Annotated[
        str | None, typer.Option(help="Only in this column; else in all that have the class.", show_default=False)
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="Why.")] = "",
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """The classes with their colours and counts; with options, a new version in which they are others.

    All that is asked for is done together, or nothing of it: --add first, then --rename, --merge, --color, --remove.
    """
    from saccade.app.datasets.classes import change_classes
    from saccade.cli.console import progress
    from saccade.core.errors import InvalidValueError
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.datasets.open(ref)
        known = {name for one in version.schema.columns for name in one.class_names}
        acts = _acts(known, column, add, rename, merge, color, remove, with_objects)
        if acts:
            if "@" in ref:
                raise InvalidValueError(
                    "Only the latest version can be followed by a new one.", hint=f"Name it: {version.name}"
                )
            with progress(json) as shown:
                version = change_classes(found, version.name, acts, message=message, progress=shown)
        _print(version, json, is_new=bool(acts))


def _acts(
    known: Collection[str], column: str | None, add: Any, rename: Any, merge: Any, color: Any, remove: Any, also: bool
) -> list[ClassAct]:
    from saccade.core.class_edits import AddClass, MergeClass, RecolorClass, RemoveClass, RenameClass

    known = {*known, *(add or ())}
    renames = [_pair(text, known, "--rename") for text in rename or ()]
    known |= {to for _, to in renames}
    return [
        *(AddClass(name=name, column=column) for name in add or ()),
        *(RenameClass(name=name, to=to, column=column) for name, to in renames),
        *(
            MergeClass(name=name, into=into, column=column)
            for name, into in (_pair(text, known, "--merge") for text in merge or ())
        ),
        *(
            RecolorClass(name=name, color=value, column=column)
            for name, value in (_pair(text, known, "--color") for text in color or ())
        ),
        *(RemoveClass(name=name, with_objects=also, column=column) for name in remove or ()),
    ]


def _pair(text: str, known: Collection[str], option: str) -> tuple[str, str]:
    """The class and what it is to be; the class may have a '=' in its name."""
    cuts = [at for at, sign in enumerate(text) if sign == "="]
    if not cuts:
        raise typer.BadParameter(f"'{text}' has no '='.", param_hint=option)
    at = next((at for at in cuts if text[:at] in known), cuts[0])
    return text[:at], text[at + 1 :]


def _print(version: DatasetVersion, json: bool, *, is_new: bool) -> None:
    from dataclasses import asdict

    from rich.markup import escape

    from saccade.app.datasets.classes import classes_of
    from saccade.cli.console import print_json, print_table, say

    found = classes_of(version)
    if json:
        print_json({"dataset": version.ref, "classes": [asdict(one) for one in found]})
        return
    if is_new:
        info = version.info
        say(f"[bold]{version.ref}[/] {escape(info.message)} {info.changed:,} items changed.")
    columns = {one.column for one in found}
    rows = [
        [*([one.column] if len(columns) > 1 else []), one.name, one.color, one.parent or "", one.objects, one.items]
        for one in found
    ]
    if rows:
        print_table([*(["Column"] if len(columns) > 1 else []), "Class", "Colour", "Parent", "Count", "Items"], rows)
    else:
        say("There are no classes. Next: [bold]saccade datasets classes NAME --add CLASS[/]")
