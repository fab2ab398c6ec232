"""Sending what webhooks are to be told: who sends what and when, how often it is tried, and when it is given up.

A worker claims what is to be sent as it claims jobs; the row says who sends it. To one webhook one thing is sent at a
time, in the order in which things happened; what failed several times is overtaken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from saccade.core.webhooks.events import PING, moment
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import AuditRow, WebhookDeliveryRow, WebhookRow, now
from saccade.store.io.process import is_alive
from saccade.store.webhooks.webhooks import give_up_waiting

WAITS = tuple(
    timedelta(seconds=one)
    for one in (
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
"""After each attempt that failed; the last one again and again."""
TRIED_FOR = timedelta(hours=29)
"""What fails after so long is given up."""
IN_ORDER = 4
"""What failed so often is overtaken by what happened later."""
OUTAGE = timedelta(minutes=10)
"""Whoever accepts something after failing for so long was away, and is sent what it has missed at once."""
LONG = timedelta(days=1)
"""A webhook of which something is given up, and that has accepted nothing for so long, is switched off."""
KEPT = 1000
"""So many deliveries of a webhook that are over can be looked up."""
LONGEST_WAIT = timedelta(hours=8)
"""Whoever asks to be left alone for longer is asked again after so long."""
_LONGEST = timedelta(minutes=5)
"""Nothing takes so long to be sent: whoever said that it sends it is dead or has lost it."""
_PENDING = ("waiting", "sending")


@dataclass(frozen=True, slots=True)
class Sending:
    """What a worker is to send; ``attempt`` and ``process`` say that it is still the worker's."""

    delivery: str
    event: str
    url: str
    body: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    attempt: int
    process: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went.

    Attributes:
        status: of the answer, None where there was none.
        error: what was wrong; "" where it was accepted.
        took: milliseconds.
        is_gone: the receiver says that it wants nothing more.
        wait: for so long at least the receiver asks to be left alone.
    """

    status: int | None
    error: str
    took: int
    is_gone: bool = False
    wait: timedelta = timedelta()


class Outbox:
    """What the webhooks of all projects are still to be told."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog.whole

    def is_due(self) -> bool:
        """Whether there may be anything to be sent now; looking takes no turn from those who write."""
        waits = (WebhookDeliveryRow.state == "waiting") & (WebhookDeliveryRow.due <= now())
        wanted = select(WebhookDeliveryRow.number).where(waits | (WebhookDeliveryRow.state == "sending"))
        with self._catalog.reading() as session:
            return session.scalar(wanted.limit(1)) is not None

    def claim(self, process: str) -> Sending | None:
        """What is due next for a webhook to which nothing is being sent, now this worker's; None for nothing."""
        pending = select(WebhookDeliveryRow.webhook_id).where(WebhookDeliveryRow.state.in_(_PENDING)).distinct()
        with self._catalog.writing() as session:
            hooks = session.scalars(select(WebhookRow).where(WebhookRow.id.in_(pending)).order_by(WebhookRow.id)).all()
            found = [(row, hook) for hook in hooks if (row := _next(session, hook)) is not None]
            if not found:
                return None
            # What has been due for the longest: no webhook that always has something keeps the others waiting.
            row, hook = min(found, key=lambda pair: (pair[0].due, pair[0].number))
            row.state, row.process, row.tried, row.attempts = "sending", process, now(), row.attempts + 1
            row.began = row.began or row.tried
            return Sending(row.id, row.event, hook.url, row.body, _secrets(hook), row.attempts, process)

    def finish(self, sending: Sending, outcome: Outcome) -> bool:
        """Record how an attempt went; whether it was still this worker's to record."""
        with self._catalog.writing() as session:
            row = session.scalar(select(WebhookDeliveryRow).where(WebhookDeliveryRow.id == sending.delivery))
            claim = (sending.process, sending.attempt)
            if row is None or row.state != "sending" or (row.process, row.attempts) != claim:
                return False
            hook = session.get_one(WebhookRow, row.webhook_id)
            row.process, row.status, row.error, row.took = "", outcome.status, outcome.error, outcome.took
            if not outcome.error:
                row.state = "delivered"
                _recovered(session, hook)
            else:
                _failed(session, hook, row, outcome)
            session.flush()
            _forget_old(session, hook)
        return True


