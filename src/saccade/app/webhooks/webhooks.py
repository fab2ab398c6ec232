"""Create, update, test and delete webhooks. Their URLs are validated before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Iterable

from saccade.app.net.safe_http import parse_http_url, resolve_allowed
from saccade.core.errors import ConflictError, InvalidValueError, SaccadeError
from saccade.core.webhooks.events import EVENTS
from saccade.store.webhooks.webhooks import Delivery, Webhook
from saccade.store.workspace import Workspace

_POLL_INTERVAL_S = 0.2


def create_webhook(
    workspace: Workspace,
    url: str,
    events: Iterable[str] | None = None,
    *,
    author: str = "",
    allow_private: bool = False,
) -> tuple[Webhook, str]:
    """Create a webhook.

    Args:
        workspace: The workspace.
        url: The URL that receives the events.
        events: The names of the events; all if None.
        author: The name of the creator.
        allow_private: Accept addresses that are not public.

    Returns:
        The webhook and its signing secret, which cannot be read again.

    Raises:
        InvalidValueError: The URL is invalid or private, or an event is unknown.
    """
    validate_webhook_url(url, allow_private=allow_private)
    return workspace.webhooks.add(url, EVENTS if events is None else events, author)


def update_webhook(
    workspace: Workspace,
    webhook: str,
    *,
    url: str | None = None,
    events: Iterable[str] | None = None,
    enabled: bool | None = None,
    allow_private: bool = False,
) -> Webhook:
    """Change a webhook; None leaves a value as it is.

    Args:
        workspace: The workspace.
        webhook: The id of the webhook.
        url: The new URL.
        events: The new names of events.
        enabled: Whether events are sent.
        allow_private: Accept addresses that are not public.

    Raises:
        NotFoundError: There is no such webhook.
        InvalidValueError: The URL is invalid or private, or an event is unknown.
    """
    if url is not None:
        validate_webhook_url(url, allow_private=allow_private)
    return workspace.webhooks.update(webhook, url=url, events=events, enabled=enabled)


def delete_webhook(workspace: Workspace, webhook: str) -> None:
    """Delete a webhook and its deliveries.

    Raises:
        NotFoundError: There is no such webhook.
    """
    workspace.webhooks.remove(webhook)


def rotate_secret(workspace: Workspace, webhook: str) -> tuple[Webhook, str]:
    """Replace the signing secret. For a day, events are signed with the previous one as well.

    Returns:
        The webhook and the new secret, which cannot be read again.

    Raises:
        NotFoundError: There is no such webhook.
    """
    return workspace.webhooks.rotate_secret(webhook)


def redeliver(workspace: Workspace, webhook: str, delivery: str) -> Delivery:
    """Queue a delivery again, with the same id.

    Raises:
        NotFoundError: There is no such webhook or delivery.
        ConflictError: The webhook is disabled, or the delivery is being sent.
    """
    return workspace.webhooks.redeliver(webhook, delivery)


def redeliver_failed(workspace: Workspace, webhook: str) -> int:
    """Queue all failed deliveries again, in their original order; returns their number.

    Raises:
        NotFoundError: There is no such webhook.
        ConflictError: The webhook is disabled.
    """
    return workspace.webhooks.redeliver_failed(webhook)


def enqueue_test(workspace: Workspace, webhook: str) -> Delivery:
    """Queue a test event, which is sent without retries.

    Raises:
        NotFoundError: There is no such webhook.
        ConflictError: The webhook is disabled.
    """
    return workspace.webhooks.send_test(webhook)


def send_test(workspace: Workspace, webhook: str, timeout_s: float) -> Delivery:
    """Send a test event and wait for its delivery.

    Args:
        workspace: The workspace.
        webhook: The id of the webhook.
        timeout_s: Seconds to wait for a worker.

    Raises:
        ConflictError: The webhook is disabled, or no worker has sent the event in time.
        SaccadeError: The receiver did not accept the event.
    """
    delivery = enqueue_test(workspace, webhook)
    deadline = time.monotonic() + timeout_s
    while delivery.state in ("pending", "sending"):
        if time.monotonic() > deadline:
            raise ConflictError(
                f"No worker has sent the test event within {timeout_s:g} seconds.",
                hint="Start one: saccade worker, or saccade serve",
            )
        time.sleep(_POLL_INTERVAL_S)
        delivery = workspace.webhooks.get_delivery(webhook, delivery.id)
    if delivery.state == "failed":
        raise SaccadeError(
            f"The test event was not accepted. {delivery.error}", hint="Check the URL and the server behind it."
        )
    return delivery


def validate_webhook_url(url: str, *, allow_private: bool) -> None:
    """Check that events can be sent to a URL. Its address is checked again for each delivery.

    Raises:
        InvalidValueError: The URL is invalid or private, or has credentials or a fragment.
    """
    parts = parse_http_url(url)
    if parts.username is not None or parts.password is not None:
        raise InvalidValueError(
            "The URL of a webhook cannot have a user name or password.", hint="Verify the signature of events instead."
        )
    if parts.fragment:
        raise InvalidValueError(
            f"The URL has a fragment, '#{parts.fragment[:100]}', which is never sent.", hint="Remove it."
        )
    resolve_allowed(parts, allow_private)
