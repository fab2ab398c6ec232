"""Jobs: work that people leave to the server. A job is a row; whoever works on it is named in it.

A worker claims the oldest job that waits, or one whose worker has died, and says while it works how far it has come.
The row alone says what is so: nothing is lost with a server or a worker, and nothing is done by two at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, NotFoundError
from saccade.core.webhooks.events import JobEnded, moment, plain_values
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.queries import plain_json, project_id
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import JobRow, now
from saccade.store.io.process import is_alive
from saccade.store.webhooks.outbox_writer import tell

State = Literal["queued", "running", "finished", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("finished", "failed", "cancelled")
_SILENCE = timedelta(minutes=5)
"""A worker on another machine that has not been heard of for so long is taken to be dead."""
ATTEMPTS = 3
"""How many workers may die of a job before it is given up."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was when it was looked up.

    Attributes:
        person: the id of whoever asked for it, None for the machine itself.
        attempts: how many workers have begun it.
        is_cancelled: somebody wants it to end.
        project: the id of the one that it is of.
        progress: ``what`` is being done, ``done`` of ``total``, and a ``note``.
    """

    id: str
    person: str | None
    kind: str
    title: str
    parameters: Mapping[str, Any]
    state: State
    attempts: int
    is_cancelled: bool
    progress: Mapping[str, Any]
    result: Mapping[str, Any]
    error: str
    hint: str
    created: datetime
    started: datetime | None
    finished: datetime | None
    project: int


JobList = list[Job]


class Jobs:
    """The jobs of a workspace."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def add(
        self,
        kind: str,
        title: str,
        parameters: Mapping[str, Any],
        person: str | None = None,
        request: str | None = None,
    ) -> Job:
        """Leave work to be done.

        Args:
            request: the caller's name for it: asked for again under the same, it is the same job. ConflictError where
                what is asked for is another thing.
        """
        plain = plain_json(parameters)
        try:
            with self._catalog.writing() as session:
                row = JobRow(
                    id=new_id(),
                    project_id=project_id(session),
                    person_id=person,
                    request=_of_project(session, request),
                    kind=kind,
                    title=title[:255],
                    parameters=plain,
                    state="queued",
                    progress={},
                    result={},
                )
                session.add(row)
                session.flush()
                return _job(row)
        except IntegrityError:
            earlier = None if request is None else self.asked(kind, parameters, person, request)
            if earlier is None:
                raise
            return earlier

    def asked(self, kind: str, parameters: Mapping[str, Any], person: str | None, request: str) -> Job | None:
        """The job that somebody asked for under that name already; see :meth:`add`."""
        with self._catalog.reading() as session:
            wanted = select(JobRow).filter_by(person_id=person, request=_of_project(session, request))
            earlier = session.scalar(wanted)
        if earlier is not None and (earlier.kind, earlier.parameters) != (kind, plain_json(parameters)):
            raise ConflictError(f"Another job was asked for as '{request}'.", hint="Use a new key for a new request.")
        return None if earlier is None else _job(earlier)

    def get(self, job: str) -> Job:
        """A job; NotFoundError where there is none of that id."""
        with self._catalog.reading() as session:
            return _job(_find(session, job))

    def list(self, before: str | None = None, limit: int = 100) -> JobList:
        """Jobs, the newest first; those older than one of them."""
        with self._catalog.reading() as session:
            wanted = select(JobRow).filter_by(project_id=project_id(session))
            if before is not None:
                wanted = wanted.where(JobRow.id < before)
            return list(map(_job, session.scalars(wanted.order_by(JobRow.id.desc()).limit(limit))))

    def cancel(self, job: str) -> Job:
        """End a job: at once where it waits, as soon as its worker hears of it where it runs."""
        with self._catalog.writing() as session:
            row = _find(session, job)
            if row.state in ENDED:
                raise ConflictError(f"The job {job} has ended already: it is {row.state}.")
            row.is_cancelled = True
            if row.state == "queued":
                _end(session, row, "cancelled")
            return _job(row)

    def retry(self, job: str, person: str | None = None) -> Job:
        """Ask once more for what failed or was cancelled, as a job of its own."""
        earlier = self.get(job)
        if earlier.state not in ("failed", "cancelled"):
            raise ConflictError(f"The job {job} cannot be tried again: it is {earlier.state}.")
        return self.add(earlier.kind, earlier.title, earlier.parameters, person)

    # What workers do, in all projects

    def claimed(self, job: str) -> Job:
        """A job of any project."""
        with self._catalog.whole.reading() as session:
            return _job(session.get_one(JobRow, job))

    def are_left(self) -> bool:
        """Whether there is a job of any project that has not ended."""
        with self._catalog.whole.reading() as session:
            left = select(JobRow.id).where(JobRow.state.in_(("queued", "running"))).limit(1)
            return session.scalar(left) is not None

    def claim(self, process: str) -> Job | None:
        """The oldest job of any project that waits or whose worker has died, now this one's; None where there is none.

        A job of which several workers have died is given up: it may be what they died of.
        """
        with self._catalog.whole.writing() as session:
            waiting = select(JobRow).where(JobRow.state.in_(("queued", "running"))).order_by(JobRow.id)
            for row in session.scalars(waiting):
                if row.state == "running" and not _is_left(row):
                    continue
                if row.is_cancelled:
                    _end(session, row, "cancelled")
                elif row.attempts >= ATTEMPTS:
                    _give_up(session, row)
                else:
                    row.state, row.process, row.heartbeat, row.started = "running", process, now(), now()
                    row.attempts += 1
                    return _job(row)
        return None

    def tell(self, job: str, process: str, progress: Mapping[str, Any]) -> bool:
        """Say how far it has come; whether to go on: not where it was cancelled or is another worker's by now."""
        with self._catalog.whole.writing() as session:
            row = session.get(JobRow, job)
            if row is None or row.state != "running" or row.process != process:
                return False
            row.heartbeat = now()
            if progress:
                row.progress = plain_json(progress)
            return not row.is_cancelled

    def finish(
        self, job: str, process: str, state: State, result: Mapping[str, Any], error: str = "", hint: str = ""
    ) -> bool:
        """Record how it ended; whether it was still this worker's to end."""
        with self._catalog.whole.writing() as session:
            row = session.get(JobRow, job)
            if row is None or row.state != "running" or row.process != process:
                return False
            row.result = plain_json(result)
            _end(session, row, state, error, hint)
        return True

    def release(self, job: str, process: str, *, counts: bool) -> None:
        """Leave a job that was not ended to the next worker; ``counts``: its process died, and may die of it again."""
        with self._catalog.whole.writing() as session:
            row = session.get(JobRow, job)
            if row is None or row.state != "running" or row.process != process:
                return
            if row.is_cancelled:
                _end(session, row, "cancelled")
            elif counts and row.attempts >= ATTEMPTS:
                _give_up(session, row)
            else:
                row.state, row.process = "queued", ""
                row.attempts -= 0 if counts else 1


