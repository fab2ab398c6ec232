"""``saccade backup`` and ``saccade restore``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.options import CatalogOption, JsonOption, ObjectsOption, WorkspaceOption

if TYPE_CHECKING:
    from saccade.store.maintenance.backup import Copied


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    folder: Annotated[Path, typer.Argument(help="Where the copy is to be; one that is there is brought up to date.")],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Copy the whole workspace, while people work in it; the copy is a workspace too.

    What is there already is not copied again. Files that were linked, not copied, at their import stay where they are.
    """
    from saccade.cli.console import progress
    from saccade.store.maintenance.backup import back_up
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found, progress(json) as shown:
        done = back_up(found, folder, shown)
    _tell(done, json, "The copy is")


def restore(
    backup: Annotated[Path, typer.Argument(help="The folder of the copy.")],
    folder: Annotated[Path, typer.Argument(help="The folder that gets a .saccade.")] = Path(),
    catalog: CatalogOption = "",
    objects: ObjectsOption = "",
    json: JsonOption = False,
) -> None:
    """Make a workspace of a copy; this is also how a workspace moves to PostgreSQL or S3, and back."""
    from saccade.cli.console import progress
    from saccade.store.maintenance.backup import restore as restored

    with progress(json) as shown:
        done = restored(backup, folder, catalog, objects, shown)
    _tell(done, json, "The workspace is")


def _tell(done: Copied, json: bool, what: str) -> None:
    from rich.markup import escape

    from saccade.cli.console import print_json, say

    if json:
        print_json(
            {
                "workspace": str(done.location),
                "files": done.files,
                "bytes": done.bytes,
                "there": done.there,
                "removed": done.removed,
            }
        )
        return
    say(f"{what} {escape(str(done.location))}.")
    say(
        f"{done.files:,} files copied, {done.bytes / 1e6:,.1f} MB; {done.there:,} were there, {done.removed:,} removed."
    )
