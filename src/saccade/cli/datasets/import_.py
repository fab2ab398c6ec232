"""``saccade import``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.options import FormatOption, JsonOption, QuietOption, WorkspaceOption, format_options

if TYPE_CHECKING:
    from saccade.app.ingest.importing import ImportResult


def register(app: typer.Typer) -> None:
    app.command("import")(import_)


def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, a file, a ZIP or tar archive, a URL such as s3://bucket/data, or a text file of URLs.",
            show_default=False,
        ),
    ],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="The name of the new dataset.", show_default=False)],
    format: Annotated[str, typer.Option("--format", "-f", help="auto, coco, yolo, voc, folders, images …")] = "auto",
    copy: Annotated[bool, typer.Option("--copy/--link", help="Copy the images, or keep them by reference.")] = True,
    split: Annotated[str, typer.Option(help="Split at random, such as train=0.8,val=0.2.", show_default=False)] = "",
    split_group: Annotated[
        str,
        typer.Option(help="Regular expression that finds an item's group in its key; groups are never divided."),
    ] = "",
    seed: Annotated[int, typer.Option(help="For --split.")] = 0,
    option: FormatOption = None,
    strict: Annotated[bool, typer.Option(help="Refuse to import with losses.")] = False,
    private_network: Annotated[
        bool, typer.Option("--private-network", help="Fetch from addresses that are not public, too.")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Import images with their labels as a new dataset."""
    from saccade.app.ingest.importing import SplitRequest, import_dataset
    from saccade.cli.console import print_json, progress
    from saccade.core.splits import parse_shares
    from saccade.store.workspace import Workspace

    if split_group and not split:
        raise typer.BadParameter("It needs --split, such as --split train=0.8,val=0.2.", param_hint="--split-group")
    request = SplitRequest(parse_shares(split), split_group, seed) if split else None
    options = format_options(option)
    with Workspace.find(workspace) as found, progress(quiet or json) as shown:
        result = import_dataset(
            found,
            source,
            dataset,
            format=format,
            link=not copy,
            split=request,
            strict=strict,
            options=options,
            private_network=private_network,
            progress=shown,
        )
    if json:
        print_json(_as_json(result))
    else:
        _print(result)


def _as_json(result: ImportResult) -> dict[str, object]:
    return {
        "dataset": result.version.ref,
        "format": result.format,
        "reason": result.reason,
        "items": len(result.version),
        "set_aside": result.set_aside,
        "splits": dict(result.splits),
        "report": result.report.to_json(),
    }


def _print(result: ImportResult) -> None:
    from rich.markup import escape

    from saccade.cli.console import print_report, say
    from saccade.core.schema import Kind

    say(f"Format [bold]{result.format}[/]: {escape(result.reason)}.")
    shares = ", ".join(f"{name or 'no split'} {count:,}" for name, count in result.splits.items())
    what = result.version.schema.first(Kind.IMAGE, Kind.VIDEO).kind
    aside = f", [red]{result.set_aside:,} set aside[/]" if result.set_aside else ""
    say(f"[bold]{result.version.ref}[/] has {len(result.version):,} {what}s ({shares}){aside}.")
    if len(result.report):
        say("What was found on the way:")
        print_report(result.report)
    say(f"Next: [bold]saccade datasets stats {result.version.name}[/]")
