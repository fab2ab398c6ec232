"""Webhooks: endpoints outside of Saccade that receive the events of a project."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, suggest
from saccade.core.webhooks.events import EVENTS, PING, Ping
from saccade.core.webhooks.signing import new_secret
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import WebhookDeliveryRow, WebhookRow, now
from saccade.store.webhooks.outbox_writer import enqueue_delivery

State = Literal["pending", "sending", "delivered", "failed"]
MAX_WEBHOOKS = 20
"""Webhooks per project; every event is written once for each."""
SECRET_OVERLAP = timedelta(days=1)
"""After a rotation, deliveries are also signed with the previous secret for this long."""
DISABLED_MESSAGE = "The webhook was disabled."
_MAX_URL_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery of one event to a webhook.

    Attributes:
        number: position in the order of events.
        id: the delivery id that receivers see; all attempts have the same one.
        state: a failed delivery is sent again only on request.
        next_attempt_at: time of the next attempt, if it is pending.
        last_attempt_at: time of the last attempt.
        duration_ms: duration of the last attempt in milliseconds.
        status: HTTP status of the last attempt.
        error: error of the last attempt, "" if there was none.
    """

    number: int
    id: str
    event: str
    state: State
    attempts: int
    created: datetime
    next_attempt_at: datetime
    last_attempt_at: datetime | None
    duration_ms: int | None
    status: int | None
    error: str
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook, without its secret, which is shown only when it is created or rotated.

    Attributes:
        enabled: False if it gets no events.
        disabled_reason: why it was disabled automatically, "" if it was not.
        failing_since: time of the first failed attempt since the last successful one.
        pending: number of pending deliveries.
        last: the delivery that was attempted last.
    """

    id: str
    url: str
    events: tuple[str, ...]
    enabled: bool
    disabled_reason: str
    failing_since: datetime | None
    author: str
    created: datetime
    pending: int
    last: Delivery | None


WebhookList = list[Webhook]
DeliveryList = list[Delivery]


class Webhooks:
    """The webhooks of a project and their deliveries."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def list(self) -> WebhookList:
        """List all webhooks, the oldest first."""
        with self._catalog.read_tx() as session:
            rows = session.scalars(_select_webhooks(session).order_by(WebhookRow.id)).all()
            return [_to_webhook(session, row) for row in rows]

    def get(self, webhook_id: str) -> Webhook:
        """Return a webhook by id.

        Raises:
            NotFoundError: there is no such webhook.
        """
        with self._catalog.read_tx() as session:
            return _to_webhook(session, _find(session, webhook_id))

    def add(self, url: str, events: Iterable[str], author: str = "") -> tuple[Webhook, str]:
        """Create a webhook.

        Args:
            url: address that events are posted to, at most 2000 characters.
            events: names of the events to deliver.
            author: the user who creates it.

        Returns:
            The webhook and the secret with which deliveries are signed.

        Raises:
            InvalidValueError: the URL or an event is not valid.
            ConflictError: the project has :data:`MAX_WEBHOOKS` webhooks.
        """
        secret = new_secret()  # stored in plain text: signing needs it, and a key for it would lie in the same folder
        event_names = _validate_events(events)
        address = _validate_url(url)
        with self._catalog.write_tx() as session:
            if len(session.scalars(_select_webhooks(session)).all()) >= MAX_WEBHOOKS:
                raise ConflictError(
                    f"A project has at most {MAX_WEBHOOKS} webhooks.",
                    hint="Remove or change an existing one.",
                )
            row = WebhookRow(
                id=new_id(),
                project_id=project_id(session),
                url=address,
                events=event_names,
                secret=secret,
                enabled=True,
                disabled_reason="",
                author=author,
                created=now(),
            )
            session.add(row)
            session.flush()
            return _to_webhook(session, row), secret

    def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Iterable[str] | None = None,
        enabled: bool | None = None,
    ) -> Webhook:
        """Change a webhook; None leaves a value as it is.

        Args:
            webhook_id: the webhook.
            url: the new address.
            events: the new events.
            enabled: enable or disable it. A disabled webhook gets no events, and its pending deliveries are discarded.

        Raises:
            NotFoundError: there is no such webhook.
            InvalidValueError: the URL or an event is not valid.
        """
        with self._catalog.write_tx() as session:
            row = _find(session, webhook_id)
            if url is not None:
                row.url = _validate_url(url)
            if events is not None:
                row.events = _validate_events(events)
            if enabled is not None and enabled != row.enabled:
                row.disabled_reason = ""
                row.failing_since = None
                row.enabled = enabled
                if not enabled:
                    discard_pending(session, row)
            session.flush()
            return _to_webhook(session, row)

    def remove(self, webhook_id: str) -> None:
        """Delete a webhook and its deliveries. Raises NotFoundError if there is no such webhook."""
        with self._catalog.write_tx() as session:
            row = _find(session, webhook_id)
            session.execute(delete(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == row.id))
            session.delete(row)

    def rotate_secret(self, webhook_id: str) -> tuple[Webhook, str]:
        """Replace the secret; deliveries are signed with both for :data:`SECRET_OVERLAP`.

        Returns:
            The webhook and the new secret.

        Raises:
            NotFoundError: there is no such webhook.
        """
        secret = new_secret()
        with self._catalog.write_tx() as session:
            row = _find(session, webhook_id)
            row.previous_secret = row.secret
            row.previous_secret_expires_at = now() + SECRET_OVERLAP
            row.secret = secret
            session.flush()
            return _to_webhook(session, row), secret

    def send_test(self, webhook_id: str) -> Delivery:
        """Enqueue a ping, which is attempted once.

        Raises:
            NotFoundError: there is no such webhook.
            ConflictError: the webhook is disabled.
        """
        with self._catalog.write_tx() as session:
            row = _find_enabled(session, webhook_id)
            delivery = enqueue_delivery(session, row, PING, Ping(row.id))
            session.flush()
            return to_delivery(delivery)

    def list_deliveries(self, webhook_id: str, before: int | None = None, limit: int = 100) -> DeliveryList:
        """List the deliveries of a webhook, the newest first.

        Args:
            webhook_id: the webhook.
            before: number of a delivery to page from.
            limit: how many at most.

        Raises:
            NotFoundError: there is no such webhook.
        """
        with self._catalog.read_tx() as session:
            row = _find(session, webhook_id)
            query = select(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == row.id)
            if before is not None:
                query = query.where(WebhookDeliveryRow.number < before)
            deliveries = session.scalars(query.order_by(WebhookDeliveryRow.number.desc()).limit(limit))
            return list(map(to_delivery, deliveries))

    def get_delivery(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Return a delivery of a webhook by id. Raises NotFoundError if there is no such webhook or delivery."""
        with self._catalog.read_tx() as session:
            return to_delivery(_find_delivery(session, _find(session, webhook_id), delivery_id))

    def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a delivery again, with the same id.

        Raises:
            NotFoundError: there is no such webhook or delivery.
            ConflictError: the webhook is disabled, or the delivery is being sent.
        """
        with self._catalog.write_tx() as session:
            delivery = _find_delivery(session, _find_enabled(session, webhook_id), delivery_id)
            if delivery.state == "sending":
                raise ConflictError("This delivery is being sent.", hint="Try again in a few seconds.")
            _reset(delivery)
            return to_delivery(delivery)

    def redeliver_failed(self, webhook_id: str) -> int:
        """Send all failed deliveries except pings again, in order.

        Returns:
            How many there are.

        Raises:
            NotFoundError: there is no such webhook.
            ConflictError: the webhook is disabled.
        """
        with self._catalog.write_tx() as session:
            row = _find_enabled(session, webhook_id)
            query = select(WebhookDeliveryRow).filter_by(webhook_id=row.id, state="failed")
            failed = session.scalars(query.where(WebhookDeliveryRow.event != PING)).all()
            for delivery in failed:
                _reset(delivery)
            return len(failed)


def discard_pending(session: Session, row: WebhookRow) -> None:
    """Mark the pending deliveries of a disabled webhook as failed."""
    pending = (WebhookDeliveryRow.webhook_id == row.id, WebhookDeliveryRow.state == "pending")
    session.execute(update(WebhookDeliveryRow).where(*pending).values(state="failed", error=DISABLED_MESSAGE))


def _reset(row: WebhookDeliveryRow) -> None:
    row.state = "pending"
    row.attempts = 0
    row.next_attempt_at = now()
    row.first_attempt_at = None


def to_delivery(row: WebhookDeliveryRow) -> Delivery:
    """Build the delivery of a row."""
    state: Any = row.state  # only the store writes it
    return Delivery(
        row.number,
        row.id,
        row.event,
        state,
        row.attempts,
        row.created,
        row.next_attempt_at,
        row.last_attempt_at,
        row.duration_ms,
        row.status,
        row.error,
        row.body,
    )


def _select_webhooks(session: Session) -> Any:
    return select(WebhookRow).where(WebhookRow.project_id == project_id(session))


def _find(session: Session, webhook_id: str) -> WebhookRow:
    row: WebhookRow | None = session.scalar(_select_webhooks(session).where(WebhookRow.id == webhook_id))
    if row is None:
        raise NotFoundError(f"There is no webhook '{webhook_id[:80]}'.", hint="List them: saccade webhooks list")
    return row


def _find_enabled(session: Session, webhook_id: str) -> WebhookRow:
    row = _find(session, webhook_id)
    if not row.enabled:
        raise ConflictError("The webhook is disabled.", hint="Enable it first.")
    return row


def _find_delivery(session: Session, webhook: WebhookRow, delivery_id: str) -> WebhookDeliveryRow:
    row = session.scalar(select(WebhookDeliveryRow).filter_by(webhook_id=webhook.id, id=delivery_id))
    if row is None:
        raise NotFoundError(f"The webhook has no delivery '{delivery_id[:80]}'.")
    return row


def _to_webhook(session: Session, row: WebhookRow) -> Webhook:
    own = WebhookDeliveryRow.webhook_id == row.id
    pending = select(func.count()).where(own, WebhookDeliveryRow.state.in_(("pending", "sending")))
    tried = select(WebhookDeliveryRow).where(own, WebhookDeliveryRow.last_attempt_at.is_not(None))
    last = session.scalar(
        tried.order_by(WebhookDeliveryRow.last_attempt_at.desc(), WebhookDeliveryRow.number.desc()).limit(1)
    )
    return Webhook(
        row.id,
        row.url,
        tuple(row.events),
        row.enabled,
        row.disabled_reason,
        row.failing_since,
        row.author,
        row.created,
        session.scalar(pending) or 0,
        None if last is None else to_delivery(last),
    )


def _validate_events(events: Iterable[str]) -> list[str]:
    requested = set(events)
    for name in sorted(requested - set(EVENTS)):
        raise InvalidValueError(f"There is no event '{name[:80]}'.", hint=suggest(name, EVENTS))
    if not requested:
        raise InvalidValueError("A webhook needs at least one event.", hint=f"Events: {', '.join(EVENTS)}.")
    return [name for name in EVENTS if name in requested]


def _validate_url(url: str) -> str:
    if len(url) > _MAX_URL_LENGTH or "\x00" in url:
        raise InvalidValueError(f"The URL of a webhook may have at most {_MAX_URL_LENGTH} characters.")
    return url
