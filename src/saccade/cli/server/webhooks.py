"""``saccade webhooks``: notify external URLs of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from saccade.store.webhooks.webhooks import Webhook

app = typer.Typer(no_args_is_help=True, help="Webhooks: notify external URLs of events in the project.")

WebhookArgument = Annotated[str, typer.Argument(help="Id of the webhook.", show_default=False)]
EventOption = Annotated[
    list[str] | None,
    typer.Option("--event", "-e", help="Event to send; repeatable. By default all.", show_default=False),
]
PrivateOption = Annotated[bool, typer.Option("--private-network", help="Allow a URL in a private network.")]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="webhooks")


@app.command("list")
def list_(workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the webhooks of the project."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        webhooks = workspace.webhooks.list()
    if as_json:
        print_json([asdict(webhook) for webhook in webhooks])
    elif not webhooks:
        print_message("There are no webhooks yet. Next: [bold]saccade webhooks add https://…[/]")
    else:
        rows = [
            [webhook.id, webhook.url, _state(webhook), webhook.pending, ", ".join(webhook.events)]
            for webhook in webhooks
        ]
        print_table(["Webhook", "URL", "State", "Pending", "Events"], rows)


def _state(webhook: Webhook) -> str:
    if not webhook.enabled:
        return f"disabled: {webhook.disabled_reason}" if webhook.disabled_reason else "disabled"
    if webhook.failing_since is not None:
        return f"failing since {webhook.failing_since:%Y-%m-%d %H:%M} UTC"
    return "enabled"


@app.command("add")
def add(
    url: Annotated[str, typer.Argument(help="URL that receives the events, https://….", show_default=False)],
    event: EventOption = None,
    private_network: PrivateOption = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a webhook; its signing secret is shown only once."""
    from dataclasses import asdict

    from saccade.app.webhooks.webhooks import create_webhook
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        webhook, secret = create_webhook(workspace, url, event, allow_private=private_network)
    if as_json:
        print_json(asdict(webhook) | {"secret": secret})
    else:
        print_message(f"Created webhook {webhook.id}. Its signing secret, which is not shown again:")
        typer.echo(secret)


@app.command("set")
def set_(
    webhook: WebhookArgument,
    url: Annotated[str | None, typer.Option(help="New URL.", show_default=False)] = None,
    event: EventOption = None,
    on: Annotated[
        bool | None, typer.Option("--on/--off", help="Enable or disable it. Disabling discards pending deliveries.")
    ] = None,
    private_network: PrivateOption = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the URL, the events or the state of a webhook."""
    from dataclasses import asdict

    from saccade.app.webhooks.webhooks import update_webhook
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        updated = update_webhook(workspace, webhook, url=url, events=event, enabled=on, allow_private=private_network)
    if as_json:
        print_json(asdict(updated))
    else:
        print_message(f"Webhook {updated.id}: {_state(updated)}.")


@app.command("rm")
def remove(webhook: WebhookArgument, workspace_path: WorkspaceOption = None) -> None:
    """Delete a webhook and its deliveries."""
    from saccade.app.webhooks.webhooks import delete_webhook
    from saccade.cli.console import print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        delete_webhook(workspace, webhook)
    print_message(f"Webhook {webhook} is deleted.")


@app.command("rotate-secret")
def rotate_secret(
    webhook: WebhookArgument, workspace_path: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Create a new signing secret, shown only once. For a day, events are signed with the previous one as well."""
    from dataclasses import asdict

    from saccade.app.webhooks import webhooks
    from saccade.cli.console import print_json
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        updated, secret = webhooks.rotate_secret(workspace, webhook)
    if as_json:
        print_json(asdict(updated) | {"secret": secret})
    else:
        typer.echo(secret)


@app.command("test")
def send_ping(
    webhook: WebhookArgument,
    seconds: Annotated[int, typer.Option(min=0, help="Seconds to wait for a worker to deliver it.")] = 30,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a ping event and show the result; a worker or a server must be running."""
    from dataclasses import asdict

    from saccade.app.webhooks.webhooks import send_test
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        delivery = send_test(workspace, webhook, seconds)
    if as_json:
        print_json(asdict(delivery))
    else:
        print_message(f"Delivered: status {delivery.status} after {delivery.duration_ms} ms.")


@app.command("deliveries")
def list_deliveries(
    webhook: WebhookArgument,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of deliveries.")] = 50,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the deliveries of a webhook, newest first."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        deliveries = workspace.webhooks.list_deliveries(webhook, limit=limit)
    if as_json:
        print_json([asdict(delivery) for delivery in deliveries])
    elif not deliveries:
        print_message("No deliveries yet. Send a test event: [bold]saccade webhooks test[/]")
    else:
        rows = [
            [
                delivery.id,
                f"{delivery.created:%Y-%m-%d %H:%M:%S}",
                delivery.event,
                delivery.state,
                delivery.attempts,
                delivery.status,
                delivery.error,
            ]
            for delivery in deliveries
        ]
        print_table(["Delivery", "Created", "Event", "State", "Attempts", "Status", "Error"], rows)


@app.command("redeliver")
def redeliver(
    webhook: WebhookArgument,
    delivery: Annotated[str | None, typer.Argument(help="Id of the delivery.", show_default=False)] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All failed deliveries, in their original order.")] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue a delivery again, with the same id, or all failed ones."""
    from dataclasses import asdict

    from saccade.app.webhooks import webhooks
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    if failed == (delivery is not None):
        raise typer.BadParameter("Specify either a delivery or --failed.")
    with Workspace.find(workspace_path) as workspace:
        if delivery is None:
            count = webhooks.redeliver_failed(workspace, webhook)
            if as_json:
                print_json({"count": count})
            else:
                print_message(f"{count} failed deliveries are queued again.")
            return
        queued = webhooks.redeliver(workspace, webhook, delivery)
    if as_json:
        print_json(asdict(queued))
    else:
        print_message(f"Delivery {queued.id} is queued again.")
