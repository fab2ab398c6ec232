"""Webhooks: addresses elsewhere that are told of what happens in a project."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, nearest
from saccade.core.webhooks.events import EVENTS, PING, Ping
from saccade.core.webhooks.signing import new_secret
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import WebhookDeliveryRow, WebhookRow, now
from saccade.store.webhooks.outbox_writer import add_delivery

State = Literal["waiting", "sending", "delivered", "failed"]
MOST = 20
"""So many webhooks a project may have: each of its events is written once for each."""
OVERLAP = timedelta(days=1)
"""For so long is signed with the secret before, too."""
SWITCHED_OFF = "The webhook was switched off."
_LONGEST_URL = 2000


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a webhook is told of one event, and how that went.

    Attributes:
        number: the order in which things happened.
        id: what receivers know it by, the same whenever it is sent.
        state: a failed one is not sent again unless somebody asks for it.
        due: when it is sent next, where it waits.
        tried, took, status, error: of the last attempt: when, how many milliseconds, the answer's number, and what was
            wrong.
    """

    number: int
    id: str
    event: str
    state: State
    attempts: int
    created: datetime
    due: datetime
    tried: datetime | None
    took: int | None
    status: int | None
    error: str
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that is told of events; its secret is shown when it is made, and never again.

    Attributes:
        trouble: why it is off, where nobody switched it off.
        failing_since: when the first attempt failed after which none succeeded.
        waiting: how much it has not been told yet.
        last: what was sent last.
    """

    id: str
    url: str
    events: tuple[str, ...]
    is_on: bool
    trouble: str
    failing_since: datetime | None
    author: str
    created: datetime
    waiting: int
    last: Delivery | None


WebhookList = list[Webhook]
DeliveryList = list[Delivery]


class Webhooks:
    """The webhooks of a project."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def list(self) -> WebhookList:
        """All of them, the oldest first."""
        with self._catalog.reading() as session:
            rows = session.scalars(_of_project(session).order_by(WebhookRow.id)).all()
            return [_webhook(session, row) for row in rows]

    def get(self, webhook: str) -> Webhook:
        """A webhook; NotFoundError where there is none of that id."""
        with self._catalog.reading() as session:
            return _webhook(session, _find(session, webhook))

    def add(self, url: str, events: Iterable[str], author: str = "") -> tuple[Webhook, str]:
        """Tell an address of events from now on; with the secret with which they are signed."""
        secret = new_secret()
        wanted, address = _checked_events(events), _checked_url(url)
        with self._catalog.writing() as session:
            if len(session.scalars(_of_project(session)).all()) >= MOST:
                raise ConflictError(f"A project has at most {MOST} webhooks.", hint="Remove one, or change one.")
            row = WebhookRow(
                id=new_id(),
                project_id=project_id(session),
                url=address,
                events=wanted,
                secret=secret,
                is_on=True,
                trouble="",
                author=author,
                created=now(),
            )
            session.add(row)
            session.flush()
            return _webhook(session, row), secret

    def change(
        self, webhook: str, *, url: str | None = None, events: Iterable[str] | None = None, is_on: bool | None = None
    ) -> Webhook:
        """Change what is given. One that is switched off is told nothing, and what waits is not sent."""
        with self._catalog.writing() as session:
            row = _find(session, webhook)
            if url is not None:
                row.url = _checked_url(url)
            if events is not None:
                row.events = _checked_events(events)
            if is_on is not None and is_on != row.is_on:
                row.trouble, row.failing_since = "", None
                row.is_on = is_on
                if not is_on:
                    give_up_waiting(session, row)
            session.flush()
            return _webhook(session, row)

    def remove(self, webhook: str) -> None:
        """Let a webhook go, with what it was told."""
        with self._catalog.writing() as session:
            row = _find(session, webhook)
            session.execute(delete(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == row.id))
            session.delete(row)

    def renew(self, webhook: str) -> tuple[Webhook, str]:
        """Another secret; for a day what is sent is signed with the one before, too."""
        secret = new_secret()
        with self._catalog.writing() as session:
            row = _find(session, webhook)
            row.previous, row.previous_until, row.secret = row.secret, now() + OVERLAP, secret
            session.flush()
            return _webhook(session, row), secret

    def test(self, webhook: str) -> Delivery:
        """Send an event that says nothing; it is tried once. ConflictError where the webhook is off."""
        with self._catalog.writing() as session:
            row = _find_on(session, webhook)
            made = add_delivery(session, row, PING, Ping(row.id))
            session.flush()
            return delivery_of(made)

    def deliveries(self, webhook: str, before: int | None = None, limit: int = 100) -> DeliveryList:
        """What it was told and will be, the newest first; what came before one of them by its number."""
        with self._catalog.reading() as session:
            row = _find(session, webhook)
            wanted = select(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == row.id)
            if before is not None:
                wanted = wanted.where(WebhookDeliveryRow.number < before)
            found = session.scalars(wanted.order_by(WebhookDeliveryRow.number.desc()).limit(limit))
            return list(map(delivery_of, found))

    def delivery(self, webhook: str, delivery: str) -> Delivery:
        """One of them; NotFoundError where there is none of that id."""
        with self._catalog.reading() as session:
            return delivery_of(_find_delivery(session, _find(session, webhook), delivery))

    def again(self, webhook: str, delivery: str) -> Delivery:
        """Send once more what was sent or given up, as the same delivery. ConflictError where it is under way."""
        with self._catalog.writing() as session:
            found = _find_delivery(session, _find_on(session, webhook), delivery)
            if found.state == "sending":
                raise ConflictError("It is being sent at this moment.", hint="Look again in a few seconds.")
            _wait_anew(found)
            return delivery_of(found)

    def again_failed(self, webhook: str) -> int:
        """Send once more, in order, all that was given up, but for tests; how many those are."""
        with self._catalog.writing() as session:
            row = _find_on(session, webhook)
            rows = select(WebhookDeliveryRow).filter_by(webhook_id=row.id, state="failed")
            failed = session.scalars(rows.where(WebhookDeliveryRow.event != PING)).all()
            for one in failed:
                _wait_anew(one)
            return len(failed)


