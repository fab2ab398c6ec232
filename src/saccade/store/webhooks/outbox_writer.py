"""The outbox: what webhooks are to be told is written in the transaction of what happened, and sent afterwards.

So nothing is lost where a process dies in between, and nothing is told that did not come to be.
"""

from __future__ import annotations

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from saccade.core.webhooks.events import Data, body_of
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.tables import ProjectRow, WebhookDeliveryRow, WebhookRow, now


def tell(session: Session, name: str, data: Data, project: int | None = None) -> None:
    """Note what happened for the webhooks of a project that ask for it; nothing is written where none does.

    Args:
        project: the id of the one in which it happened; that of the session where it is left out.
    """
    where = project_id(session) if project is None else project
    hooks = session.scalars(select(WebhookRow).where(WebhookRow.project_id == where, WebhookRow.is_on)).all()
    for hook in hooks:
        if name in hook.events:
            add_delivery(session, hook, name, data)


def add_delivery(session: Session, hook: WebhookRow, name: str, data: Data) -> WebhookDeliveryRow:
    """The row with which a webhook will be told of an event."""
    at = now()
    project = session.get_one(ProjectRow, hook.project_id).name
    row = WebhookDeliveryRow(
        id=f"msg_{secrets.token_hex(12)}",
        webhook_id=hook.id,
        event=name,
        body=body_of(name, at, project, data),
        created=at,
        due=at,
        state="waiting",
        attempts=0,
        process="",
        error="",
    )
    session.add(row)
    return row
