"""``saccade labels``: label sets, the working copies in which people label datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from saccade.cli.options import (
    FormatOption,
    JsonOption,
    MessageOption,
    QuietOption,
    WorkspaceOption,
    parse_format_options,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from saccade.annotation.commit import Preference
    from saccade.annotation.records import ClassChange, CommitPreview, Start
    from saccade.core.merge import MergeConflictError

app = typer.Typer(
    help="Label sets: label datasets with others, and commit the labels as versions.", no_args_is_help=True
)
_MAX_ROWS = 50
_MAX_UNCONFIRMED_REMOVALS = 10
"""Commits that remove more objects ask for confirmation."""


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="labels")


NameArgument = Annotated[str, typer.Argument(help="Name of the label set.", show_default=False)]


@app.command()
def create(
    name: NameArgument,
    dataset: Annotated[
        str, typer.Argument(help="NAME, NAME@BRANCH, or NAME@VERSION for an older state.", show_default=False)
    ],
    start: Annotated[
        str, typer.Option(help="Start with the 'labels' of the dataset, 'empty', or with 'predictions'.")
    ] = "labels",
    predictions: Annotated[
        str | None,
        typer.Option(help="NAME[@VERSION] that 'saccade predict --dataset' wrote.", show_default=False),
    ] = None,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out predictions with a lower score.")] = 0.0,
    query: Annotated[str | None, typer.Option(help="Only the items that match this query.", show_default=False)] = None,
    column: Annotated[str, typer.Option(help="Column of objects; added if the dataset does not have it.")] = "objects",
    class_name: Annotated[
        list[str] | None, typer.Option("--class", help="A class to add; repeatable.", show_default=False)
    ] = None,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a label set of a dataset. Commits go to the branch of its version."""
    from rich.markup import escape

    from saccade.annotation.label_sets import LabelSets
    from saccade.app.labels.encoding import set_to_json
    from saccade.app.labels.label_sets import create_label_set
    from saccade.cli.console import print_json, print_message
    from saccade.core.errors import InvalidValueError
    from saccade.store.workspace import Workspace

    starts: dict[str, Start] = {"labels": "labels", "empty": "empty", "predictions": "predictions"}
    if start not in starts:
        raise InvalidValueError(f"A label set starts with 'labels', 'empty' or 'predictions', not '{start}'.")
    if (start == "predictions") != (predictions is not None):
        raise InvalidValueError(
            "--start predictions and --predictions belong together.",
            hint="saccade labels create NAME DATASET --start predictions --predictions NAME@VERSION",
        )
    with Workspace.find(workspace_path) as workspace:
        label_set = create_label_set(
            LabelSets(workspace),
            name,
            dataset,
            column=column,
            start=starts[start],
            query=query,
            classes=class_name or (),
            predictions=predictions,
            min_score=min_score,
        )
    if as_json:
        print_json(set_to_json(label_set))
        return
    items = "1 item" if label_set.items == 1 else f"{label_set.items:,} items"
    print_message(f"Created the label set {escape(name)} with {items} of {escape(label_set.base)}.")


