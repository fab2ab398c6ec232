"""Datasets: versions, branches, aliases, saved views and lineage edges."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from saccade.store.catalog.tables.base import Base, ProjectScoped, new_uid, now


class DatasetRow(ProjectScoped, Base):
    """A dataset.

    A removed dataset keeps its row and its version counter, so that ``name@7`` never names two different versions.
    ``uid`` is the same in every workspace that the dataset is copied to.
    """

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("project_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    uid: Mapped[str] = mapped_column(String(32), default=new_uid, server_default="")
    last_number: Mapped[int] = mapped_column(default=0)
    created: Mapped[datetime] = mapped_column(default=now)
    removed: Mapped[datetime | None]


class VersionRow(Base):
    """A dataset version: the Lance table that holds it and the version of that table.

    ``table_version`` is text because Lance's version numbers exceed 63 bits. ``merged`` is the version that was merged
    into ``parent``. ``origin`` is the recorded lineage of a version that was created in another workspace.
    """

    __tablename__ = "dataset_versions"
    __table_args__ = (UniqueConstraint("dataset_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"))
    number: Mapped[int]
    branch: Mapped[str]
    parent: Mapped[int | None]
    merged: Mapped[int | None]
    table_id: Mapped[str] = mapped_column(String(32))
    table_version: Mapped[str] = mapped_column(String(24))
    schema: Mapped[dict[str, Any]]
    message: Mapped[str] = mapped_column(Text, default="")
    author: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=now)
    items: Mapped[int]
    added: Mapped[int]
    removed: Mapped[int]
    changed: Mapped[int]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    inputs: Mapped[list[str]]
    origin: Mapped[dict[str, Any] | None]


class BranchRow(Base):
    __tablename__ = "dataset_branches"
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    head: Mapped[int]
    created: Mapped[datetime] = mapped_column(default=now)


class DatasetAliasRow(Base):
    """A name for a version; a fixed one (a tag) never moves."""

    __tablename__ = "dataset_aliases"
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    fixed: Mapped[bool] = mapped_column(default=False, server_default=false())


class DatasetViewRow(Base):
    """A saved view: the filters of the items screen under a name."""

    __tablename__ = "dataset_views"
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    filters: Mapped[dict[str, Any]]
    author: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=now)


class DatasetUseRow(Base):
    """A lineage edge: a run, model, evaluation or other dataset version that has a dataset version as its input."""

    __tablename__ = "dataset_uses"
    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), index=True)
    number: Mapped[int]
    user_kind: Mapped[str] = mapped_column(String(16))
    user_ref: Mapped[str]