def give_up_waiting(session: Session, row: WebhookRow) -> None:
    """Send nothing more of what waits for a webhook."""
    waiting = (WebhookDeliveryRow.webhook_id == row.id, WebhookDeliveryRow.state == "waiting")
    session.execute(update(WebhookDeliveryRow).where(*waiting).values(state="failed", error=SWITCHED_OFF))


def _wait_anew(row: WebhookDeliveryRow) -> None:
    row.state, row.attempts, row.due, row.began = "waiting", 0, now(), None


def delivery_of(row: WebhookDeliveryRow) -> Delivery:
    state: Any = row.state  # a string of the database, written by the store only
    return Delivery(
        row.number,
        row.id,
        row.event,
        state,
        row.attempts,
        row.created,
        row.due,
        row.tried,
        row.took,
        row.status,
        row.error,
        row.body,
    )


def _of_project(session: Session) -> Any:
    return select(WebhookRow).where(WebhookRow.project_id == project_id(session))


def _find(session: Session, webhook: str) -> WebhookRow:
    row: WebhookRow | None = session.scalar(_of_project(session).where(WebhookRow.id == webhook))
    if row is None:
        raise NotFoundError(f"There is no webhook '{webhook[:80]}'.", hint="'saccade webhooks list' shows them.")
    return row


def _find_on(session: Session, webhook: str) -> WebhookRow:
    row = _find(session, webhook)
    if not row.is_on:
        raise ConflictError("The webhook is switched off.", hint="Switch it on first.")
    return row


def _find_delivery(session: Session, row: WebhookRow, delivery: str) -> WebhookDeliveryRow:
    found = session.scalar(select(WebhookDeliveryRow).filter_by(webhook_id=row.id, id=delivery))
    if found is None:
        raise NotFoundError(f"The webhook has no delivery '{delivery[:80]}'.")
    return found


def _webhook(session: Session, row: WebhookRow) -> Webhook:
    here = WebhookDeliveryRow.webhook_id == row.id
    waiting = select(func.count()).where(here, WebhookDeliveryRow.state.in_(("waiting", "sending")))
    tried = select(WebhookDeliveryRow).where(here, WebhookDeliveryRow.tried.is_not(None))
    last = session.scalar(tried.order_by(WebhookDeliveryRow.tried.desc(), WebhookDeliveryRow.number.desc()).limit(1))
    return Webhook(
        row.id,
        row.url,
        tuple(row.events),
        row.is_on,
        row.trouble,
        row.failing_since,
        row.author,
        row.created,
        session.scalar(waiting) or 0,
        None if last is None else delivery_of(last),
    )


def _checked_events(events: Iterable[str]) -> list[str]:
    wanted = set(events)
    for name in sorted(wanted - set(EVENTS)):
        raise InvalidValueError(f"There is no event '{name[:80]}'.", hint=nearest(name, EVENTS))
    if not wanted:
        raise InvalidValueError("A webhook is told of at least one event.", hint=f"Events: {', '.join(EVENTS)}.")
    return [name for name in EVENTS if name in wanted]


def _checked_url(url: str) -> str:
    if len(url) > _LONGEST_URL or "\x00" in url:
        raise InvalidValueError(f"The address of a webhook has at most {_LONGEST_URL} characters.")
    return url
