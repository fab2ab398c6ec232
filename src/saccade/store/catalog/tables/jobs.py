"""Background jobs and idempotency keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from saccade.store.catalog.tables.base import Base, Leased, ProjectScoped, now


class JobRow(Leased, ProjectScoped, Base):
    """A background job.

    ``parameters`` are for display, with redacted URLs. ``secret_parameters`` are the full ones if they differ: only the
    worker reads them, and they are deleted when the job ends. ``has_secrets`` stays.
    ``idempotency_key`` is the client's, prefixed with the project. A worker owns the lease.
    """

    __tablename__ = "jobs"
    __table_args__ = (UniqueConstraint("user_id", "idempotency_key"),)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    idempotency_key: Mapped[str | None]
    kind: Mapped[str] = mapped_column(String(32))
    title: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    secret_parameters: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    has_secrets: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(String(16), index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    progress: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any]]
    error: Mapped[str] = mapped_column(Text, default="")
    hint: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[datetime] = mapped_column(default=now)
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]


class IdempotentRequestRow(ProjectScoped, Base):
    """A request with an idempotency key, and the stored response.

    ``fingerprint`` identifies the content of the request. ``process`` is the server that handles the request, "" if its
    outcome is unknown. ``body`` is None if the response contained a secret.
    """

    __tablename__ = "idempotent_requests"
    __table_args__ = (UniqueConstraint("project_id", "user_id", "key_hash"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    key_hash: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[str] = mapped_column(String(64))
    process: Mapped[str]
    status: Mapped[int | None]
    body: Mapped[str | None] = mapped_column(Text)
    etag: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=now, index=True)
