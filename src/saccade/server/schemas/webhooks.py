"""Webhooks and their deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from saccade.core.webhooks.events import EventName
from saccade.server.schemas.base import RequestModel, ResponseModel


class DeliveryResponse(ResponseModel):
    """A delivery of one event, with the result of the last attempt.

    ``tried`` and ``took`` (milliseconds) describe the last attempt, ``due`` is the time of the next one.
    """

    number: int
    id: str
    event: str
    state: Literal["waiting", "sending", "delivered", "failed"]
    attempts: int
    created: datetime
    due: datetime
    tried: datetime | None
    took: int | None
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
    is_on: bool | None = None


class WebhookResponse(ResponseModel):
    """A webhook.

    ``trouble`` says why Saccade disabled it; empty if a user did. ``waiting`` counts pending deliveries.
    """

    id: str
    url: str
    events: list[EventName]
    is_on: bool
    trouble: str
    failing_since: datetime | None
    author: str
    created: datetime
    waiting: int
    last: DeliveryResponse | None


class WebhookCreated(WebhookResponse):
    """A webhook with its signing secret, which is shown only once."""

    secret: str
