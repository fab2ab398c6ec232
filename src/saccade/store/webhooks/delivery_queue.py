"""The delivery queue of webhooks: claims, retries with backoff, and automatic disabling.

Workers claim deliveries as they claim jobs; the row names the worker. Each webhook gets one delivery at a time, in the
order of the events. A delivery that failed :data:`MAX_ORDERED_ATTEMPTS` times no longer blocks later ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from saccade.core.webhooks.events import PING, to_iso8601
from saccade.store.catalog.leases import is_lease_expired
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import AuditRow, WebhookDeliveryRow, WebhookRow, now
from saccade.store.webhooks.webhooks import discard_pending

RETRY_DELAYS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        5,
        30,
        120,
        600,
        1800,
        3600,
        2 * 3600,
        4 * 3600,
        6 * 3600,
        8 * 3600,
        8 * 3600,
    )
)
"""The delay after each failed attempt; the last one repeats."""
RETRY_WINDOW = timedelta(hours=29)
"""A delivery fails if this much time has passed since its first attempt.

The limit is a time and not a number of attempts, because after an outage all pending deliveries are attempted at once.
"""
MAX_ORDERED_ATTEMPTS = 4
"""After this many failed attempts, later events may be delivered first."""
OUTAGE_THRESHOLD = timedelta(minutes=10)
"""A receiver that was unavailable for longer gets everything that is waiting as soon as it accepts a delivery."""
DISABLE_AFTER = timedelta(days=1)
"""A webhook is disabled if a delivery fails and it has accepted nothing for this long."""
HISTORY_LIMIT = 1000
"""Completed deliveries that are kept per webhook."""
MAX_RETRY_AFTER = timedelta(hours=8)
"""Upper limit for the delay that a receiver may ask for with ``Retry-After``."""
_CLAIM_TIMEOUT = timedelta(minutes=5)
"""No attempt takes this long: the worker has died, or could not record the result."""
_PENDING = ("pending", "sending")


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that a worker has claimed; ``attempt`` and ``owner_id`` identify the claim."""

    delivery_id: str
    event: str
    url: str
    body: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    attempt: int
    owner_id: str


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The result of one attempt.

    Attributes:
        status: HTTP status, None without a response.
        error: what went wrong, "" if the receiver accepted the delivery.
        duration_ms: duration in milliseconds.
        is_gone: whether the receiver asked for no more deliveries (410 Gone).
        retry_after: the minimum delay that the receiver asked for.
    """

    status: int | None
    error: str
    duration_ms: int
    is_gone: bool = False
    retry_after: timedelta = timedelta()


class DeliveryQueue:
    """The pending deliveries of all projects."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog.unscoped

    def has_due(self) -> bool:
        """Return whether a delivery may be due now. As a read transaction this does not block writers."""
        is_due = (WebhookDeliveryRow.state == "pending") & (WebhookDeliveryRow.next_attempt_at <= now())
        query = select(WebhookDeliveryRow.number).where(is_due | (WebhookDeliveryRow.state == "sending"))
        with self._catalog.read_tx() as session:
            return session.scalar(query.limit(1)) is not None

    def claim(self, owner_id: str) -> ClaimedDelivery | None:
        """Claim the next delivery that is due, of a webhook without a delivery in progress.

        Args:
            owner_id: the lease owner id of the worker.

        Returns:
            The delivery, or None if none is due.
        """
        pending = select(WebhookDeliveryRow.webhook_id).where(WebhookDeliveryRow.state.in_(_PENDING)).distinct()
        with self._catalog.write_tx() as session:
            webhooks = session.scalars(
                select(WebhookRow).where(WebhookRow.id.in_(pending)).order_by(WebhookRow.id)
            ).all()
            candidates = [(row, webhook) for webhook in webhooks if (row := _next(session, webhook)) is not None]
            if not candidates:
                return None
            # The one that has been due for the longest, so that a busy webhook does not starve the others.
            row, webhook = min(candidates, key=lambda pair: (pair[0].next_attempt_at, pair[0].number))
            row.state = "sending"
            row.process = owner_id
            row.last_attempt_at = now()
            row.attempts += 1
            row.first_attempt_at = row.first_attempt_at or row.last_attempt_at
            return ClaimedDelivery(row.id, row.event, webhook.url, row.body, _secrets(webhook), row.attempts, owner_id)

    def finish(self, claimed: ClaimedDelivery, result: DeliveryResult) -> bool:
        """Record the result of an attempt, and schedule the next one if it failed.

        Returns:
            Whether it was recorded: False if the delivery is now another worker's.
        """
        with self._catalog.write_tx() as session:
            row = session.scalar(select(WebhookDeliveryRow).where(WebhookDeliveryRow.id == claimed.delivery_id))
            # The worker may have been too slow, and another one may have claimed the delivery since.
            claim = (claimed.owner_id, claimed.attempt)
            if row is None or row.state != "sending" or (row.process, row.attempts) != claim:
                return False
            webhook = session.get_one(WebhookRow, row.webhook_id)
            row.process = ""
            row.status = result.status
            row.error = result.error
            row.duration_ms = result.duration_ms
            if not result.error:
                row.state = "delivered"
                _mark_recovered(session, webhook)
            else:
                _mark_failed(session, webhook, row, result)
            session.flush()
            _delete_old(session, webhook)
        return True


