"""``saccade export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import FormatOption, JsonOption, QuietOption, WorkspaceOption, format_options


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    dataset: Annotated[str, typer.Argument(help="NAME, NAME@VERSION or NAME@ALIAS.", show_default=False)],
    destination: Annotated[Path, typer.Argument(help="A new or empty folder.", show_default=False)],
    format: Annotated[str, typer.Option("--format", "-f", help="coco, yolo, voc, folders …", show_default=False)],
    split: Annotated[str | None, typer.Option(help="Only the items of this split.", show_default=False)] = None,
    where: Annotated[
        str | None, typer.Option(help="Only the items for which this query holds.", show_default=False)
    ] = None,
    option: FormatOption = None,
    strict: Annotated[bool, typer.Option(help="Refuse to export with losses.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a dataset version in an outside format, and say what that format could not hold."""
    from rich.markup import escape

    from saccade.app.ingest.exporting import export_dataset
    from saccade.cli.console import print_json, print_report, progress, say
    from saccade.store.workspace import Workspace

    options = format_options(option)
    with Workspace.find(workspace) as found, progress(quiet or json) as shown:
        report = export_dataset(
            found,
            dataset,
            destination,
            format,
            split=split,
            where=where,
            strict=strict,
            options=options,
            progress=shown,
        )
    if json:
        print_json({"destination": str(destination), "format": format, "report": report.to_json()})
        return
    say(f"Written to {escape(str(destination))} as {format}.")
    if len(report):
        say("What the format could not hold, or was noticed:")
        print_report(report)
