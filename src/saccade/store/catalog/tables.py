"""The tables of the catalog."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, MetaData, String, Text, TypeDecorator, false
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DEFAULT_PROJECT = "default"


def now() -> datetime:
    return datetime.now(UTC)


def new_uid() -> str:
    return uuid.uuid4().hex


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, kept as naive UTC because SQLite keeps no zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (read by SQLAlchemy, which fixes its form)
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        str: String(255),
    }


class ProjectRow(Base):
    __tablename__ = "projects"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created: Mapped[datetime] = mapped_column(default=now)


class InProject:
    """A row of one project: in a session of another one it is not there; see :mod:`saccade.store.catalog.session`."""

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True, nullable=True)


class RunRow(InProject, Base):
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
    process: Mapped[str]
    heartbeat: Mapped[datetime] = mapped_column(default=now)
    created: Mapped[datetime] = mapped_column(default=now)
    finished: Mapped[datetime | None]
    job_id: Mapped[str | None] = mapped_column(String(32), index=True)


class JobRow(InProject, Base):
    """Work that somebody left to the server. ``request`` is the caller's own name for it, with which asking twice is
    asking once; ``process`` is the worker that does it."""

    __tablename__ = "jobs"
    __table_args__ = (Unique("person_id", "request"),)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    person_id: Mapped[str | None] = mapped_column(ForeignKey("people.id"))
    request: Mapped[str | None]
    kind: Mapped[str] = mapped_column(String(32))
    title: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16), index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    is_cancelled: Mapped[bool] = mapped_column(default=False)
    process: Mapped[str] = mapped_column(default="")
    heartbeat: Mapped[datetime] = mapped_column(default=now)
    progress: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any]]
    error: Mapped[str] = mapped_column(Text, default="")
    hint: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[datetime] = mapped_column(default=now)
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]


class DatasetRow(InProject, Base):
    """A dataset. A removed one keeps its row and its count of versions, so that ``name@7`` never means two things.

    ``uid`` is the same in every workspace that the dataset is copied to.
    """

    __tablename__ = "datasets"
    __table_args__ = (Unique("project_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    uid: Mapped[str] = mapped_column(String(32), default=new_uid, server_default="")
    last_number: Mapped[int] = mapped_column(default=0)
    created: Mapped[datetime] = mapped_column(default=now)
    removed: Mapped[datetime | None]


class VersionRow(Base):
    """A version: which Lance table, at which of its versions (text, because it exceeds 63 bits).

    ``merged`` is the version that was merged into ``parent``; ``origin`` is what is known of a version that was made in
    another workspace.
    """

    __tablename__ = "dataset_versions"
    __table_args__ = (Unique("dataset_id", "number"),)
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
    """How somebody looked at a dataset, kept under a name."""

    __tablename__ = "dataset_views"
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    filters: Mapped[dict[str, Any]]
    author: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=now)


class DatasetUseRow(Base):
    """That a dataset version went into something: a run, a model, an evaluation, another dataset's version."""

    __tablename__ = "dataset_uses"
    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), index=True)
    number: Mapped[int]
    user_kind: Mapped[str] = mapped_column(String(16))
    user_ref: Mapped[str]


class ModelRow(InProject, Base):
    """A model. A removed one keeps its row, as a dataset does."""

    __tablename__ = "models"
    __table_args__ = (Unique("project_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    last_number: Mapped[int] = mapped_column(default=0)
    created: Mapped[datetime] = mapped_column(default=now)


class ModelVersionRow(Base):
    __tablename__ = "model_versions"
    __table_args__ = (Unique("model_id", "number"),)
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


class AliasChangeRow(InProject, Base):
    """Every move of an alias, for the record: ``number`` is None where it was taken away."""

    __tablename__ = "alias_changes"
    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(16))
    name: Mapped[str]
    alias: Mapped[str]
    previous: Mapped[int | None]
    number: Mapped[int | None]
    author: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime] = mapped_column(default=now)


class EvaluationRow(InProject, Base):
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


class PersonRow(Base):
    """Somebody who may sign in. One who was removed keeps the row, so that what they did stays theirs.

    ``former`` is a digest of the address that somebody removed had, so that they are known for who they were.
    """

    __tablename__ = "people"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password: Mapped[str | None]
    created: Mapped[datetime] = mapped_column(default=now)
    removed: Mapped[datetime | None]
    former: Mapped[str | None] = mapped_column(String(64), index=True)


