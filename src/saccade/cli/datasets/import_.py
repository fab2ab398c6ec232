"""``saccade import``: import a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.options import FormatOption, JsonOption, QuietOption, WorkspaceOption, parse_format_options
from saccade.core.text import format_count

if TYPE_CHECKING:
    from saccade.app.ingest.importing import ImportResult, SourceCheck


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
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            "-d",
            help="NAME, or NAME@BRANCH of an existing dataset; required unless --check.",
            show_default=False,
        ),
    ] = "",
    format: Annotated[str, typer.Option("--format", "-f", help="auto, coco, yolo, voc, folders, images …")] = "auto",
    mode: Annotated[
        str, typer.Option(help="create a dataset; or append, merge or replace items of an existing one.")
    ] = "create",
    copy: Annotated[bool, typer.Option("--copy/--link", help="Copy the images, or only link to them.")] = True,
    split: Annotated[
        str, typer.Option(help="Split the items at random, such as train=0.8,val=0.2.", show_default=False)
    ] = "",
    split_group: Annotated[
        str,
        typer.Option(help="Regular expression for the group in an item's key. A group is never divided by --split."),
    ] = "",
    seed: Annotated[int, typer.Option(help="Random seed of --split.")] = 0,
    option: FormatOption = None,
    strict: Annotated[bool, typer.Option(help="Fail if labels would be lost.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only report what an import would skip, change or refuse.")
    ] = False,
    private_network: Annotated[
        bool, typer.Option("--private-network", help="Allow downloads from private networks.")
    ] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Import images with their labels as a new dataset, or as the next version of one."""
    from saccade.app.ingest.importing import SplitRequest, check_source, import_dataset
    from saccade.cli.console import print_json, print_message, progress_bar
    from saccade.core.splits import parse_shares
    from saccade.store.workspace import Workspace

    if not dataset and not check:
        raise typer.BadParameter("Give the name of the new dataset.", param_hint="--dataset")
    if split_group and not split:
        raise typer.BadParameter("Requires --split, such as --split train=0.8,val=0.2.", param_hint="--split-group")
    request = SplitRequest(parse_shares(split), split_group, seed) if split else None
    options = parse_format_options(option)
    with Workspace.find(workspace_path) as workspace, progress_bar(quiet or as_json) as progress:
        if check:
            checked = check_source(
                workspace, source, format=format, options=options, private_network=private_network, progress=progress
            )
        else:
            result = import_dataset(
                workspace,
                source,
                dataset,
                mode=mode,  # type: ignore[arg-type]  # import_dataset checks it first
                format=format,
                link=not copy,
                split=request,
                strict=strict,
                options=options,
                private_network=private_network,
                progress=progress,
            )
    if check:
        _print_check(checked, as_json)
        count, first = checked.report.losses()
        if strict and first is not None and checked.refusal is None and not as_json:
            print_message(
                f"[red]With --strict, the import would be refused:[/] {count:,} losses, the first: {first.reason}."
            )
        raise typer.Exit(1 if checked.refusal is not None or (strict and count) else 0)
    if as_json:
        print_json(_to_json(result))
    else:
        _print_result(result)


def _print_check(check: SourceCheck, as_json: bool) -> None:
    from rich.markup import escape

    from saccade.cli.console import print_json, print_message, print_report

    refusal = check.refusal
    if as_json:
        print_json(
            {
                "format": check.format,
                "reason": check.reason,
                "items": check.items,
                "skipped": check.skipped,
                "refusal": None if refusal is None else str(refusal),
                "report": check.report.to_json(),
            }
        )
        return
    print_message(f"Format [bold]{check.format}[/]: {escape(check.reason)}.")
    skipped = f", [red]{check.skipped:,} of them would be skipped[/]" if check.skipped else ""
    print_message(f"{format_count(check.items, 'item')}{skipped}.")
    if len(check.report):
        print_message("Losses and warnings:")
        print_report(check.report)
    if refusal is not None:
        print_message(f"[red]The import would be refused:[/] {escape(str(refusal))}")


def _to_json(result: ImportResult) -> dict[str, object]:
    return {
        "dataset": result.version.ref,
        "format": result.format,
        "reason": result.reason,
        "items": len(result.version),
        "skipped": result.skipped,
        "splits": dict(result.splits),
        "report": result.report.to_json(),
    }


def _print_result(result: ImportResult) -> None:
    from rich.markup import escape

    from saccade.cli.console import print_message, print_report
    from saccade.core.refs import MAIN
    from saccade.core.schema import Kind

    print_message(f"Format [bold]{result.format}[/]: {escape(result.reason)}.")
    splits = ", ".join(f"{name or 'no split'} {count:,}" for name, count in result.splits.items())
    kind = result.version.schema.first(Kind.IMAGE, Kind.VIDEO).kind
    skipped = f", [red]{result.skipped:,} skipped[/]" if result.skipped else ""
    print_message(f"[bold]{result.version.ref}[/] has {len(result.version):,} {kind}s ({splits}){skipped}.")
    if len(result.report):
        print_message("Losses and warnings:")
        print_report(result.report)
    branch = result.version.info.branch
    ref = result.version.name if branch == MAIN else f"{result.version.name}@{branch}"
    print_message(f"Next: [bold]saccade datasets stats {ref}[/]")
