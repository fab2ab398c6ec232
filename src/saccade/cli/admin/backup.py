"""``saccade backup`` and ``saccade restore``: copy a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.options import CatalogOption, JsonOption, ObjectsOption, WorkspaceOption
from saccade.core.text import format_count

if TYPE_CHECKING:
    from saccade.store.maintenance.backup import BackupResult


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    folder: Annotated[Path, typer.Argument(help="Folder of the backup; an existing backup is updated.")],
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Back up the workspace while it is in use; the backup is a workspace itself.

    Only new files are copied. Files that were linked at their import, not copied, are not part of the backup.
    """
    from saccade.cli.console import progress_bar
    from saccade.store.maintenance.backup import back_up
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace, progress_bar(as_json) as progress:
        result = back_up(workspace, folder, progress)
    _print_summary(result, as_json, "Backup")


def restore(
    backup: Annotated[Path, typer.Argument(help="Folder of the backup.")],
    folder: Annotated[Path, typer.Argument(help="Folder in which .saccade is created.")] = Path(),
    catalog: CatalogOption = "",
    objects: ObjectsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Create a workspace from a backup; also the way to move a workspace to PostgreSQL or S3, and back."""
    from saccade.cli.console import progress_bar
    from saccade.store.maintenance.backup import restore as restore_backup

    with progress_bar(as_json) as progress:
        result = restore_backup(backup, folder, catalog, objects, progress)
    _print_summary(result, as_json, "Workspace")


def _print_summary(result: BackupResult, as_json: bool, what: str) -> None:
    from rich.markup import escape

    from saccade.cli.console import print_json, print_message

    if as_json:
        print_json(
            {
                "workspace": str(result.location),
                "files": result.files,
                "bytes": result.bytes,
                "unchanged": result.unchanged,
                "removed": result.removed,
            }
        )
        return
    print_message(f"{what}: {escape(str(result.location))}")
    print_message(
        f"{format_count(result.files, 'file')} copied ({result.bytes / 1e6:,.1f} MB), {result.unchanged:,} unchanged, "
        f"{result.removed:,} removed."
    )