@app.command("list")
def list_(workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List label sets by name."""
    from saccade.annotation.label_sets import LabelSets
    from saccade.app.labels.encoding import set_to_json
    from saccade.cli.console import print_json, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        label_sets = LabelSets(workspace).list()
    if as_json:
        print_json([set_to_json(label_set) for label_set in label_sets])
        return
    rows = [
        [entry.name, entry.base, entry.branch, entry.items, entry.done, entry.uncommitted_edits] for entry in label_sets
    ]
    print_table(["Label set", "Base", "Branch", "Items", "Done", "Uncommitted edits"], rows)


@app.command()
def status(name: NameArgument, workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show a label set: its base, items by state, classes, and what is not committed."""
    from rich.markup import escape

    from saccade.annotation.label_sets import LabelSets
    from saccade.app.labels.encoding import set_to_json
    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        label_set = LabelSets(workspace).get(name)
    if as_json:
        print_json(set_to_json(label_set))
        return
    print_message(f"Label set {escape(name)}: column {escape(label_set.column)} of {escape(label_set.base)}")
    print_message(f"Commits go to {escape(label_set.dataset)}@{escape(label_set.branch)}.")
    if label_set.predictions is not None:
        model = escape(str(label_set.prediction_model))
        scores = f"scores from {label_set.min_score or 0:g}"
        print_message(f"Starts with the predictions {escape(label_set.predictions)} of {model}, {scores}.")
    states = [[str(state), count, label_set.unchecked[state] or None] for state, count in label_set.states.items()]
    print_table(["State", "Items", "Not checked"], states)
    classes = [
        [entry.id, entry.name, entry.color, entry.hotkey, "deleted" if entry.deleted else ""]
        for entry in label_set.classes
    ]
    print_table(["Id", "Class", "Color", "Key", ""], classes)
    uncommitted = f"{label_set.uncommitted_edits:,} edits of {label_set.uncommitted_items:,} items"
    changed = ", and changed classes" if label_set.has_uncommitted_classes else ""
    print_message(f"Uncommitted: {uncommitted}{changed}.")


@app.command()
def commit(
    name: NameArgument,
    prefer: Annotated[
        str | None,
        typer.Option(help="Resolve all conflicts with 'labels' (the set) or 'dataset'.", show_default=False),
    ] = None,
    message: MessageOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what a commit would change.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask for confirmation if many objects are removed.")
    ] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Commit the edits as the next version of the dataset, merged with its branch if that has moved on."""
    from saccade.annotation.label_sets import LabelSets
    from saccade.app.labels.encoding import commit_to_json, preview_to_json
    from saccade.app.labels.label_sets import commit_label_set, preview_commit
    from saccade.cli.console import print_json, print_message
    from saccade.core.errors import InvalidValueError
    from saccade.core.merge import MergeConflictError
    from saccade.store.workspace import Workspace

    if prefer not in (None, "labels", "dataset"):
        raise InvalidValueError(f"--prefer is 'labels' or 'dataset', not '{prefer}'.")
    side: Preference | None = None if prefer is None else "labels" if prefer == "labels" else "dataset"
    with Workspace.find(workspace_path) as workspace:
        label_sets = LabelSets(workspace)
        if dry_run or not yes:
            preview = preview_commit(label_sets, name)
            if dry_run:
                if as_json:
                    print_json(preview_to_json(preview))
                else:
                    print_message(f"Nothing was committed. A commit would do this: {_changes(preview)}")
                    _print_classes(preview.classes)
                return
            if preview.removed > _MAX_UNCONFIRMED_REMOVALS:
                _confirm_removals(preview, as_json)
        try:
            result = commit_label_set(label_sets, name, message=message, prefer=side)
        except MergeConflictError as error:
            _fail_with_conflicts(error, as_json)
    if as_json:
        print_json(commit_to_json(result))
    elif not result.is_new:
        print_message(f"Nothing to commit: the labels are those of {result.version}.")
    else:
        print_message(
            f"Committed {result.version}: {result.items:,} items; objects: {result.added:,} added, "
            f"{result.removed:,} removed, {result.changed:,} changed."
        )
        _print_classes(result.classes)


def _changes(preview: CommitPreview) -> str:
    from saccade.core.text import format_count

    return (
        f"{format_count(preview.changed_items, 'item')} of {preview.base}; objects: {preview.added:,} added, "
        f"{preview.removed:,} removed, {preview.changed:,} changed."
    )


def _print_classes(changes: Sequence[ClassChange]) -> None:
    from rich.markup import escape

    from saccade.cli.console import print_message

    for change in changes:
        renamed = f" (renamed from {change.previous_name})" if change.previous_name else ""
        print_message(escape(f"Class {change.change}: {change.name}{renamed}"))


def _confirm_removals(preview: CommitPreview, as_json: bool) -> None:
    """Ask whether to commit; without a terminal, refuse."""
    import sys

    from saccade.core.errors import ConflictError

    if as_json or not sys.stdin.isatty():
        raise ConflictError(
            f"The commit would remove {preview.removed:,} objects of {preview.base}. Nothing was committed.",
            hint="Look at it with --dry-run. Commit with --yes.",
        )
    typer.echo(f"The commit would change {_changes(preview)}")
    typer.confirm(f"Remove {preview.removed:,} objects?", abort=True)


def _fail_with_conflicts(error: MergeConflictError, as_json: bool) -> NoReturn:
    """Print the conflicts and exit with an error."""
    from saccade.cli.console import print_json, print_table
    from saccade.core.errors import ConflictError

    hint = "Nothing was committed. Choose a side with --prefer labels or --prefer dataset."
    if not as_json:
        rows: list[list[Any]] = [
            [conflict.key, conflict.object_id or conflict.class_name, conflict.ours, conflict.theirs]
            for conflict in error.conflicts[:_MAX_ROWS]
        ]
        print_table(["Item", "Object or class", "Dataset", "Labels"], rows)
        raise ConflictError(error.message, hint=hint) from error
    conflicts = [
        {
            "key": conflict.key,
            "column": conflict.column,
            "object": conflict.object_id,
            "class": conflict.class_name,
            "dataset": conflict.ours,
            "labels": conflict.theirs,
        }
        for conflict in error.conflicts
    ]
    print_json({"error": {"code": error.code, "message": error.message, "hint": hint}, "conflicts": conflicts})
    raise typer.Exit(1)


@app.command()
def export(
    name: NameArgument,
    destination: Annotated[
        Path, typer.Argument(help="A new or empty folder, or, with --overwrite, an earlier export.", show_default=False)
    ],
    format: Annotated[str, typer.Option("--format", "-f", help="coco, yolo, voc, cvat …", show_default=False)],
    option: FormatOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export in the folder.")] = False,
    strict: Annotated[bool, typer.Option(help="Fail if the format cannot represent all labels.")] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Export the present labels, with those that are not committed, in a format of other tools."""
    from rich.markup import escape

    from saccade.annotation.label_sets import LabelSets
    from saccade.app.labels.exporting import export_label_set
    from saccade.cli.console import print_json, print_message, print_report, progress_bar
    from saccade.store.workspace import Workspace

    options = parse_format_options(option)
    with Workspace.find(workspace_path) as workspace, progress_bar(quiet or as_json) as progress:
        report = export_label_set(
            LabelSets(workspace),
            name,
            destination,
            format,
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


@app.command("import")
def import_(
    name: NameArgument,
    source: Annotated[
        str, typer.Argument(help="A folder, file, archive or URL with labels; its images may be missing.")
    ],
    format: Annotated[str, typer.Option("--format", "-f", help="auto, coco, yolo, voc, cvat …")] = "auto",
    option: FormatOption = None,
    check: Annotated[bool, typer.Option("--check", help="Only report what an import would do.")] = False,
    private_network: Annotated[
        bool, typer.Option("--private-network", help="Allow downloads from private networks.")
    ] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Import labels as edits: objects with known ids are changed, others added. Nothing is deleted."""
    from rich.markup import escape

    from saccade.annotation.label_sets import LabelSets
    from saccade.app.labels.importing import import_labels
    from saccade.cli.console import print_json, print_message, print_report, progress_bar
    from saccade.core.text import format_count
    from saccade.store.workspace import Workspace

    options = parse_format_options(option)
    with Workspace.find(workspace_path) as workspace, progress_bar(quiet or as_json) as progress:
        result = import_labels(
            LabelSets(workspace),
            name,
            source,
            format=format,
            options=options,
            check=check,
            private_network=private_network,
            progress=progress,
        )
    if as_json:
        print_json(result.to_json())
        return
    print_message(f"Format [bold]{result.format}[/]: {escape(result.reason)}.")
    if check:
        print_message("Nothing was imported. An import would do this:")
    print_message(
        f"{format_count(result.items, 'item')}; objects: {result.added:,} added, {result.changed:,} changed, "
        f"{result.unchanged:,} unchanged, {result.refused:,} refused."
    )
    if result.emptied:
        print_message(f"{format_count(result.emptied, 'item')} confirmed as empty.")
    if result.classes:
        print_message(f"Classes added: {escape(', '.join(result.classes))}.")
    if result.unmatched:
        print_message(f"[red]{format_count(result.unmatched, 'image')} with labels matched no item.[/]")
    if len(result.report):
        print_message("Losses and warnings:")
        print_report(result.report)


@app.command()
def remove(
    name: NameArgument,
    force: Annotated[bool, typer.Option("--force", help="Also with uncommitted edits, which are lost.")] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a label set with its log of edits. Committed versions are kept."""
    from rich.markup import escape

    from saccade.annotation.label_sets import LabelSets
    from saccade.app.labels.label_sets import delete_label_set
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        delete_label_set(LabelSets(workspace), name, force=force)
    if as_json:
        print_json({"removed": name})
        return
    print_message(f"Removed the label set {escape(name)}.")
