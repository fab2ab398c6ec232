"""``saccade datasets edit-items``: tag, untag, assign to a split, or delete many items at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.datasets.app import BranchArgument, datasets
from saccade.cli.options import JsonOption, MessageOption, WorkspaceOption
from saccade.core.text import format_count

if TYPE_CHECKING:
    from saccade.app.datasets.bulk_edit import BulkAction


@datasets.command("edit-items")
def edit_items(
    ref: BranchArgument,
    where: Annotated[str | None, typer.Option(help="Edit the items that match this query.", show_default=False)] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="Edit the item with this key. Repeatable.", show_default=False)
    ] = None,
    all_items: Annotated[bool, typer.Option("--all", help="Edit all items.")] = False,
    tag: Annotated[str | None, typer.Option(help="Add this tag.", show_default=False)] = None,
    untag: Annotated[str | None, typer.Option(help="Remove this tag.", show_default=False)] = None,
    split: Annotated[str | None, typer.Option(help="Assign the items to this split.", show_default=False)] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the items; earlier versions keep them.")] = False,
    message: MessageOption = "",
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tag, untag, assign to a split, or delete many items in a new version.

    Select the items with one of --where, --key and --all, and the edit with one of --tag, --untag, --split and
    --delete.
    """
    from rich.markup import escape

    from saccade.app.datasets.bulk_edit import bulk_edit
    from saccade.cli.console import print_json, print_message, progress_bar
    from saccade.core.errors import NotFoundError
    from saccade.store.workspace import Workspace

    action, target = _parse_action(tag, untag, split, delete)
    if sum((where is not None, bool(key), all_items)) != 1:
        raise typer.BadParameter("Select the items with one of --where, --key and --all.")
    with Workspace.find(workspace_path) as workspace, progress_bar(as_json) as progress:
        name, branch = workspace.datasets.resolve_branch(ref)
        head = workspace.datasets.open(f"{name}@{branch}")
        keys = key or (head.keys() if where is None else head.where(where))
        if not keys:
            raise NotFoundError(f"No item of {head.ref} matches.", hint="Nothing was changed.")
        version = bulk_edit(
            workspace,
            name,
            keys,
            action,
            target,
            message=message,
            branch=branch,
            # The query was evaluated on this version.
            expected_version=None if key else head.number,
            progress=progress,
        )
    info = version.info
    if as_json:
        counts = {"items": len(version), "removed": info.removed, "changed": info.changed}
        print_json({"dataset": version.ref, "branch": branch, **counts})
    else:
        print_message(
            f"[bold]{version.ref}[/] ({branch}) {escape(info.message)} {format_count(info.changed, 'item')} changed."
        )


def _parse_action(tag: str | None, untag: str | None, split: str | None, delete: bool) -> tuple[BulkAction, str]:
    actions: list[tuple[BulkAction, str]] = []
    if tag is not None:
        actions.append(("tag", tag))
    if untag is not None:
        actions.append(("untag", untag))
    if split is not None:
        actions.append(("split", split))
    if delete:
        actions.append(("delete", ""))
    if len(actions) != 1:
        raise typer.BadParameter("Choose one of --tag, --untag, --split and --delete.")
    return actions[0]
