"""Webhooks and their deliveries."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from saccade.store.catalog.tables.base import Base, ProjectScoped, now


class WebhookRow(ProjectScoped, Base):
    """A webhook endpoint.

    ``secret`` is stored in plain text because signing needs it. ``previous_secret`` is the one before the last
    rotation; deliveries are signed with it, too, until it expires. ``disabled_reason`` says why the webhook was
    disabled automatically.
    """

    __tablename__ = "webhooks"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[str]]
    secret: Mapped[str]
    previous_secret: Mapped[str | None]
    previous_secret_expires_at: Mapped[datetime | None]
    enabled: Mapped[bool]
    disabled_reason: Mapped[str] = mapped_column(Text, default="")
    failing_since: Mapped[datetime | None]
    author: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=now)


class WebhookDeliveryRow(Base):
    """A delivery of one event to one webhook (the transactional outbox).

    ``number`` is the order of the events, ``id`` the delivery id that receivers see. ``process`` is the lease owner:
    the worker that sends it. ``duration_ms``, ``status`` and ``error`` describe the last attempt.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index(None, "webhook_id", "number"), Index(None, "state", "next_attempt_at"))
    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id"))
    event: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(default=now)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(default=now)
    process: Mapped[str] = mapped_column(default="")
    first_attempt_at: Mapped[datetime | None]
    last_attempt_at: Mapped[datetime | None]
    duration_ms: Mapped[int | None]
    status: Mapped[int | None]
    error: Mapped[str] = mapped_column(Text, default="")
