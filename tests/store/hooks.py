"""What the tests of webhooks in the store share."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from saccade.core.webhooks.events import EVENTS, EventName
from saccade.store.catalog.tables import WebhookDeliveryRow, WebhookRow
from saccade.store.io.process import host_name, process_identity
from saccade.store.webhooks.delivery_queue import Outcome, Sending
from saccade.store.workspace import Workspace

HERE = process_identity()
DEAD = f"{host_name()}~{2**22 + 1}~1"
ELSEWHERE = "another-machine~17~3"
URL = "https://example.org/told"
GOOD, BAD = Outcome(200, "", 5), Outcome(500, "The answer was 500.", 5)


def told(workspace: Workspace, hook: str) -> list[tuple[str, Any]]:
    """What a webhook will be told, in order."""
    found = workspace.webhooks.deliveries(hook)[::-1]
    bodies = [json.loads(one.body) for one in found]
    assert [one["type"] for one in bodies] == [one.event for one in found]
    return [(one["type"], one["data"]) for one in bodies]


def names(workspace: Workspace, hook: str) -> list[str]:
    return [name for name, _ in told(workspace, hook)]


def hooked(workspace: Workspace, *events: EventName) -> str:
    return workspace.webhooks.add(URL, events or EVENTS, "Ann")[0].id


def count(workspace: Workspace) -> int:
    with workspace.catalog.whole.reading() as session:
        return session.scalar(select(func.count()).select_from(WebhookDeliveryRow)) or 0


def age(workspace: Workspace, by: timedelta, **where: Any) -> None:
    """Let so much time pass for what a webhook is told."""
    moved = {name: getattr(WebhookDeliveryRow, name) for name in ("due", "tried", "began")}
    with workspace.catalog.whole.writing() as session:
        for row in session.scalars(select(WebhookDeliveryRow).filter_by(**where)):
            for name in moved:
                if (value := getattr(row, name)) is not None:
                    setattr(row, name, value - by)
        for hook in session.scalars(select(WebhookRow)):
            if hook.failing_since is not None:
                hook.failing_since -= by


def claimed(workspace: Workspace, process: str = HERE) -> Sending:
    found = workspace.outbox.claim(process)
    assert found is not None
    return found
