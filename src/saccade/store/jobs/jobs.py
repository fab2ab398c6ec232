"""The queue of background jobs.

A job is a row of the catalog. A worker claims the oldest queued job, or a running one whose worker has died, and sends
heartbeats with its progress. Because the row is the only state, no job is lost with a server or worker, and no job is
run by two workers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, NotFoundError
from saccade.core.records.jobs import FINAL_STATES, Job, JobState
from saccade.core.urls import redact_text, redact_values
from saccade.core.webhooks.events import JobEnded, short_values, to_iso8601
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.leases import claim_lease, is_lease_expired
from saccade.store.catalog.queries import project_id, to_jsonable
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import JobRow, now
from saccade.store.webhooks.outbox_writer import publish_event

MAX_ATTEMPTS = 3
"""How many workers may die while they run a job before it fails."""


JobList = list[Job]


class Jobs:
    """The jobs of a project, and the queue of all projects for workers."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def add(
        self,
        kind: str,
        title: str,
        parameters: Mapping[str, Any],
        user_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Add a job to the queue.

        Args:
            kind: the type of job.
            title: its title in lists.
            parameters: the parameters of its kind.
            user_id: the user who creates it, None for the system.
            idempotency_key: with a key that the user has used before, the earlier job is returned.

        Raises:
            ConflictError: the key was used for a different job.
        """
        plain = to_jsonable(parameters)
        shown = redact_values(plain)
        try:
            with self._catalog.write_tx() as session:
                row = JobRow(
                    id=new_id(),
                    project_id=project_id(session),
                    user_id=user_id,
                    idempotency_key=_scoped_key(session, idempotency_key),
                    kind=kind,
                    title=redact_text(title)[:255],
                    parameters=shown,
                    secret_parameters=None if shown == plain else plain,
                    has_secrets=shown != plain,
                    state="queued",
                    progress={},
                    result={},
                )
                session.add(row)
                session.flush()
                return _to_job(row)
        except IntegrityError:  # the pair of user and key must be unique
            earlier = None if idempotency_key is None else self.find_by_key(kind, parameters, user_id, idempotency_key)
            if earlier is None:
                raise
            return earlier

    def find_by_key(
        self, kind: str, parameters: Mapping[str, Any], user_id: str | None, idempotency_key: str
    ) -> Job | None:
        """Return the job that a user created with an idempotency key, or None if there is none.

        Args:
            kind: the expected kind of job.
            parameters: the expected parameters.
            user_id: the user who created it.
            idempotency_key: the key.

        Raises:
            ConflictError: the key was used for a different job.
        """
        with self._catalog.read_tx() as session:
            query = select(JobRow).filter_by(user_id=user_id, idempotency_key=_scoped_key(session, idempotency_key))
            earlier = session.scalar(query)
        # Credentials are not compared: those of the earlier job are deleted when it ends.
        if earlier is not None and (earlier.kind, earlier.parameters) != (kind, redact_values(to_jsonable(parameters))):
            raise ConflictError(
                f"The key '{idempotency_key}' was used for a different job.", hint="Use a new key for a new request."
            )
        return None if earlier is None else _to_job(earlier)

    def get(self, job_id: str) -> Job:
        """Return a job of the project.

        Raises:
            NotFoundError: there is no such job.
        """
        with self._catalog.read_tx() as session:
            return _to_job(_find(session, job_id))

    def list(self, before: str | None = None, limit: int = 100) -> JobList:
        """List the jobs of the project, the newest first; ``before`` is the id of a job to page from."""
        with self._catalog.read_tx() as session:
            query = select(JobRow).filter_by(project_id=project_id(session))
            if before is not None:
                query = query.where(JobRow.id < before)
            return list(map(_to_job, session.scalars(query.order_by(JobRow.id.desc()).limit(limit))))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job: a queued one at once, a running one at the next heartbeat of its worker.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: the job has ended.
        """
        with self._catalog.write_tx() as session:
            row = _find(session, job_id)
            if row.state in FINAL_STATES:
                raise ConflictError(f"The job {job_id} has already ended: it is {row.state}.")
            row.cancel_requested = True
            if row.state == "queued":
                _end(session, row, "cancelled")
            return _to_job(row)

    def retry(self, job_id: str, user_id: str | None = None) -> Job:
        """Add a copy of a failed or cancelled job to the queue.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: the job is in another state, or its URL had credentials, which are deleted by now.
        """
        earlier = self.get(job_id)
        if earlier.state not in ("failed", "cancelled"):
            raise ConflictError(f"The job {job_id} cannot be retried: it is {earlier.state}.")
        if earlier.has_secrets:
            raise ConflictError(
                f"The job {job_id} cannot be retried: the credentials in its URL were deleted when it ended.",
                hint="Start it again with the full URL.",
            )
        return self.add(earlier.kind, earlier.title, earlier.parameters, user_id)

    # For workers, in all projects

    def get_unscoped(self, job_id: str) -> Job:
        """Return a job of any project, which must exist, with its full parameters."""
        with self._catalog.unscoped.read_tx() as session:
            return _to_job(session.get_one(JobRow, job_id), with_secrets=True)

    def has_pending(self) -> bool:
        """Return whether any project has a queued or running job."""
        with self._catalog.unscoped.read_tx() as session:
            pending = select(JobRow.id).where(JobRow.state.in_(("queued", "running"))).limit(1)
            return session.scalar(pending) is not None

    def claim(self, owner_id: str) -> Job | None:
        """Claim the oldest job of any project that is queued or whose worker has died.

        A job fails after :data:`MAX_ATTEMPTS` dead workers: it may be what they died of.

        Args:
            owner_id: the lease owner id of the worker.

        Returns:
            The job with its full parameters, or None if there is none to run.
        """
        with self._catalog.unscoped.write_tx() as session:
            pending = select(JobRow).where(JobRow.state.in_(("queued", "running"))).order_by(JobRow.id)
            for row in session.scalars(pending):
                # On this machine a dead worker is recognised at once; on others the lease has to expire.
                if row.state == "running" and not is_lease_expired(row.process, row.heartbeat):
                    continue
                if row.cancel_requested:
                    _end(session, row, "cancelled")
                elif row.attempts >= MAX_ATTEMPTS:
                    _fail(session, row)
                else:
                    row.state = "running"
                    claim_lease(row, owner_id)
                    row.started = now()
                    row.attempts += 1
                    return _to_job(row, with_secrets=True)
        return None

    def heartbeat(self, job_id: str, owner_id: str, progress: Mapping[str, Any]) -> bool:
        """Extend the lease of a running job and record its progress, unless that is empty.

        Returns:
            Whether to continue: False if the job was cancelled or is now another worker's.
        """
        with self._catalog.unscoped.write_tx() as session:
            row = _find_claimed(session, job_id, owner_id)
            if row is None:
                return False
            row.heartbeat = now()
            if progress:
                row.progress = redact_values(to_jsonable(progress))
            return not row.cancel_requested

    def finish(
        self, job_id: str, owner_id: str, state: JobState, result: Mapping[str, Any], error: str = "", hint: str = ""
    ) -> bool:
        """Record the end of a job.

        Args:
            job_id: the job.
            owner_id: the lease owner id of the worker.
            state: its final state.
            result: the result of its kind.
            error: why it failed.
            hint: what to do about it.

        Returns:
            Whether it was recorded: False if the job is now another worker's.
        """
        with self._catalog.unscoped.write_tx() as session:
            row = _find_claimed(session, job_id, owner_id)
            if row is None:
                return False
            row.result = redact_values(to_jsonable(result))
            _end(session, row, state, error, hint)
        return True

    def requeue(self, job_id: str, owner_id: str, *, count_attempt: bool) -> None:
        """Return a claimed job to the queue.

        Args:
            job_id: the job.
            owner_id: the lease owner id of the worker.
            count_attempt: whether its process died, and the attempt counts towards :data:`MAX_ATTEMPTS`.
        """
        with self._catalog.unscoped.write_tx() as session:
            row = _find_claimed(session, job_id, owner_id)
            if row is None:
                return
            if row.cancel_requested:
                _end(session, row, "cancelled")
            elif count_attempt and row.attempts >= MAX_ATTEMPTS:
                _fail(session, row)
            else:
                row.state = "queued"
                row.process = ""
                row.attempts -= 0 if count_attempt else 1  # claim counts the attempt in advance


