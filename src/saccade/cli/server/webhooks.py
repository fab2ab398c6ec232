"""``saccade webhooks list|add|set|rm|renew|test|deliveries|again``: addresses that are told of what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from saccade.store.webhooks.webhooks import Webhook

webhooks = typer.Typer(no_args_is_help=True, help="Addresses elsewhere that are told of what happens in the project.")

Which = Annotated[str, typer.Argument(help="The id of a webhook.", show_default=False)]
EventOption = Annotated[
    list[str] | None,
    typer.Option("--event", "-e", help="An event that it is told of; several times for several.", show_default=False),
]
PrivateOption = Annotated[
    bool, typer.Option("--private-network", help="The address may be one that is not public, too.")
]


def register(app: typer.Typer) -> None:
    app.add_typer(webhooks, name="webhooks")


@webhooks.command("list")
def list_(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """The webhooks of the project."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        hooks = found.webhooks.list()
    if json:
        print_json([asdict(one) for one in hooks])
    elif not hooks:
        say("There is none yet. Next: [bold]saccade webhooks add https://…[/]")
    else:
        rows = [[one.id, one.url, _state(one), one.waiting, ", ".join(one.events)] for one in hooks]
        print_table(["Webhook", "Address", "State", "Waiting", "Events"], rows)


def _state(one: Webhook) -> str:
    if not one.is_on:
        return one.trouble or "off"
    return "on" if one.failing_since is None else f"fails since {one.failing_since:%Y-%m-%d %H:%M} UTC"


@webhooks.command("add")
def add(
    url: Annotated[str, typer.Argument(help="Where events are sent to, https://….", show_default=False)],
    event: EventOption = None,
    private_network: PrivateOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Tell an address of events, of all where none is named; the secret is shown once."""
    from dataclasses import asdict

    from saccade.app.webhooks.webhooks import add_webhook
    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        made, secret = add_webhook(found, url, event, private=private_network)
    if json:
        print_json(asdict(made) | {"secret": secret})
    else:
        say(f"The webhook {made.id} is on. This is its secret, which is not shown again:")
        typer.echo(secret)


@webhooks.command("set")
def set_(
    webhook: Which,
    url: Annotated[str | None, typer.Option(help="Another address.", show_default=False)] = None,
    event: EventOption = None,
    on: Annotated[
        bool | None, typer.Option("--on/--off", help="Switch it on or off; off, what waits is not sent.")
    ] = None,
    private_network: PrivateOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Change what is given of a webhook."""
    from dataclasses import asdict

    from saccade.app.webhooks.webhooks import change_webhook
    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        changed = change_webhook(found, webhook, url=url, events=event, is_on=on, private=private_network)
    if json:
        print_json(asdict(changed))
    else:
        say(f"The webhook {changed.id} is {_state(changed)}.")


@webhooks.command("rm")
def rm(webhook: Which, workspace: WorkspaceOption = None) -> None:
    """Let a webhook go, with the list of what it was told."""
    from saccade.cli.console import say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        found.webhooks.remove(webhook)
    say("It is told nothing any more.")


@webhooks.command("renew")
def renew(webhook: Which, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Make another secret, which is shown once; for a day what is sent is signed with the one before, too."""
    from dataclasses import asdict

    from saccade.cli.console import print_json
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        made, secret = found.webhooks.renew(webhook)
    if json:
        print_json(asdict(made) | {"secret": secret})
    else:
        typer.echo(secret)


@webhooks.command("test")
def try_(
    webhook: Which,
    seconds: Annotated[int, typer.Option(min=0, help="For how long to wait until a worker has sent it.")] = 30,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Send a ping, which says nothing, and tell how it went; a worker or a server has to run."""
    from dataclasses import asdict

    from saccade.app.webhooks.webhooks import try_webhook
    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        sent = try_webhook(found, webhook, seconds)
    if json:
        print_json(asdict(sent))
    else:
        say(f"It was accepted: {sent.status}, after {sent.took} ms.")


@webhooks.command("deliveries")
def deliveries(
    webhook: Which,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """What a webhook was told and will be, the newest first."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        told = found.webhooks.deliveries(webhook, limit=limit)
    if json:
        print_json([asdict(one) for one in told])
    elif not told:
        say("It was told nothing yet. Try it: [bold]saccade webhooks test[/]")
    else:
        rows = [
            [one.id, f"{one.created:%Y-%m-%d %H:%M:%S}", one.event, one.state, one.attempts, one.status, one.error]
            for one in told
        ]
        print_table(["Delivery", "When", "Event", "State", "Attempts", "Answer", "What was wrong"], rows)


@webhooks.command("again")
def again(
    webhook: Which,
    delivery: Annotated[str | None, typer.Argument(help="The id of a delivery.", show_default=False)] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that was given up, in order, in its place.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Send a delivery once more, under the same id, or all that were given up."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    if failed == (delivery is not None):
        raise typer.BadParameter("Name a delivery, or say --failed.")
    with Workspace.find(workspace) as found:
        if delivery is None:
            count = found.webhooks.again_failed(webhook)
            if json:
                print_json({"count": count})
            else:
                say(f"{count} that failed wait for a worker.")
            return
        left = found.webhooks.again(webhook, delivery)
    if json:
        print_json(asdict(left))
    else:
        say(f"The delivery {left.id} waits for a worker.")
