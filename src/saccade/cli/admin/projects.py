"""``saccade projects``: list and create projects."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

app = typer.Typer(help="Projects: each has its own datasets, models, runs, jobs and members.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="projects")


@app.command("list")
def list_(workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the projects of the workspace."""
    from saccade.cli.console import print_json, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        rows = [(project.name, project.created) for project in workspace.projects.list()]
    if as_json:
        print_json([{"name": name, "created": created} for name, created in rows])
    else:
        print_table(["Project", "Created"], rows)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the project.")],
    owner: Annotated[
        str | None, typer.Option(help="E-mail address of an existing user to make owner.", show_default=False)
    ] = None,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a project. To work in it, use `saccade --project NAME …`."""
    from rich.markup import escape

    from saccade.app.auth.projects import create_project
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        user = None if owner is None else workspace.users.get(owner)
        project = create_project(workspace, name, None if user is None else user.id)
    if as_json:
        print_json({"name": project.name, "created": project.created})
        return
    print_message(f"Created the project [bold]{escape(project.name)}[/].")
    if user is None:
        print_message(f"Next: [bold]saccade --project {escape(project.name)} users add E-MAIL --role owner[/]")
