"""Webhooks and what they were told."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from saccade.core.webhooks.events import EventName
from saccade.server.schemas.base import Answer, Given


class DeliveryAnswer(Answer):
    """What a webhook is told of one event, and how the last attempt went; ``due`` is the next, where it waits."""

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


class DeliveryPage(Answer):
    """Newest first; ``next`` as ``before`` gives the next page."""

    deliveries: list[DeliveryAnswer]
    next: int | None


class SentAgain(Answer):
    """How many deliveries wait once more."""

    count: int


class NewWebhook(Given):
    """An address, and the events that it is told of; all of them where none are named."""

    url: str = Field(max_length=2000)
    events: list[EventName] | None = Field(None, max_length=100)


class WebhookChange(Given):
    url: str | None = Field(None, max_length=2000)
    events: list[EventName] | None = Field(None, max_length=100)
    is_on: bool | None = None


class WebhookAnswer(Answer):
    """A webhook; ``trouble`` says why it is off where nobody switched it off, ``waiting`` what is still to be sent."""

    id: str
    url: str
    events: list[EventName]
    is_on: bool
    trouble: str
    failing_since: datetime | None
    author: str
    created: datetime
    waiting: int
    last: DeliveryAnswer | None


class WebhookMade(WebhookAnswer):
    """With the secret with which it signs, which is shown once."""

    secret: str
