"""Helpers for the tests of webhooks in the store."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from saccade.core.webhooks.events import EVENTS, EventName
from saccade.runtime.process import host_name, lease_owner_id
from saccade.store.catalog.tables import WebhookDeliveryRow, WebhookRow
from saccade.store.webhooks.delivery_queue import ClaimedDelivery, DeliveryResult
from saccade.store.workspace import Workspace

THIS_PROCESS = lease_owner_id()
DEAD_PROCESS = f"{host_name()}~{2**22 + 1}~1"
OTHER_MACHINE = "another-machine~17~3"
URL = "https://example.org/told"
ACCEPTED = DeliveryResult(200, "", 5)
REJECTED = DeliveryResult(500, "The answer was 500.", 5)


def published_events(workspace: Workspace, webhook_id: str) -> list[tuple[str, Any]]:
    """The names and data of the events for a webhook, in order."""
    deliveries = workspace.webhooks.list_deliveries(webhook_id)[::-1]
    bodies = [json.loads(delivery.body) for delivery in deliveries]
    assert [body["type"] for body in bodies] == [delivery.event for delivery in deliveries]
    return [(body["type"], body["data"]) for body in bodies]


def event_names(workspace: Workspace, webhook_id: str) -> list[str]:
    return [name for name, _ in published_events(workspace, webhook_id)]


def add_webhook(workspace: Workspace, *events: EventName) -> str:
    return workspace.webhooks.add(URL, events or EVENTS, "Ann")[0].id


def count_deliveries(workspace: Workspace) -> int:
    with workspace.catalog.unscoped.read_tx() as session:
        return session.scalar(select(func.count()).select_from(WebhookDeliveryRow)) or 0


def advance_time(workspace: Workspace, by: timedelta, **conditions: Any) -> None:
    """Move all times of deliveries and webhooks into the past."""
    columns = [
        WebhookDeliveryRow.next_attempt_at.key,
        WebhookDeliveryRow.last_attempt_at.key,
        WebhookDeliveryRow.first_attempt_at.key,
    ]
    with workspace.catalog.unscoped.write_tx() as session:
        for row in session.scalars(select(WebhookDeliveryRow).filter_by(**conditions)):
            for column in columns:
                if (value := getattr(row, column)) is not None:
                    setattr(row, column, value - by)
        for webhook in session.scalars(select(WebhookRow)):
            if webhook.failing_since is not None:
                webhook.failing_since -= by


def claim(workspace: Workspace, owner_id: str = THIS_PROCESS) -> ClaimedDelivery:
    claimed = workspace.delivery_queue.claim(owner_id)
    assert claimed is not None
    return claimed
