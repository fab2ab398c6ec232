"""``saccade models``: list, compare, promote, export and delete models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

app = typer.Typer(help="List, compare, promote, export and delete models.", no_args_is_help=True)
RefArgument = Annotated[str, typer.Argument(help="NAME, NAME@VERSION or NAME@ALIAS.", show_default=False)]

_LINEAGE_LINKS = ("run", "inputs", "history")
"""Keys of a lineage node that lead to its ancestors."""
_MAX_SHOWN_METRICS = 2


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="models")


def _to_json(version: Any) -> dict[str, Any]:
    return {
        "model": version.ref,
        "aliases": list(version.aliases),
        "created": version.created,
        "metrics": dict(version.metrics),
        "run": version.run_id,
        "inputs": list(version.inputs),
        "licence": version.licence,
    }


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(help="List all versions of this model.", show_default=False)] = None,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List all models at their latest version, or all versions of one."""
    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        versions = workspace.models.versions(name) if name else workspace.models.list()
    if as_json:
        print_json([_to_json(version) for version in versions])
    elif not versions:
        print_message("There are no models yet. Next: [bold]saccade train RECIPE.yaml[/]")
    else:
        rows = [
            [
                version.ref,
                ", ".join(version.aliases),
                _format_metrics(version.metrics),
                ", ".join(version.inputs),
                f"{version.created:%Y-%m-%d %H:%M}",
            ]
            for version in versions
        ]
        print_table(["Model", "Aliases", "Metrics", "Trained on", "Created"], rows)


def _format_metrics(metrics: Any) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in list(metrics.items())[:_MAX_SHOWN_METRICS])


@app.command("show")
def show(ref: RefArgument, workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show the metrics, evaluations and lineage of a model version; with --json also its manifest."""
    from saccade.cli.console import metric_rows, print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        version = workspace.models.open(ref)
        evaluations = workspace.evaluations.list(model=version.ref)
        lineage = workspace.lineage(f"model:{version.ref}")
    if as_json:
        listed = [
            {
                "id": evaluation.id,
                "dataset": evaluation.dataset,
                "split": evaluation.split,
                "metrics": dict(evaluation.metrics),
            }
            for evaluation in evaluations
        ]
        print_json(
            {
                **_to_json(version),
                "manifest": dict(version.manifest),
                "lineage": lineage,
                "evaluations": listed,
            }
        )
        return
    print_message(f"[bold]{version.ref}[/]  {', '.join(version.aliases)}")
    print_table(["Metric", "Value"], metric_rows(version.metrics))
    rows = [
        [evaluation.dataset, evaluation.split, evaluation.metrics.get("ap", evaluation.metrics.get("accuracy"))]
        for evaluation in evaluations
    ]
    print_table(["Evaluated on", "Split", "AP or accuracy"], rows)
    _print_lineage(lineage)


def _print_lineage(node: dict[str, Any]) -> None:
    from rich.tree import Tree

    from saccade.cli.console import out

    tree = Tree("Lineage")
    _add_lineage(tree, node)
    out.print(tree)


def _add_lineage(tree: Any, node: Any) -> None:
    from rich.markup import escape

    if isinstance(node, list):
        for child in node:
            _add_lineage(tree, child)
    elif isinstance(node, dict):
        name = node.get("ref") or node.get("id") or ""
        label = " ".join(str(node[key]) for key in ("kind", "name", "message") if node.get(key))
        branch = tree.add(escape(f"{name} {label}".strip()))
        for key, value in node.items():
            if key in _LINEAGE_LINKS:
                _add_lineage(branch, value)


@app.command("compare")
def compare(
    first: RefArgument, second: RefArgument, workspace_path: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Compare two versions: metrics on the dataset versions both were evaluated on, and settings that differ."""
    from rich.markup import escape

    from saccade.app.ml.compare import compare_models
    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        comparison = compare_models(workspace, first, second)
    if as_json:
        print_json(comparison)
        return
    if not comparison["evaluations"]:
        print_message(
            "They were not evaluated on the same version and split; their validation metrics may not be comparable."
        )
    for evaluation in comparison["evaluations"]:
        print_message(f"\nOn [bold]{evaluation['dataset']}[/] {evaluation['split']}")
        rows = [[name, a, b, b - a] for name, (a, b) in evaluation["metrics"].items()]
        print_table(["Metric", comparison["first"], comparison["second"], "Difference"], rows)
        for warning in evaluation["warnings"]:
            print_message(f"[yellow]Warning:[/] {escape(warning)}")
    if comparison["settings"]:
        print_message("\n[bold]Different settings[/]")
        settings = [[name, str(a), str(b)] for name, (a, b) in comparison["settings"].items()]
        print_table(["Setting", comparison["first"], comparison["second"]], settings)


@app.command("promote")
def promote(
    ref: RefArgument,
    alias: Annotated[str, typer.Argument(help="staging, production or any other name.", show_default=False)],
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Point an alias such as production to a version; the history of the alias is kept."""
    from saccade.app.ml.models import promote_model
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        version = workspace.models.open(ref)
        previous = promote_model(workspace, version.ref, alias)
    if as_json:
        print_json({"model": version.ref, "alias": alias, "previous": previous})
    else:
        before = f" (was {version.name}@{previous})" if previous else ""
        print_message(f"{version.name}@{alias} is now {version.ref}{before}.")


@app.command("export")
def export(
    ref: RefArgument,
    destination: Annotated[
        Path, typer.Argument(help="A new or empty folder, or, with --overwrite, an earlier export.", show_default=False)
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export in the folder.")] = False,
    workspace_path: WorkspaceOption = None,
) -> None:
    """Write weights (safetensors), recipe and manifest (JSON) to a folder."""
    from rich.markup import escape

    from saccade.cli.console import print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        version = workspace.models.export(ref, destination, overwrite=overwrite)
    print_message(f"Exported {version.ref} to {escape(str(destination))}.")


@app.command("rm")
def remove(
    ref: RefArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    force: Annotated[bool, typer.Option(help="Even if an alias names it.")] = False,
    workspace_path: WorkspaceOption = None,
) -> None:
    """Delete a version (NAME@3) or a whole model (NAME)."""
    from saccade.app.ml.models import delete_model
    from saccade.cli.console import print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        workspace.models.open(ref)  # report a wrong reference before asking
        if not yes:
            typer.confirm(f"Delete '{ref}'?", abort=True)
        delete_model(workspace, ref, force=force)
    print_message(f"Deleted '{ref}'.")


@app.command("backbones")
def backbones(
    containing: Annotated[str, typer.Argument(help="Only names that contain this text.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the encoders that recipes can use."""
    from saccade.cli.console import print_json
    from saccade.models.components.encoders import backbone_names

    names = [name for name in backbone_names() if containing in name]
    if as_json:
        print_json(names)
    else:
        typer.echo("\n".join(names))
