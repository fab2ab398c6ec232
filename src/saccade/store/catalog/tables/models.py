"""Runs, models, evaluations and the history of aliases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from saccade.store.catalog.tables.base import Base, Leased, ProjectScoped, now


class RunRow(Leased, ProjectScoped, Base):
    """A run. The process that executes it owns the lease."""

    __tablename__ = "runs"
    __table_args__ = (Index(None, "kind", "name"),)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    state: Mapped[str] = mapped_column(String(16))
    config: Mapped[dict[str, Any]]
    inputs: Mapped[list[str]]
    outputs: Mapped[list[str]]
    metrics: Mapped[dict[str, Any]]
    error: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[datetime] = mapped_column(default=now)
    finished: Mapped[datetime | None]
    job_id: Mapped[str | None] = mapped_column(String(32), index=True)


class ModelRow(ProjectScoped, Base):
    """A model. A removed model keeps its row and its version counter, as a dataset does."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("project_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    last_number: Mapped[int] = mapped_column(default=0)
    created: Mapped[datetime] = mapped_column(default=now)


class ModelVersionRow(Base):
    __tablename__ = "model_versions"
    __table_args__ = (UniqueConstraint("model_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    number: Mapped[int]
    manifest: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    files: Mapped[dict[str, Any]]
    licence: Mapped[str] = mapped_column(default="")
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    inputs: Mapped[list[str]]
    created: Mapped[datetime] = mapped_column(default=now)


class ModelAliasRow(Base):
    __tablename__ = "model_aliases"
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]


class AliasChangeRow(ProjectScoped, Base):
    """One move of an alias of a model or dataset; ``number`` is None if the alias was deleted."""

    __tablename__ = "alias_changes"
    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(16))
    name: Mapped[str]
    alias: Mapped[str]
    previous: Mapped[int | None]
    number: Mapped[int | None]
    author: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime] = mapped_column(default=now)


class EvaluationRow(ProjectScoped, Base):
    __tablename__ = "evaluations"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str | None] = mapped_column(index=True)
    dataset: Mapped[str] = mapped_column(index=True)
    split: Mapped[str]
    kind: Mapped[str]
    metrics: Mapped[dict[str, Any]]
    report: Mapped[str | None] = mapped_column(String(64))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    created: Mapped[datetime] = mapped_column(default=now)