def _of_project(session: Session, request: str | None) -> str | None:
    """A caller's name for a request, which in another project is another one."""
    return None if request is None else f"{project_id(session)}:{request}"


def _give_up(session: Session, row: JobRow) -> None:
    error = f"The process that worked on it has died {ATTEMPTS} times."
    _end(session, row, "failed", error, "Its log says how far it came; the memory of the machine may be too small.")


def _end(session: Session, row: JobRow, state: State, error: str = "", hint: str = "") -> None:
    """The moment at which a job ends, however it does."""
    row.state, row.finished, row.error, row.hint = state, now(), error, hint
    ended = JobEnded(
        row.id,
        row.kind,
        row.title,
        state,
        row.attempts or 0,
        plain_values(row.result),
        error,
        hint,
        row.person_id,
        moment(row.created),
    )
    tell(session, f"job.{state}", ended, row.project_id)


def _is_left(row: JobRow) -> bool:
    alive = is_alive(row.process)
    return alive is False or (alive is None and now() - row.heartbeat > _SILENCE)


def _find(session: Session, job: str) -> JobRow:
    row = session.get(JobRow, job)
    if row is None or row.project_id != project_id(session):
        raise NotFoundError(f"There is no job '{job}'.", hint="'saccade jobs list' shows them.")
    return row


def _job(row: JobRow) -> Job:
    state: Any = row.state  # a string of the database, written by this module only
    return Job(
        row.id,
        row.person_id,
        row.kind,
        row.title,
        row.parameters,
        state,
        row.attempts or 0,
        bool(row.is_cancelled),
        row.progress,
        row.result,
        row.error or "",
        row.hint or "",
        row.created,
        row.started,
        row.finished,
        row.project_id,
    )
