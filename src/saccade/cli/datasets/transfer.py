"""``saccade datasets push|pull``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.datasets.app import Ref, datasets
from saccade.cli.options import JsonOption, QuietOption, WorkspaceOption

if TYPE_CHECKING:
    from saccade.store.maintenance.transfer import Copied

AsName = Annotated[str | None, typer.Option("--as", help="Another name for it at the other end.", show_default=False)]


@datasets.command("push")
def push(
    ref: Ref,
    where: Annotated[str, typer.Argument(help="A folder, a new .zip, or a URL such as s3://bucket/data.")],
    as_name: AsName = None,
    linked: Annotated[
        bool, typer.Option("--linked/--no-linked", help="Copy the files too that the dataset only refers to.")
    ] = True,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy a dataset whole, with all versions (or the one that is named), so that another workspace can pull it."""
    from saccade.cli.console import progress
    from saccade.store.maintenance.transfer import push_dataset as copy
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found, progress(quiet or json) as shown:
        done = copy(found, ref, where, as_name=as_name, linked=linked, progress=shown)
    _tell(done, json, "pushed to")


@datasets.command("pull")
def pull(
    where: Annotated[str, typer.Argument(help="The folder, .zip or URL that a dataset was pushed to.")],
    name: Annotated[
        str | None, typer.Argument(help="The dataset there, where there are several.", show_default=False)
    ] = None,
    as_name: AsName = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy a pushed dataset into the workspace; every file is checked, and only what is new is copied."""
    from saccade.cli.console import progress
    from saccade.store.maintenance.transfer import pull_dataset as copy
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found, progress(quiet or json) as shown:
        done = copy(found, where, name, as_name=as_name, progress=shown)
    _tell(done, json, "pulled from")


def _tell(done: Copied, json: bool, word: str) -> None:
    from dataclasses import asdict

    from rich.markup import escape

    from saccade.cli.console import print_json, say

    if json:
        print_json(asdict(done))
        return
    new = f"{len(done.versions)} new versions" if done.versions else "nothing new"
    say(f"'{done.dataset}' {word} {escape(done.where)}: {new}, {done.files:,} files, {done.bytes / 1e6:,.1f} MB.")
    if done.left_out:
        say(f"{done.left_out:,} files that the dataset only refers to were left out.")
    if done.kept_aliases:
        say(f"These name another version there, and were left as they are: {', '.join(done.kept_aliases)}.")
