"""``saccade panels``."""

from __future__ import annotations

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

panels = typer.Typer(help="The panels that packages add to the web app.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(panels, name="panels")


@panels.command("list")
def list_(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """All panels with the packages that they come from, and what is wrong with those that are broken."""
    from dataclasses import asdict

    from saccade.app.panels.host import Panels
    from saccade.cli.console import print_json, print_table
    from saccade.core.roles import Role
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        running = Panels(found)
        known = running.list(Role.OWNER)
        running.close()
    if json:
        print_json([asdict(one) for one in known])
        return
    print_table(
        ["Panel", "Title", "Place", "Role", "Package", "What"],
        [[one.name, one.title, one.place or "–", one.role, one.package, one.error or one.help] for one in known],
    )
