"""The transactional outbox: deliveries are written in the transaction of the change, and sent afterwards.

No event is lost if a process dies in between, and none is sent for a change that was rolled back.
"""

from __future__ import annotations

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from saccade.core.webhooks.events import Data, serialize_event
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.tables import ProjectRow, WebhookDeliveryRow, WebhookRow, now


def publish_event(session: Session, name: str, data: Data, project: int | None = None) -> None:
    """Enqueue an event for the enabled webhooks of a project that subscribe to it.

    Args:
        session: the write transaction of the change.
        name: the name of the event.
        data: its payload.
        project: id of the project, None for that of the session.
    """
    event_project = project_id(session) if project is None else project
    webhooks = session.scalars(
        select(WebhookRow).where(WebhookRow.project_id == event_project, WebhookRow.enabled)
    ).all()
    for webhook in webhooks:
        if name in webhook.events:
            enqueue_delivery(session, webhook, name, data)


def enqueue_delivery(session: Session, webhook: WebhookRow, name: str, data: Data) -> WebhookDeliveryRow:
    """Add a delivery of an event to a webhook.

    Args:
        session: the write transaction of the change.
        webhook: the webhook.
        name: the name of the event.
        data: its payload.
    """
    # Writers are serialised in both databases, so the order of the rows is the order of the events.
    at = now()
    project = session.get_one(ProjectRow, webhook.project_id).name
    row = WebhookDeliveryRow(
        id=f"msg_{secrets.token_hex(12)}",
        webhook_id=webhook.id,
        event=name,
        body=serialize_event(name, at, project, data),
        created=at,
        next_attempt_at=at,
        state="pending",
        attempts=0,
        process="",
        error="",
    )
    session.add(row)
    return row
