"""The commands of ``saccade``: their modules and summaries, and a group that imports a command only when it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup


class CommandInfo(NamedTuple):
    """The module of a command below ``saccade.cli``, and the first sentence of its help."""

    module: str
    summary: str


COMMANDS: Mapping[str, CommandInfo] = {
    "demo": CommandInfo(
        "demo",
        "Run the whole loop on synthetic satellite images: import, split, train, evaluate, promote, predict, serve.",
    ),
    "init": CommandInfo(
        "admin.init", "Create a workspace: the folder .saccade, which holds datasets, models and runs."
    ),
    "import": CommandInfo(
        "datasets.import_", "Import images with their labels as a new dataset, or as the next version of one."
    ),
    "export": CommandInfo(
        "datasets.export",
        "Export a dataset version in another format, and report what the format cannot represent.",
    ),
    "train": CommandInfo("ml.train", "Train a model with a recipe."),
    "evaluate": CommandInfo(
        "ml.evaluate", "Evaluate a model on a labelled dataset, or COCO results against COCO ground truth."
    ),
    "predict": CommandInfo("ml.predict", "Run a model on images."),
    "run": CommandInfo("pipelines.run", "Run a pipeline; only missing or outdated results are computed."),
    "explain": CommandInfo("pipelines.explain", "Show what a run of a pipeline would do, and why, without running it."),
    "serve": CommandInfo("server.serve", "Serve the web app and the HTTP API; by default only to this machine."),
    "worker": CommandInfo("server.worker", "Run background jobs and deliver webhooks until Ctrl-C."),
    "doctor": CommandInfo("admin.doctor", "Check the installation and the workspace."),
    "gc": CommandInfo(
        "admin.gc", "Delete stored files that no dataset version, model version or evaluation refers to."
    ),
    "backup": CommandInfo(
        "admin.backup", "Back up the workspace while it is in use; the backup is a workspace itself."
    ),
    "restore": CommandInfo(
        "admin.backup",
        "Create a workspace from a backup; also the way to move a workspace to PostgreSQL or S3, and back.",
    ),
    "datasets": CommandInfo("datasets", "List, show and edit datasets and their versions."),
    "labels": CommandInfo("labels", "Label sets: label datasets with others, and commit the labels as versions."),
    "operations": CommandInfo("pipelines.operations", "List and show pipeline operations, and create your own."),
    "recipes": CommandInfo("ml.recipes", "List and copy example recipes, and create recipes for your datasets."),
    "models": CommandInfo("ml.models", "List, compare, promote, export and delete models."),
    "runs": CommandInfo("pipelines.runs", "List, show and cancel runs: imports, trainings, pipelines and predictions."),
    "jobs": CommandInfo("server.jobs", "List, show, cancel and retry background jobs."),
    "panels": CommandInfo("server.panels", "Panels that plugins add to the web app."),
    "users": CommandInfo("admin.users", "Members of the project, API tokens and the audit log."),
    "projects": CommandInfo("admin.projects", "Projects: each has its own datasets, models, runs, jobs and members."),
    "webhooks": CommandInfo("server.webhooks", "Webhooks: notify external URLs of events in the project."),
}
"""All commands in the order of ``saccade --help``."""


class _LazyCommands(MutableMapping[str, Any]):
    """Commands by name; a command's module is imported when the command is looked up."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            registry = typer.Typer()
            import_module(f"saccade.cli.{COMMANDS[name].module}").register(registry)
            self._loaded |= typer.main.get_group(registry).commands
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("Commands cannot be removed.")

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyGroup(TyperGroup):
    """The root group: ``saccade --help`` lists all commands without importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _LazyCommands()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        # Plain text: importing Rich's Markdown renderer takes longer than everything else that the help needs.
        super(TyperGroup, self).format_help(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, info.summary) for name, info in COMMANDS.items()])
