"""``saccade datasets classes``: list and edit classes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saccade.cli.datasets.app import RefArgument, datasets
from saccade.cli.options import JsonOption, MessageOption, WorkspaceOption
from saccade.core.text import format_count

if TYPE_CHECKING:
    from saccade.core.class_edits import ClassEdit
    from saccade.store.datasets.version import DatasetVersion


def _edit_option(flag: str, metavar: str, help: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=f"{help} Repeatable.", show_default=False)


@datasets.command("classes")
def classes(
    ref: RefArgument,
    add: Annotated[list[str] | None, _edit_option("--add", "NAME", "Add a class.")] = None,
    rename: Annotated[list[str] | None, _edit_option("--rename", "OLD=NEW", "Rename a class.")] = None,
    merge: Annotated[
        list[str] | None, _edit_option("--merge", "FROM=INTO", "Replace a class by another one everywhere.")
    ] = None,
    color: Annotated[list[str] | None, _edit_option("--color", "CLASS=#RRGGBB", "Set the color of a class.")] = None,
    remove: Annotated[list[str] | None, _edit_option("--remove", "NAME", "Remove an unused class.")] = None,
    with_objects: Annotated[
        bool,
        typer.Option("--with-objects", help="With --remove: delete its objects too; earlier versions keep them."),
    ] = False,
    column: Annotated[
        str | None, typer.Option(help="Edit only this column; by default all with the class.", show_default=False)
    ] = None,
    message: MessageOption = "",
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the classes with their colors and counts; with options, edit them in a new version.

    To edit, REF is NAME (the main branch) or NAME@BRANCH. Either all edits are applied, or none; in this order: --add,
    --rename, --merge, --color, --remove.
    """
    from saccade.app.datasets.classes import edit_classes
    from saccade.cli.console import progress_bar
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        version = workspace.datasets.open(ref)
        names = {name for schema_column in version.schema.columns for name in schema_column.class_names}
        edits = _parse_edits(names, column, add, rename, merge, color, remove, with_objects)
        if edits:
            with progress_bar(as_json) as progress:
                version = edit_classes(workspace, ref, edits, message=message, progress=progress)
        _print_classes(ref, version, as_json, is_new=bool(edits))


def _parse_edits(
    existing_names: Collection[str],
    column: str | None,
    add: Any,
    rename: Any,
    merge: Any,
    color: Any,
    remove: Any,
    with_objects: bool,
) -> list[ClassEdit]:
    from saccade.core.class_edits import AddClass, MergeClass, RecolorClass, RemoveClass, RenameClass

    # Later edits may refer to names that earlier ones create.
    names = {*existing_names, *(add or ())}
    renames = [_split_pair(text, names, "--rename") for text in rename or ()]
    names |= {new for _, new in renames}
    merges = [_split_pair(text, names, "--merge") for text in merge or ()]
    colors = [_split_pair(text, names, "--color") for text in color or ()]
    return [
        *(AddClass(name=name, column=column) for name in add or ()),
        *(RenameClass(name=name, new_name=new, column=column) for name, new in renames),
        *(MergeClass(name=name, target=into, column=column) for name, into in merges),
        *(RecolorClass(name=name, color=value, column=column) for name, value in colors),
        *(RemoveClass(name=name, with_objects=with_objects, column=column) for name in remove or ()),
    ]


def _split_pair(text: str, names: Collection[str], option: str) -> tuple[str, str]:
    """Split CLASS=VALUE; at a later '=' if the class name contains one."""
    positions = [position for position, char in enumerate(text) if char == "="]
    if not positions:
        raise typer.BadParameter(f"'{text}' has no '='.", param_hint=option)
    split = next((position for position in positions if text[:position] in names), positions[0])
    return text[:split], text[split + 1 :]


def _print_classes(ref: str, version: DatasetVersion, as_json: bool, *, is_new: bool) -> None:
    from dataclasses import asdict

    from rich.markup import escape

    from saccade.app.datasets.classes import list_classes
    from saccade.cli.console import print_json, print_message, print_table

    summaries = list_classes(version)
    if as_json:
        print_json({"dataset": version.ref, "classes": [asdict(summary) for summary in summaries]})
        return
    if is_new:
        info = version.info
        print_message(f"[bold]{version.ref}[/] {escape(info.message)} {format_count(info.changed, 'item')} changed.")
    elif "@" in ref:
        print_message(f"[bold]{version.ref}[/] ({version.info.branch})")
    if not summaries:
        print_message("There are no classes yet. Next: [bold]saccade datasets classes NAME --add CLASS[/]")
        return
    headings = ["Class", "Color", "Parent", "Count", "Items"]
    rows = [[entry.name, entry.color, entry.parent or "", entry.objects, entry.items] for entry in summaries]
    if len({entry.column for entry in summaries}) > 1:
        headings = ["Column", *headings]
        rows = [[entry.column, *row] for entry, row in zip(summaries, rows, strict=True)]
    print_table(headings, rows)