def _secrets(webhook: WebhookRow) -> tuple[str, ...]:
    if (
        webhook.previous_secret is not None
        and webhook.previous_secret_expires_at is not None
        and webhook.previous_secret_expires_at > now()
    ):
        return webhook.secret, webhook.previous_secret
    return (webhook.secret,)


def _next(session: Session, webhook: WebhookRow) -> WebhookDeliveryRow | None:
    """Return the next delivery of a webhook, or None if it has to wait."""
    rows = select(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == webhook.id)
    rows = rows.order_by(WebhookDeliveryRow.number)
    for row in session.scalars(rows.where(WebhookDeliveryRow.state == "sending")).all():
        if not is_lease_expired(row.process, row.last_attempt_at, max_age=_CLAIM_TIMEOUT):
            return None
        row.state = "pending"
        row.next_attempt_at = now()
    if not webhook.enabled:
        discard_pending(session, webhook)
        return None
    pending = rows.where(WebhookDeliveryRow.state == "pending")
    is_due = WebhookDeliveryRow.next_attempt_at <= now()
    # A body that the receiver cannot handle must not hold up all later events.
    unordered = session.scalar(pending.where(is_due, WebhookDeliveryRow.attempts >= MAX_ORDERED_ATTEMPTS).limit(1))
    first = session.scalar(pending.where(WebhookDeliveryRow.attempts < MAX_ORDERED_ATTEMPTS).limit(1))
    ping = session.scalar(pending.where(WebhookDeliveryRow.event == PING).limit(1))
    if first is not None and first.next_attempt_at > now():  # later events wait for it
        first = None
    candidates = [row for row in (unordered, first) if row is not None]
    return ping or min(candidates, key=lambda row: row.number, default=None)


def _mark_recovered(session: Session, webhook: WebhookRow) -> None:
    since = webhook.failing_since
    webhook.failing_since = None
    if since is not None and now() - since >= OUTAGE_THRESHOLD:
        pending = (WebhookDeliveryRow.webhook_id == webhook.id, WebhookDeliveryRow.state == "pending")
        session.execute(update(WebhookDeliveryRow).where(*pending).values(next_attempt_at=now()))


def _mark_failed(session: Session, webhook: WebhookRow, row: WebhookDeliveryRow, result: DeliveryResult) -> None:
    row.state = "failed"
    if row.event == PING or not webhook.enabled:
        return  # a ping is not retried, and says nothing about the events
    since = webhook.failing_since or row.last_attempt_at or now()
    webhook.failing_since = since
    if result.is_gone:
        _disable(session, webhook, f"the receiver asked for no more deliveries ({result.error})")
    elif now() - (row.first_attempt_at or now()) < RETRY_WINDOW:
        delay = RETRY_DELAYS[min(row.attempts, len(RETRY_DELAYS)) - 1]
        row.state = "pending"
        row.next_attempt_at = now() + max(delay, min(result.retry_after, MAX_RETRY_AFTER))
    elif now() - since >= DISABLE_AFTER:
        _disable(session, webhook, f"no delivery was accepted since {_format_time(since)}; last error: {result.error}")


def _disable(session: Session, webhook: WebhookRow, reason: str) -> None:
    webhook.enabled = False
    webhook.disabled_reason = f"Disabled automatically: {reason}"
    discard_pending(session, webhook)
    session.add(
        AuditRow(
            project_id=webhook.project_id, user_id=None, action="disabled a webhook", subject=webhook.id, address=""
        )
    )


def _format_time(at: datetime) -> str:
    return to_iso8601(at.replace(microsecond=0))


def _delete_old(session: Session, webhook: WebhookRow) -> None:
    """Delete completed deliveries beyond :data:`HISTORY_LIMIT`."""
    completed = (WebhookDeliveryRow.webhook_id == webhook.id, WebhookDeliveryRow.state.not_in(_PENDING))
    numbers = select(WebhookDeliveryRow.number).where(*completed).order_by(WebhookDeliveryRow.number.desc())
    last = session.scalar(numbers.offset(HISTORY_LIMIT).limit(1))
    if last is not None:
        session.execute(delete(WebhookDeliveryRow).where(*completed, WebhookDeliveryRow.number <= last))
