"""``saccade serve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.options import JsonOption, PrivateWebhooksOption, WorkspaceOption
from saccade.core.roles import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from saccade.app.auth.oidc.settings import Settings
    from saccade.store.workspace import Workspace


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
    folder: Annotated[
        list[Path] | None, typer.Option(help="A folder of this machine that imports may read.", show_default=False)
    ] = None,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes that do jobs; 0 where they run apart.")] = 1,
    memory: Annotated[
        int | None, typer.Option(min=64, help="MiB that a job may take.", show_default="as much as there is")
    ] = None,
    private_network: PrivateWebhooksOption = False,
    oidc: Annotated[
        str, typer.Option(help="The issuer of single sign-on, an OpenID Connect provider.", show_default=False)
    ] = "",
    oidc_client: Annotated[str, typer.Option(help="What it calls this server.", show_default=False)] = "",
    oidc_secret_file: Annotated[
        Path | None,
        typer.Option(help="A file with the secret for it; else $SACCADE_OIDC_SECRET.", show_default=False),
    ] = None,
    oidc_name: Annotated[
        str, typer.Option(help="What people know it by; else the name in its address.", show_default=False)
    ] = "",
    oidc_role: Annotated[
        Role | None,
        typer.Option(help="What everybody becomes whom it knows, invited or not.", show_default=False),
    ] = None,
    oidc_domain: Annotated[
        list[str] | None,
        typer.Option(help="A domain of e-mail addresses for which --oidc-role is.", show_default=False),
    ] = None,
    panel_seconds: Annotated[float, typer.Option(min=1, help="Seconds that a panel of a plugin may take.")] = 20,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Serve the workspace to browsers and programs, on this machine alone unless told otherwise.

    At the first start it prints a link that makes the first owner.
    """
    from saccade.app.auth.oidc.settings import settings_of
    from saccade.store.workspace import Workspace

    settings = None
    if any((oidc, oidc_client, oidc_secret_file, oidc_name, oidc_role, oidc_domain)):
        settings = settings_of(
            oidc, oidc_client, secret_file=oidc_secret_file, name=oidc_name, role=oidc_role, domains=oidc_domain or ()
        )
    with Workspace.find(workspace) as found:
        serve_workspace(
            found,
            host,
            port,
            names=name or (),
            origin=origin,
            folders=folder or (),
            workers=workers,
            memory=None if memory is None else memory << 20,
            private=private_network,
            oidc=settings,
            panel_seconds=panel_seconds,
            json=json,
        )


def serve_workspace(
    found: Workspace,
    host: str,
    port: int,
    *,
    names: Sequence[str] = (),
    origin: str = "",
    folders: Sequence[Path] = (),
    workers: int = 1,
    memory: int | None = None,
    private: bool = False,
    oidc: Settings | None = None,
    panel_seconds: float = 20,
    json: bool = False,
) -> None:
    """Serve a workspace until it is told to end, with workers that do its jobs; says where it is."""
    from rich.markup import escape

    from saccade.app.auth.oidc.provider import Provider, look_at
    from saccade.app.jobs.worker import Workers
    from saccade.app.panels.host import Panels
    from saccade.cli.console import print_json, say, warn
    from saccade.server.app import create_app
    from saccade.server.permissions import API
    from saccade.server.run import bound, first_link, names_of, origin_of, run

    provider = None if oidc is None else Provider(oidc)
    panels = Panels(found, seconds=panel_seconds, memory=memory)
    application = create_app(
        found,
        hosts=(*names, *names_of(host)),
        origin=origin,
        folders=folders,
        private=private,
        provider=provider,
        shown=panels,
    )
    listening = bound(host, port)
    here = origin.rstrip("/") or origin_of(listening)
    link = first_link(found, here)

    def tell() -> None:
        if json:
            print_json({"address": here, "api": f"{here}/api/v1", "first_link": link})
            return
        say(f"Saccade is at [bold]{escape(here)}[/]; its API at {escape(here)}/api/v1. Ctrl-C ends it.")
        if link is not None:
            say(f"Nobody may sign in yet. Make the first owner with this link, once, within a day:\n{escape(link)}")

    if provider is not None:
        look_at(provider, lambda text: warn(escape(text)))
    helpers = Workers(found, workers, memory, private=private)
    helpers.start()
    panels.begin()
    try:
        run(application, listening, tell, f"{API}/datasets", application.state.sites.look_ahead)
    finally:
        panels.close()
        helpers.close()
