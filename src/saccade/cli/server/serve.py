"""``saccade serve``: run the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.options import JsonOption, PrivateWebhooksOption, WorkspaceOption
from saccade.core.roles import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from saccade.app.auth.oidc.settings import OidcSettings
    from saccade.store.workspace import Workspace


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free port.")] = 8080,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Host name that clients use, besides local ones; repeatable.", show_default=False),
    ] = None,
    origin: Annotated[
        str, typer.Option(help="Public origin for links, such as https://labels.example.org.", show_default=False)
    ] = "",
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            help="Address or network (CIDR) of a reverse proxy whose X-Forwarded-For header counts; repeatable.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of this machine that imports may read; repeatable.", show_default=False),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, max=64, help="Number of worker processes; 0 if they run separately.")
    ] = 1,
    memory: Annotated[
        int | None, typer.Option(min=64, help="Memory limit of a job in MiB.", show_default="no limit")
    ] = None,
    private_network: PrivateWebhooksOption = False,
    oidc: Annotated[
        str, typer.Option(help="Issuer URL of an OpenID Connect provider, for single sign-on.", show_default=False)
    ] = "",
    oidc_client: Annotated[
        str, typer.Option(help="Client id of this server at the provider.", show_default=False)
    ] = "",
    oidc_secret_file: Annotated[
        Path | None,
        typer.Option(help="File with the client secret; by default $SACCADE_OIDC_SECRET.", show_default=False),
    ] = None,
    oidc_name: Annotated[
        str, typer.Option(help="Display name of the provider; by default its host name.", show_default=False)
    ] = "",
    oidc_role: Annotated[
        Role | None,
        typer.Option(help="Role of users of the provider without an invitation.", show_default=False),
    ] = None,
    oidc_domain: Annotated[
        list[str] | None,
        typer.Option(help="E-mail domain that --oidc-role is limited to; repeatable.", show_default=False),
    ] = None,
    panel_seconds: Annotated[float, typer.Option(min=1, help="Time limit of a plugin panel in seconds.")] = 20,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the web app and the HTTP API; by default only to this machine.

    The first start prints a link to create the account of the first owner.
    """
    from saccade.app.auth.oidc.settings import create_settings
    from saccade.store.workspace import Workspace

    settings = None
    if any((oidc, oidc_client, oidc_secret_file, oidc_name, oidc_role, oidc_domain)):
        settings = create_settings(
            oidc, oidc_client, secret_file=oidc_secret_file, name=oidc_name, role=oidc_role, domains=oidc_domain or ()
        )
    with Workspace.find(workspace_path) as workspace:
        serve_workspace(
            workspace,
            host,
            port,
            names=name or (),
            origin=origin,
            trusted_proxies=trusted_proxy or (),
            import_roots=folder or (),
            workers=workers,
            memory=None if memory is None else memory << 20,
            allow_private=private_network,
            oidc=settings,
            panel_timeout_s=panel_seconds,
            as_json=as_json,
        )


def serve_workspace(
    workspace: Workspace,
    host: str,
    port: int,
    *,
    names: Sequence[str] = (),
    origin: str = "",
    trusted_proxies: Sequence[str] = (),
    import_roots: Sequence[Path] = (),
    workers: int = 1,
    memory: int | None = None,
    allow_private: bool = False,
    oidc: OidcSettings | None = None,
    panel_timeout_s: float = 20,
    as_json: bool = False,
) -> None:
    """Serve a workspace with its worker processes until SIGINT or SIGTERM; prints the URL once it is ready.

    Args:
        workspace: The workspace to serve.
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        names: Host names that clients use, besides ``host`` and the local ones.
        origin: Public origin for links; empty for that of each request.
        trusted_proxies: Addresses and networks of reverse proxies whose ``X-Forwarded-For`` header counts.
        import_roots: Folders of this machine that imports may read.
        workers: Number of worker processes.
        memory: Memory limit of a job or panel in bytes; None for no limit.
        allow_private: Allow webhooks to private networks.
        oidc: Settings of single sign-on.
        panel_timeout_s: Time limit of a panel in seconds.
        as_json: Print the URL as JSON.

    Raises:
        ConflictError: The port is in use.
        InvalidValueError: ``host`` is not an address of this machine, a trusted proxy is not an address or network, or
            single sign-on needs an origin.
        WorkspaceError: The workspace was moved or deleted while the server ran.
    """
    from rich.markup import escape

    from saccade.app.auth.oidc.provider import Provider, check_provider
    from saccade.app.jobs.supervisor import WorkerSupervisor
    from saccade.app.panels.host import PanelHost
    from saccade.cli.console import print_json, print_message, print_warning
    from saccade.server.app import create_app
    from saccade.server.permissions import API
    from saccade.server.run import bind_socket, bootstrap_link, display_url, host_names, parse_networks, run

    networks = parse_networks(trusted_proxies)
    provider = None if oidc is None else Provider(oidc)
    panel_host = PanelHost(workspace, timeout_s=panel_timeout_s, memory=memory)
    application = create_app(
        workspace,
        hosts=(*names, *host_names(host)),
        origin=origin,
        import_roots=import_roots,
        allow_private=allow_private,
        provider=provider,
        panel_host=panel_host,
    )
    listener = bind_socket(host, port)
    url = origin.rstrip("/") or display_url(listener)
    link = bootstrap_link(workspace, url)

    def print_url() -> None:
        if as_json:
            print_json({"address": url, "api": f"{url}/api/v1", "invitation_link": link})
            return
        print_message(f"Saccade runs at [bold]{escape(url)}[/], its API at {escape(url)}/api/v1. Press Ctrl-C to stop.")
        if link is not None:
            print_message(
                "There are no users yet. Create the account of the first owner with this link, valid once and for a "
                f"day:\n{escape(link)}"
            )

    if provider is not None:
        check_provider(provider, lambda text: print_warning(escape(text)))
    supervisor = WorkerSupervisor(workspace, workers, memory, allow_private=allow_private)
    check_workspace = workspace.identity_check()
    supervisor.start()
    panel_host.start()
    try:
        # The list of datasets is requested once, and refused: this initializes the routes.
        run(
            application,
            listener,
            print_url,
            f"{API}/datasets",
            application.state.projects.warm_up,
            networks,
            check_workspace,
            application.state.labelling.end_streams,
        )
    finally:
        application.state.labelling.close()
        panel_host.close()
        supervisor.close()
