"""Webhooks and their deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from saccade.core.webhooks.events import EventName
from saccade.server.schemas.base import RequestModel, ResponseModel


class DeliveryResponse(ResponseModel):
    """A delivery of one event, with the result of the last attempt.

    ``last_attempt_at`` and ``duration_ms`` describe the last attempt, ``next_attempt_at`` is the time of the next one.
    """

    number: int
    id: str
    event: str
    state: Literal["pending", "sending", "delivered", "failed"]
    attempts: int
    created: datetime
    next_attempt_at: datetime
    last_attempt_at: datetime | None
    duration_ms: int | None
    status: int | None
    error: str
    body: str


class DeliveryPage(ResponseModel):
    """A page of deliveries, newest first. Pass ``next`` as ``before`` for the next page."""

    deliveries: list[DeliveryResponse]
    next: int | None


class RedeliveryResponse(ResponseModel):
    """Number of deliveries that were queued again."""

    count: int


class WebhookCreate(RequestModel):
    """URL and events of a new webhook; all events if null."""

    url: str = Field(max_length=2000)
    events: list[EventName] | None = Field(None, max_length=100)


class WebhookUpdate(RequestModel):
    """Changes to a webhook; null fields stay as they are."""

    url: str | None = Field(None, max_length=2000)
    events: list[EventName] | None = Field(None, max_length=100)
    enabled: bool | None = None


class WebhookResponse(ResponseModel):
    """A webhook.

    ``disabled_reason`` says why Saccade disabled it; empty if a user did. ``pending`` counts pending deliveries.
    """

    id: str
    url: str
    events: list[EventName]
    enabled: bool
    disabled_reason: str
    failing_since: datetime | None
    author: str
    created: datetime
    pending: int
    last: DeliveryResponse | None


class WebhookCreated(WebhookResponse):
    """A webhook with its signing secret, which is shown only once."""

    secret: str
