"""``saccade panels``: panels that plugins add to the web app."""

from __future__ import annotations

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

app = typer.Typer(help="Panels that plugins add to the web app.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="panels")


@app.command("list")
def list_(workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List all panels with their packages, and the errors of those that fail to load."""
    from dataclasses import asdict

    from saccade.app.panels.host import PanelHost
    from saccade.cli.console import print_json, print_table
    from saccade.core.roles import Role
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        host = PanelHost(workspace)
        panels = host.list(Role.OWNER)
        host.close()
    if as_json:
        print_json([asdict(panel) for panel in panels])
        return
    print_table(
        ["Panel", "Title", "Page", "Role", "Package", "Description"],
        [
            [panel.name, panel.title, panel.slot or "–", panel.role, panel.package, panel.error or panel.help]
            for panel in panels
        ],
    )
