"""Runs: one execution each of a training, a pipeline, an import …, with what went in and what came out."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from sqlalchemy import delete, select, update

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, SaccadeError, nearest
from saccade.core.webhooks.events import RunEnded, moment, numbers
from saccade.runtime.signals import interrupts_known
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.names import exact
from saccade.store.catalog.queries import made_by, plain_json, record_uses
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import DatasetRow, DatasetUseRow, RunRow, VersionRow, now
from saccade.store.io.process import is_alive, process_identity
from saccade.store.webhooks.outbox_writer import tell

State = Literal["running", "finished", "stopped", "failed", "interrupted"]
EndState = Literal["finished", "stopped", "failed"]
_SILENCE = timedelta(minutes=5)
"""A run on another machine that has not been heard of for so long is taken to be dead."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run as it was when it was looked up. ``interrupted``: its process died before it could say how it ended.

    ``job`` is the id of the job that began it.
    """

    id: str
    kind: str
    name: str
    state: State
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    metrics: Mapping[str, Any]
    created: datetime
    finished: datetime | None
    error: str
    job: str | None


@dataclass(frozen=True)
class Run(RunFacts):
    """A run on this machine, with the folder of its files."""

    folder: Path


def _state(row: RunRow) -> State:
    if row.state == "running":
        alive = is_alive(row.process)
        if alive is False or (alive is None and now() - row.heartbeat > _SILENCE):
            return "interrupted"
    found: State = row.state  # type: ignore[assignment]  # a string of the database, written by this module only
    return found


def _ended(row: RunRow) -> RunEnded:
    return RunEnded(
        row.id,
        row.kind,
        row.name,
        row.state,
        list(row.inputs),
        list(row.outputs),
        numbers(row.metrics),
        row.error,
        moment(row.created),
        row.job_id,
    )


RunList = list[Run]


class Runs:
    """The runs of a workspace, each with a folder of its own under ``runs/``.

    Attributes:
        job: the job that this process works on; the runs that it starts are of that job.
    """

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog = catalog
        self._folder = folder
        self.job: str | None = None

    def _run(self, row: RunRow) -> Run:
        return Run(
            row.id,
            row.kind,
            row.name,
            _state(row),
            row.config,
            tuple(row.inputs),
            tuple(row.outputs),
            row.metrics,
            row.created,
            row.finished,
            row.error,
            row.job_id,
            self._folder / row.id,
        )

    def start(self, kind: str, name: str, config: Mapping[str, Any], inputs: Sequence[str] = ()) -> Run:
        """Begin a run of this process; inputs are references, and are recorded as exact versions."""
        run_id = new_id()
        folder = self._folder / run_id
        folder.mkdir(parents=True)
        try:
            with self._catalog.writing() as session:
                row = RunRow(
                    id=run_id,
                    kind=kind,
                    name=name,
                    state="running",
                    config=plain_json(config),
                    inputs=record_uses(session, inputs, "run", run_id),
                    outputs=[],
                    metrics={},
                    error="",
                    process=process_identity(),
                    created=now(),
                    heartbeat=now(),
                    job_id=self.job,
                )
                session.add(row)
        except SaccadeError:
            folder.rmdir()
            raise
        return self._run(row)

    def resume(self, run_id: str) -> Run:
        """Take up a run that was interrupted, stopped or failed; ConflictError where it still runs or is finished."""
        with self._catalog.writing() as session:
            row = session.get(RunRow, run_id)
            if row is None:
                raise self._unknown(run_id)
            if _state(row) in ("running", "finished"):
                raise ConflictError(f"The run {run_id} cannot be resumed: it is {_state(row)}.")
            row.state, row.process, row.heartbeat = "running", process_identity(), now()
            row.finished, row.error = None, ""
        return self._run(row)

    def heartbeat(self, run_id: str, metrics: Mapping[str, Any] | None = None) -> None:
        """Say that a run goes on, for other machines to know; with its metrics so far where given."""
        values: dict[str, Any] = {"heartbeat": now()}
        if metrics is not None:
            values["metrics"] = plain_json(metrics)
        with self._catalog.writing() as session:
            session.execute(update(RunRow).where(RunRow.id == run_id).values(**values))

    def finish(
        self,
        run_id: str,
        state: EndState,
        metrics: Mapping[str, Any] | None = None,
        outputs: Sequence[str] = (),
        error: str = "",
    ) -> Run:
        """Record how a run ended; ConflictError where it had ended before."""
        if state not in get_args(EndState):
            raise InvalidValueError(f"A run cannot end as {state!r}.", hint=f"States: {', '.join(get_args(EndState))}.")
        with self._catalog.writing() as session:
            row = session.get(RunRow, run_id)
            if row is None:
                raise self._unknown(run_id)
            if row.state != "running":
                raise ConflictError(f"The run {run_id} has ended already: it is {row.state}.")
            row.state, row.finished, row.error = state, now(), error
            row.outputs = list(outputs)
            if metrics is not None:
                row.metrics = plain_json(metrics)
            tell(session, f"run.{state}", _ended(row))
        return self._run(row)

    @contextmanager
    def noting_failure(self, run_id: str) -> Iterator[None]:
        """While this lasts, whatever is raised, also to cancel, ends the run as failed."""
        try:
            with interrupts_known():
                yield
        except BaseException as error:
            self.finish(run_id, "failed", error=str(error) or type(error).__name__)
            raise

    def get(self, run_id: str) -> Run:
        """The run of that id; NotFoundError where there is none."""
        with self._catalog.reading() as session:
            row = session.get(RunRow, run_id)
        if row is None:
            raise self._unknown(run_id)
        return self._run(row)

    def process_of(self, run_id: str) -> str:
        """The identity of the process that runs or ran it, as :func:`saccade.store.io.process.is_alive` takes it."""
        with self._catalog.reading() as session:
            row = session.get(RunRow, run_id)
        if row is None:
            raise self._unknown(run_id)
        return row.process

    def remove(self, run_id: str) -> None:
        """Forget a run and remove its folder; ConflictError where it runs, or made a version that is still there."""
        with self._catalog.writing() as session:
            row = session.get(RunRow, run_id)
            if row is None:
                raise self._unknown(run_id)
            if _state(row) == "running":
                raise ConflictError(f"The run {run_id} still runs.", hint=f"Stop it: saccade runs cancel {run_id}")
            if owned := made_by(session, run_id):
                raise ConflictError(f"The run {run_id} made {owned}, whose history it is.")
            session.execute(
                delete(DatasetUseRow).where(DatasetUseRow.user_kind == "run", DatasetUseRow.user_ref == run_id)
            )
            session.delete(row)
        shutil.rmtree(self._folder / run_id, ignore_errors=True)

    def _unknown(self, run_id: str) -> NotFoundError:
        with self._catalog.reading() as session:
            known = session.scalars(select(RunRow.id).order_by(RunRow.created.desc()).limit(1000)).all()
        return NotFoundError(f"There is no run '{run_id}'.", hint=nearest(run_id, known))

    def list(self, kind: str | None = None, name: str | None = None) -> RunList:
        """Runs, the newest first, of this kind and name where given."""
        wanted = select(RunRow).order_by(RunRow.created.desc(), RunRow.id.desc())
        if kind is not None:
            wanted = wanted.where(RunRow.kind == kind)
        if name is not None:
            wanted = wanted.where(RunRow.name == name)
        with self._catalog.reading() as session:
            return [self._run(row) for row in session.scalars(wanted)]

    def of_job(self, job: str) -> RunList:
        """The runs that a job began, the newest first."""
        wanted = select(RunRow).where(RunRow.job_id == job).order_by(RunRow.created.desc(), RunRow.id.desc())
        with self._catalog.reading() as session:
            return [self._run(row) for row in session.scalars(wanted)]

    def version_made(self, run_id: str) -> str | None:
        """The dataset version that a run made, also where the run died before it could say so."""
        with self._catalog.reading() as session:
            made = select(DatasetRow.name, VersionRow.number).join(VersionRow, VersionRow.dataset_id == DatasetRow.id)
            found = session.execute(made.where(VersionRow.run_id == run_id)).first()
        return None if found is None else exact(*found)

    def latest(self, kind: str, name: str, states: Iterable[str] | None = None) -> Run | None:
        """The newest run of this kind and name, in one of these states where given; None where there is none."""
        wanted = None if states is None else set(states)
        return next((run for run in self.list(kind, name) if wanted is None or run.state in wanted), None)