def _secrets(hook: WebhookRow) -> tuple[str, ...]:
    if hook.previous is not None and hook.previous_until is not None and hook.previous_until > now():
        return hook.secret, hook.previous
    return (hook.secret,)


def _next(session: Session, hook: WebhookRow) -> WebhookDeliveryRow | None:
    """What is to be sent to a webhook at this moment; None where it is to wait."""
    rows = select(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == hook.id)
    rows = rows.order_by(WebhookDeliveryRow.number)
    for row in session.scalars(rows.where(WebhookDeliveryRow.state == "sending")).all():
        if not _is_left(row):
            return None
        row.state, row.due = "waiting", now()
    if not hook.is_on:
        give_up_waiting(session, hook)
        return None
    waiting = rows.where(WebhookDeliveryRow.state == "waiting")
    due = WebhookDeliveryRow.due <= now()
    late = session.scalar(waiting.where(due, WebhookDeliveryRow.attempts >= IN_ORDER).limit(1))
    first = session.scalar(waiting.where(WebhookDeliveryRow.attempts < IN_ORDER).limit(1))
    test = session.scalar(waiting.where(WebhookDeliveryRow.event == PING).limit(1))
    if first is not None and first.due > now():  # the others keep behind it
        first = None
    found = [row for row in (late, first) if row is not None]
    return test or min(found, key=lambda row: row.number, default=None)


def _is_left(row: WebhookDeliveryRow) -> bool:
    return row.tried is None or is_alive(row.process) is False or now() - row.tried > _LONGEST


def _recovered(session: Session, hook: WebhookRow) -> None:
    since, hook.failing_since = hook.failing_since, None
    if since is not None and now() - since >= OUTAGE:
        waiting = (WebhookDeliveryRow.webhook_id == hook.id, WebhookDeliveryRow.state == "waiting")
        session.execute(update(WebhookDeliveryRow).where(*waiting).values(due=now()))


def _failed(session: Session, hook: WebhookRow, row: WebhookDeliveryRow, outcome: Outcome) -> None:
    row.state = "failed"
    if row.event == PING or not hook.is_on:
        return
    since = hook.failing_since = hook.failing_since or row.tried or now()
    if outcome.is_gone:
        _switch_off(session, hook, f"it wants nothing more ({outcome.error})")
    elif now() - (row.began or now()) < TRIED_FOR:
        wait = max(WAITS[min(row.attempts, len(WAITS)) - 1], min(outcome.wait, LONGEST_WAIT))
        row.state, row.due = "waiting", now() + wait
    elif now() - since >= LONG:
        _switch_off(session, hook, f"it has accepted nothing since {_shown(since)}; the last time: {outcome.error}")


def _switch_off(session: Session, hook: WebhookRow, why: str) -> None:
    hook.is_on, hook.trouble = False, f"It was switched off: {why}"
    give_up_waiting(session, hook)
    session.add(
        AuditRow(
            project_id=hook.project_id, person_id=None, action="switched off a webhook", subject=hook.id, address=""
        )
    )


def _shown(at: datetime) -> str:
    return moment(at.replace(microsecond=0))


def _forget_old(session: Session, hook: WebhookRow) -> None:
    over = select(WebhookDeliveryRow.number).where(
        WebhookDeliveryRow.webhook_id == hook.id, WebhookDeliveryRow.state.not_in(_PENDING)
    )
    last = session.scalar(over.order_by(WebhookDeliveryRow.number.desc()).offset(KEPT).limit(1))
    if last is not None:
        session.execute(
            delete(WebhookDeliveryRow).where(
                WebhookDeliveryRow.webhook_id == hook.id,
                WebhookDeliveryRow.state.not_in(_PENDING),
                WebhookDeliveryRow.number <= last,
            )
        )
