"""``saccade datasets push|pull``: copy datasets between workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.datasets.app import RefArgument, datasets
from saccade.cli.options import JsonOption, QuietOption, WorkspaceOption
from saccade.core.text import format_count

if TYPE_CHECKING:
    from saccade.store.maintenance.transfer import TransferResult

AsNameOption = Annotated[str | None, typer.Option("--as", help="Name at the destination.", show_default=False)]


@datasets.command("push")
def push(
    ref: RefArgument,
    destination: Annotated[str, typer.Argument(help="A folder, a new .zip, or a URL such as s3://bucket/data.")],
    as_name: AsNameOption = None,
    linked: Annotated[bool, typer.Option("--linked/--no-linked", help="Also copy linked media files.")] = True,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy a dataset to a remote location, from which other workspaces can pull it.

    All versions are copied, or only one if REF names it.
    """
    from saccade.cli.console import progress_bar
    from saccade.store.maintenance.transfer import push_dataset
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace, progress_bar(quiet or as_json) as progress:
        result = push_dataset(workspace, ref, destination, as_name=as_name, linked=linked, progress=progress)
    _print_summary(result, as_json, "pushed to")


@datasets.command("pull")
def pull(
    source: Annotated[str, typer.Argument(help="Folder, .zip or URL that a dataset was pushed to.")],
    name: Annotated[
        str | None, typer.Argument(help="Name of the dataset, if the source has several.", show_default=False)
    ] = None,
    as_name: AsNameOption = None,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy a pushed dataset into the workspace. Only new files are copied, and each is verified."""
    from saccade.cli.console import progress_bar
    from saccade.store.maintenance.transfer import pull_dataset
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace, progress_bar(quiet or as_json) as progress:
        result = pull_dataset(workspace, source, name, as_name=as_name, progress=progress)
    _print_summary(result, as_json, "pulled from")


def _print_summary(result: TransferResult, as_json: bool, verb: str) -> None:
    from dataclasses import asdict

    from rich.markup import escape

    from saccade.cli.console import print_json, print_message

    if as_json:
        print_json(asdict(result))
        return
    versions = format_count(len(result.versions), "new version") if result.versions else "nothing new"
    print_message(
        f"'{result.dataset}' {verb} {escape(result.where)}: {versions}, {format_count(result.files, 'file')}, "
        f"{result.bytes / 1e6:,.1f} MB."
    )
    if result.left_out:
        print_message(f"{result.left_out:,} linked files were not copied.")
    if result.kept_aliases:
        print_message(
            f"These aliases name another version there and were not changed: {', '.join(result.kept_aliases)}."
        )