class IdentityRow(Base):
    """Somebody as a provider of single sign-on knows them: by a subject, which is never another one's."""

    __tablename__ = "identities"
    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    created: Mapped[datetime] = mapped_column(default=now)


class SignInRow(Base):
    """A single sign-on that is not finished. ``secret`` is a digest of what the cookie of its browser holds.

    Without a subject the provider is still to say who it is; with one the account is still to give its password.
    """

    __tablename__ = "sign_ins"
    secret: Mapped[str] = mapped_column(String(64), primary_key=True)
    project: Mapped[str] = mapped_column(default="")
    path: Mapped[str] = mapped_column(Text, default="")
    issuer: Mapped[str | None]
    subject: Mapped[str | None]
    email: Mapped[str] = mapped_column(default="")
    expires: Mapped[datetime]


class FailureRow(Base):
    """Tries to sign in that failed, by a digest of the address, whether there is somebody of that address or not."""

    __tablename__ = "sign_in_failures"
    email: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    last: Mapped[datetime] = mapped_column(default=now)


class MemberRow(InProject, Base):
    """What somebody is in a project."""

    __tablename__ = "members"
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    since: Mapped[datetime] = mapped_column(default=now)


class InvitationRow(InProject, Base):
    """A link with which one person may join a project, once. ``secret`` is a digest of what is in it."""

    __tablename__ = "invitations"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    secret: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str]
    role: Mapped[str] = mapped_column(String(16))
    invited_by: Mapped[str | None] = mapped_column(ForeignKey("people.id"))
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]
    accepted: Mapped[datetime | None]


class SessionRow(Base):
    """Somebody who is signed in with a browser. ``secret`` is a digest of what the cookie holds."""

    __tablename__ = "sessions"
    secret: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    guard: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(default=now)
    seen: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]


class TokenRow(InProject, Base):
    """What a program signs in with. ``secret`` is a digest of it; it may no more than ``role`` says."""

    __tablename__ = "tokens"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    name: Mapped[str]
    secret: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    created: Mapped[datetime] = mapped_column(default=now)
    used: Mapped[datetime | None]
    expires: Mapped[datetime]


class AuditRow(InProject, Base):
    """What somebody did, or tried to. Rows are added and never changed."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("people.id"))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str]
    address: Mapped[str] = mapped_column(String(64), default="")


class RequestRow(InProject, Base):
    """A request that somebody gave a ``name``, and what was answered to it. ``name`` and ``asked`` are digests of the
    name and of what is asked for, ``process`` is the server that does it, "" where that failed; ``body`` is None where
    it holds a secret."""

    __tablename__ = "requests"
    __table_args__ = (Unique("project_id", "person_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"))
    name: Mapped[str] = mapped_column(String(64))
    asked: Mapped[str] = mapped_column(String(64))
    process: Mapped[str]
    status: Mapped[int | None]
    body: Mapped[str | None] = mapped_column(Text)
    etag: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=now, index=True)


class WebhookRow(InProject, Base):
    """An address that is told of events. ``secret`` is kept as it is, since signing needs it; ``previous`` is the one
    before it, with which is signed too until ``previous_until``."""

    __tablename__ = "webhooks"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[str]]
    secret: Mapped[str]
    previous: Mapped[str | None]
    previous_until: Mapped[datetime | None]
    is_on: Mapped[bool]
    trouble: Mapped[str] = mapped_column(Text, default="")
    failing_since: Mapped[datetime | None]
    author: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=now)


class WebhookDeliveryRow(Base):
    """That a webhook is to be told of an event, and how that went; added together with what happened.

    ``number`` is the order in which things happened, ``id`` is what receivers know it by, ``process`` is the worker
    that sends it, ``began`` is when it was first tried.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index(None, "webhook_id", "number"), Index(None, "state", "due"))
    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id"))
    event: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(default=now)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    due: Mapped[datetime] = mapped_column(default=now)
    process: Mapped[str] = mapped_column(default="")
    began: Mapped[datetime | None]
    tried: Mapped[datetime | None]
    took: Mapped[int | None]
    status: Mapped[int | None]
    error: Mapped[str] = mapped_column(Text, default="")
