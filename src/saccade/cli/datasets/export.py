"""``saccade export``: write a dataset in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import FormatOption, JsonOption, QuietOption, WorkspaceOption, parse_format_options


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    dataset: Annotated[str, typer.Argument(help="NAME, NAME@BRANCH, NAME@VERSION or NAME@ALIAS.", show_default=False)],
    destination: Annotated[
        Path, typer.Argument(help="A new or empty folder, or, with --overwrite, an earlier export.", show_default=False)
    ],
    format: Annotated[str, typer.Option("--format", "-f", help="coco, yolo, voc, folders …", show_default=False)],
    split: Annotated[str | None, typer.Option(help="Only the items of this split.", show_default=False)] = None,
    where: Annotated[str | None, typer.Option(help="Only the items that match this query.", show_default=False)] = None,
    option: FormatOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export in the folder.")] = False,
    strict: Annotated[bool, typer.Option(help="Fail if the format cannot represent all labels.")] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Export a dataset version in another format, and report what the format cannot represent."""
    from rich.markup import escape

    from saccade.app.ingest.exporting import export_dataset
    from saccade.cli.console import print_json, print_message, print_report, progress_bar
    from saccade.store.workspace import Workspace

    options = parse_format_options(option)
    with Workspace.find(workspace_path) as workspace, progress_bar(quiet or as_json) as progress:
        report = export_dataset(
            workspace,
            dataset,
            destination,
            format,
            split=split,
            where=where,
            strict=strict,
            options=options,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        print_json({"destination": str(destination), "format": format, "report": report.to_json()})
        return
    print_message(f"Exported to {escape(str(destination))} as {format}.")
    if len(report):
        print_message("Losses and warnings:")
        print_report(report)
