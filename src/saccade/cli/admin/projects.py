"""``saccade projects``."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

_projects = typer.Typer(
    help="Projects: each with datasets, models, runs, jobs and people of its own.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    app.add_typer(_projects, name="projects")


@_projects.command("list")
def list_projects(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Show the projects of the workspace."""
    from saccade.cli.console import print_json, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        rows = [(one.name, one.created) for one in found.projects.list()]
    if json:
        print_json([{"name": name, "created": created} for name, created in rows])
    else:
        print_table(["Project", "Since"], rows)


@_projects.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    owner: Annotated[
        str | None, typer.Option(help="Somebody who may sign in already, by e-mail address.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Begin a project. What is done with `saccade --project NAME …` is done in it."""
    from rich.markup import escape

    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        person = None if owner is None else found.people.get(owner)
        made = found.projects.add(name, None if person is None else person.id)
    if json:
        print_json({"name": made.name, "created": made.created})
        return
    say(f"There is a project [bold]{escape(made.name)}[/] now.")
    if person is None:
        say(f"Next: [bold]saccade --project {escape(made.name)} users add E-MAIL --role owner[/]")
