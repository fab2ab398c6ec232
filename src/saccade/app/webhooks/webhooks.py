"""Webhooks that people add: their addresses are looked at before anything is sent there."""

from __future__ import annotations

import time
from collections.abc import Iterable

from saccade.app.net.safe_http import allowed_addresses, checked
from saccade.core.errors import ConflictError, InvalidValueError, SaccadeError
from saccade.core.webhooks.events import EVENTS
from saccade.store.webhooks.webhooks import Delivery, Webhook
from saccade.store.workspace import Workspace

_LOOK_AGAIN = 0.2


def add_webhook(
    workspace: Workspace, url: str, events: Iterable[str] | None = None, *, author: str = "", private: bool = False
) -> tuple[Webhook, str]:
    """Tell an address of events, of all where none are named; with the secret, which is shown once.

    Args:
        private: also an address that is not of the public internet.

    InvalidValueError where it is no address, or none that may be told.
    """
    check_address(url, private=private)
    return workspace.webhooks.add(url, EVENTS if events is None else events, author)


def change_webhook(
    workspace: Workspace,
    webhook: str,
    *,
    url: str | None = None,
    events: Iterable[str] | None = None,
    is_on: bool | None = None,
    private: bool = False,
) -> Webhook:
    """Change what is given of a webhook; errors as of :func:`add_webhook`."""
    if url is not None:
        check_address(url, private=private)
    return workspace.webhooks.change(webhook, url=url, events=events, is_on=is_on)


def try_webhook(workspace: Workspace, webhook: str, seconds: float) -> Delivery:
    """Send an event that says nothing, and wait until a worker has sent it.

    Raises:
        ConflictError: the webhook is off, or nobody has sent it after so many seconds.
        SaccadeError: it was not accepted.
    """
    sent = workspace.webhooks.test(webhook)
    until = time.monotonic() + seconds
    while sent.state in ("waiting", "sending"):
        if time.monotonic() > until:
            raise ConflictError("No worker has sent it yet.", hint="Start one: saccade worker, or saccade serve")
        time.sleep(_LOOK_AGAIN)
        sent = workspace.webhooks.delivery(webhook, sent.id)
    if sent.state == "failed":
        raise SaccadeError(f"It was not accepted. {sent.error}", hint="Check the address and who answers there.")
    return sent


def check_address(url: str, *, private: bool) -> None:
    """InvalidValueError where nothing will be sent to an address; it is judged once more whenever something is sent."""
    parts = checked(url)
    if parts.username is not None or parts.password is not None:
        raise InvalidValueError(
            "The address of a webhook has no name and no password in it.", hint="What is sent is signed instead."
        )
    if parts.fragment:
        raise InvalidValueError("What follows '#' in an address is never sent.", hint="Leave it out.")
    allowed_addresses(parts, private)
