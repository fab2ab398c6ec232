"""``saccade models``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

models = typer.Typer(help="List, compare, promote and export models.", no_args_is_help=True)
Ref = Annotated[str, typer.Argument(help="NAME, NAME@VERSION or NAME@ALIAS.", show_default=False)]


def register(app: typer.Typer) -> None:
    app.add_typer(models, name="models")


def _plain(version: Any) -> dict[str, Any]:
    return {
        "model": version.ref,
        "aliases": list(version.aliases),
        "created": version.created,
        "metrics": dict(version.metrics),
        "run": version.run_id,
        "inputs": list(version.inputs),
        "licence": version.licence,
    }


@models.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(help="Only this model, all its versions.", show_default=False)] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """All models at their newest version, or all versions of one."""
    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        versions = found.models.versions(name) if name else found.models.list()
    if json:
        print_json([_plain(version) for version in versions])
    elif not versions:
        say("There are no models yet. Next: [bold]saccade train RECIPE.yaml[/]")
    else:
        rows = [
            [v.ref, ", ".join(v.aliases), _metrics(v.metrics), ", ".join(v.inputs), f"{v.created:%Y-%m-%d %H:%M}"]
            for v in versions
        ]
        print_table(["Model", "Aliases", "Metrics", "Trained on", "Made"], rows)


def _metrics(metrics: Any) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in list(metrics.items())[:2])


@models.command("show")
def show(ref: Ref, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """A model version: metrics, recipe, evaluations, and where it comes from."""
    from saccade.cli.console import metric_rows, print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.models.open(ref)
        evaluations = found.evaluations.list(model=version.ref)
        lineage = found.lineage(f"model:{version.ref}")
    data = {**_plain(version), "manifest": dict(version.manifest), "lineage": lineage}
    data["evaluations"] = [
        {"id": e.id, "dataset": e.dataset, "split": e.split, "metrics": dict(e.metrics)} for e in evaluations
    ]
    if json:
        print_json(data)
        return
    say(f"[bold]{version.ref}[/]  {', '.join(version.aliases)}")
    print_table(["Metric", "Value"], metric_rows(version.metrics))
    print_table(
        ["Evaluated on", "Split", "AP or accuracy"],
        [[e.dataset, e.split, e.metrics.get("ap", e.metrics.get("accuracy"))] for e in evaluations],
    )
    _print_lineage(lineage)


def _print_lineage(node: dict[str, Any]) -> None:
    from rich.tree import Tree

    from saccade.cli.console import out

    tree = Tree("comes from")
    _grow(tree, node)
    out.print(tree)


_FURTHER = ("run", "inputs", "history")
"""What of a node of lineage leads further back."""


def _grow(tree: Any, node: Any) -> None:
    from rich.markup import escape

    if isinstance(node, list):
        for part in node:
            _grow(tree, part)
    elif isinstance(node, dict):
        name = node.get("ref") or node.get("id") or ""
        label = " ".join(str(node[key]) for key in ("kind", "name", "message") if node.get(key))
        branch = tree.add(escape(f"{name} {label}".strip()))
        for key, value in node.items():
            if key in _FURTHER:
                _grow(branch, value)


@models.command("compare")
def compare(first: Ref, second: Ref, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Two versions side by side, on the dataset versions on which both were evaluated."""
    from saccade.app.ml.compare import compare_models
    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        comparison = compare_models(found, first, second)
    if json:
        print_json(comparison)
        return
    if not comparison["evaluations"]:
        say("They were not evaluated on the same version and split; their validation metrics may not be comparable.")
    for shared in comparison["evaluations"]:
        say(f"\non [bold]{shared['dataset']}[/] {shared['split']}")
        rows = [[name, a, b, b - a] for name, (a, b) in shared["metrics"].items()]
        print_table(["Metric", comparison["first"], comparison["second"], "Difference"], rows)
    if comparison["settings"]:
        say("\n[bold]Different settings[/]")
        rows = [[name, str(a), str(b)] for name, (a, b) in comparison["settings"].items()]
        print_table(["Setting", comparison["first"], comparison["second"]], rows)


@models.command("promote")
def promote(
    ref: Ref,
    alias: Annotated[str, typer.Argument(help="staging, production or any other name.", show_default=False)],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Let an alias such as production name a version; kept in the model's history."""
    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.models.open(ref)
        before = found.models.promote(version.ref, alias)
    if json:
        print_json({"model": version.ref, "alias": alias, "previous": before})
    else:
        say(f"{version.name}@{alias} is now {version.ref}{f' (was {version.name}@{before})' if before else ''}.")


@models.command("export")
def export(
    ref: Ref,
    destination: Annotated[Path, typer.Argument(help="A new or empty folder.", show_default=False)],
    workspace: WorkspaceOption = None,
) -> None:
    """Write weights (safetensors), recipe and manifest (JSON) into a folder."""
    from rich.markup import escape

    from saccade.cli.console import say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.models.export(ref, destination)
    say(f"{version.ref} is in {escape(str(destination))}.")


@models.command("rm")
def rm(
    ref: Ref,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option(help="Also where an alias names it.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Remove one version (NAME@3) or a whole model (NAME)."""
    from saccade.cli.console import say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        found.models.open(ref)
        if not yes:
            typer.confirm(f"Remove '{ref}'?", abort=True)
        found.models.remove(ref, force=force)
    say(f"'{ref}' is removed.")


@models.command("backbones")
def backbones(
    containing: Annotated[str, typer.Argument(help="Only names that contain this.")] = "",
    json: JsonOption = False,
) -> None:
    """The encoders that a recipe may name."""
    from saccade.cli.console import print_json
    from saccade.models.components.encoders import backbone_names

    names = [name for name in backbone_names() if containing in name]
    if json:
        print_json(names)
    else:
        typer.echo("\n".join(names))
