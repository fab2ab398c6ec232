"""``saccade users list|add|set-role|rm|token|audit``: people who may sign in to the server."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption
from saccade.core.roles import Role

users = typer.Typer(no_args_is_help=True, help="People who may sign in to the server, and what they may do.")

Who = Annotated[str, typer.Argument(help="The e-mail address, or the id.", show_default=False)]


def register(app: typer.Typer) -> None:
    app.add_typer(users, name="users")


@users.command("list")
def list_(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Everybody, with their roles."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        people = found.people.list()
    if json:
        print_json([asdict(one) for one in people])
    elif not people:
        say("There is nobody yet. Next: [bold]saccade serve[/], which prints a link for the first owner.")
    else:
        print_table(["Name", "E-mail", "Role", "Id"], [[one.name, one.email, str(one.role), one.id] for one in people])


@users.command("add")
def add(
    email: Annotated[str, typer.Argument(help="The e-mail address.", show_default=False)],
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.ANNOTATOR,
    name: Annotated[str, typer.Option(help="Their name; else the address.", show_default=False)] = "",
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Add somebody; asks for their password, or reads it from standard input."""
    from dataclasses import asdict

    from saccade.app.auth.accounts import add_person
    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        person = add_person(found, email, role, name or email, _password())
    if json:
        print_json(asdict(person))
    else:
        say(f"{person.email} may sign in, as {person.role}.")


@users.command("set-role")
def set_role(
    who: Who,
    role: Annotated[Role, typer.Argument(help="What they are to be.", show_default=False)],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Make somebody something else."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        person = found.people.set_role(who, role)
    if json:
        print_json(asdict(person))
    else:
        say(f"{person.email} is {person.role} now.")


@users.command("rm")
def rm(who: Who, workspace: WorkspaceOption = None) -> None:
    """Let somebody in no more; what they did stays theirs."""
    from saccade.cli.console import say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        person = found.people.remove(who)
    say(f"{person.email} may sign in no more.")


@users.command("token")
def token(
    who: Who,
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    role: Annotated[Role, typer.Option(help="What it may, at most what they may.")] = Role.VIEWER,
    days: Annotated[int, typer.Option(min=1, max=3660, help="For how long.")] = 90,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Make a token for programs of somebody; it is shown once."""
    from saccade.cli.console import print_json
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        made, secret = found.people.new_token(found.people.get(who).id, name, role, days)
    if json:
        print_json({"id": made.id, "token": secret, "expires": made.expires})
    else:
        typer.echo(secret)


@users.command("audit")
def audit(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """What everybody did on the server, and tried to, the newest first."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        deeds = found.people.audit(limit=limit)
    if json:
        print_json([asdict(deed) for deed in deeds])
    elif not deeds:
        say("Nobody has done anything yet.")
    else:
        rows = [[f"{one.at:%Y-%m-%d %H:%M:%S}", one.person, one.action, one.subject, one.address] for one in deeds]
        print_table(["When", "Who", "What", "Of what", "From"], rows)


def _password() -> str:
    import sys

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    found: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return found
