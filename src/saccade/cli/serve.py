"""``saccade serve``."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any free one.")] = 8080,
    name: Annotated[
        list[str] | None, typer.Option(help="A name under which it is reached from elsewhere.", show_default=False)
    ] = None,
    origin: Annotated[
        str, typer.Option(help="Where its links begin, such as https://labels.example.org.", show_default=False)
    ] = "",
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Serve the workspace by HTTP, on this machine alone unless told otherwise.

    At the first start it prints a link that makes the first owner.
    """
    from rich.markup import escape

    from saccade.app.serving import bound, first_link, names_of, origin_of, run
    from saccade.cli.console import print_json, say
    from saccade.server.application import create_app
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        listening = bound(host, port)
        here = origin.rstrip("/") or origin_of(listening)
        link = first_link(found, here)
        names = (*(name or ()), *names_of(host))

        def tell() -> None:
            if json:
                print_json({"address": here, "api": f"{here}/api/v1", "first_link": link})
                return
            say(f"Saccade is at [bold]{escape(here)}[/]; its API at {escape(here)}/api/v1. Ctrl-C ends it.")
            if link is not None:
                say(f"Nobody may sign in yet. Make the first owner with this link, once, within a day:\n{escape(link)}")

        run(create_app(found, hosts=names, origin=origin), listening, tell)