def _scoped_key(session: Session, idempotency_key: str | None) -> str | None:
    """Prefix an idempotency key with the project, because the unique constraint covers all projects."""
    return None if idempotency_key is None else f"{project_id(session)}:{idempotency_key}"


def _fail(session: Session, row: JobRow) -> None:
    error = f"The worker process died {MAX_ATTEMPTS} times."
    _end(session, row, "failed", error, "See the log of the job; the machine may have too little memory.")


def _end(session: Session, row: JobRow, state: JobState, error: str = "", hint: str = "") -> None:
    row.state = state
    row.finished = now()
    row.secret_parameters = None
    row.error = redact_text(error)
    row.hint = hint
    ended = JobEnded(
        row.id,
        row.kind,
        row.title,
        state,
        row.attempts or 0,
        short_values(row.result),
        row.error,
        hint,
        row.user_id,
        to_iso8601(row.created),
    )
    publish_event(session, f"job.{state}", ended, row.project_id)


def _find(session: Session, job_id: str) -> JobRow:
    row = session.get(JobRow, job_id)
    if row is None or row.project_id != project_id(session):
        raise NotFoundError(f"There is no job '{job_id}'.", hint="List them: saccade jobs list")
    return row


def _find_claimed(session: Session, job_id: str, owner_id: str) -> JobRow | None:
    row = session.get(JobRow, job_id)
    return row if row is not None and row.state == "running" and row.process == owner_id else None


def _to_job(row: JobRow, *, with_secrets: bool = False) -> Job:
    state: Any = row.state  # only this module writes it
    parameters = redact_values(row.parameters)  # earlier versions stored the full ones
    if with_secrets:
        parameters = row.parameters if row.secret_parameters is None else row.secret_parameters
    return Job(
        row.id,
        row.user_id,
        row.kind,
        row.title,
        parameters,
        state,
        row.attempts or 0,
        bool(row.cancel_requested),
        row.progress,
        row.result,
        row.error or "",
        row.hint or "",
        row.created,
        row.started,
        row.finished,
        row.project_id,
        bool(row.has_secrets) or parameters != row.parameters,
    )
