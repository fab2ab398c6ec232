"""``saccade users``: members of a project, API tokens and the audit log."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption
from saccade.core.roles import Role

app = typer.Typer(no_args_is_help=True, help="Members of the project, API tokens and the audit log.")

UserArgument = Annotated[str, typer.Argument(help="E-mail address or id of the user.", show_default=False)]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="users")


@app.command("list")
def list_(workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the members with their roles."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        users = workspace.users.list()
    if as_json:
        print_json([asdict(user) for user in users])
    elif not users:
        print_message(
            "There are no members yet. Next: [bold]saccade serve[/], which prints a link for the first owner."
        )
    else:
        print_table(["Name", "E-mail", "Role", "Id"], [[user.name, user.email, user.role, user.id] for user in users])


@app.command("add")
def add(
    email: Annotated[str, typer.Argument(help="E-mail address.", show_default=False)],
    role: Annotated[Role, typer.Option(help="Role in the project.")] = Role.ANNOTATOR,
    name: Annotated[str, typer.Option(help="Display name; by default the address.", show_default=False)] = "",
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an account and add it to the project. Prompts for the password, or reads it from standard input."""
    from dataclasses import asdict

    from saccade.app.auth.accounts import create_user
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        user = create_user(workspace, email, role, name or email, _read_password())
    if as_json:
        print_json(asdict(user))
    else:
        print_message(f"Added {user.email} as {user.role}.")


@app.command("set-role")
def set_role(
    user: UserArgument,
    role: Annotated[Role, typer.Argument(help="New role.", show_default=False)],
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a member's role."""
    from dataclasses import asdict

    from saccade.app.auth import members
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        updated = members.set_role(workspace, user, role)
    if as_json:
        print_json(asdict(updated))
    else:
        print_message(f"{updated.email} is now {updated.role}.")


@app.command("rm")
def remove(user: UserArgument, workspace_path: WorkspaceOption = None) -> None:
    """Remove a member. Their history is kept."""
    from saccade.app.auth.members import remove_member
    from saccade.cli.console import print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        removed = remove_member(workspace, user)
    print_message(f"Removed {removed.email} from the project.")


@app.command("token")
def create_token(
    user: UserArgument,
    name: Annotated[str, typer.Option(help="Name of the token, such as its purpose.")] = "command line",
    role: Annotated[Role, typer.Option(help="Role of the token, at most that of the user.")] = Role.VIEWER,
    days: Annotated[int, typer.Option(min=1, max=3660, help="Lifetime in days.")] = 90,
    manage_tokens: Annotated[
        bool, typer.Option("--manage-tokens", help="Let the token create, list and revoke tokens of the user.")
    ] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an API token for a user; it is shown only once."""
    from saccade.app.auth import members
    from saccade.cli.console import print_json
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        token, secret = members.create_token(workspace, user, name, role, days, can_manage_tokens=manage_tokens)
    if as_json:
        print_json({"id": token.id, "token": secret, "expires": token.expires})
    else:
        typer.echo(secret)


@app.command("audit")
def list_audit_entries(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of entries.")] = 50,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the audit log of the server, newest first: sign-ins, writes and refused requests."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        entries = workspace.users.audit_log(limit=limit)
    if as_json:
        print_json([asdict(entry) for entry in entries])
    elif not entries:
        print_message("The audit log is empty.")
    else:
        rows = [
            [f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.user, entry.action, entry.subject, entry.address]
            for entry in entries
        ]
        print_table(["Time", "User", "Action", "Subject", "Address"], rows)


def _read_password() -> str:
    import sys

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
