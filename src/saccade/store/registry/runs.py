"""Runs: single executions of a training, pipeline, import …, with their inputs, outputs and metrics."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import delete, select, update

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, SaccadeError, suggest
from saccade.core.records.runs import EndState, RunInfo, RunState
from saccade.core.refs import format_ref
from saccade.core.urls import redact_text, redact_values
from saccade.core.webhooks.events import RunEnded, finite_numbers, to_iso8601
from saccade.io.atomic import make_private_dir
from saccade.runtime.process import lease_owner_id
from saccade.runtime.signals import reraise_interrupts
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.leases import claim_lease, is_lease_expired
from saccade.store.catalog.queries import add_lineage, outputs_of_run, to_jsonable
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import DatasetRow, DatasetUseRow, RunRow, VersionRow, now
from saccade.store.webhooks.outbox_writer import publish_event

_MAX_SUGGESTED_RUNS = 1000


@dataclass(frozen=True)
class Run(RunInfo):
    """A run on this machine, with the folder of its files."""

    folder: Path


def _state(row: RunRow) -> RunState:
    if row.state == "running" and is_lease_expired(row.process, row.heartbeat):
        return "interrupted"
    state: RunState = row.state  # type: ignore[assignment]  # only this module writes it
    return state


def _run_ended_event(row: RunRow) -> RunEnded:
    return RunEnded(
        row.id,
        row.kind,
        row.name,
        row.state,
        list(row.inputs),
        list(row.outputs),
        finite_numbers(row.metrics),
        row.error,
        to_iso8601(row.created),
        row.job_id,
    )


RunList = list[Run]


class Runs:
    """The runs of a project, each with a folder in ``runs/``.

    Attributes:
        job_id: the job that this process runs, None if there is none; runs started here are recorded as the job's.
    """

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog = catalog
        self._folder = folder
        self.job_id: str | None = None

    def _to_run(self, row: RunRow) -> Run:
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
        """Start a run in this process.

        Args:
            kind: the type of run: "train", "import", "predict" …
            name: what is run: the name of a recipe, pipeline, dataset …
            config: its configuration; stored with redacted URLs.
            inputs: references of the inputs; they are recorded as exact references.

        Raises:
            NotFoundError: an input does not exist.
        """
        run_id = new_id()
        folder = self._folder / run_id
        make_private_dir(folder)  # before the row, so that every run in the catalog has a folder
        try:
            with self._catalog.write_tx() as session:
                row = RunRow(
                    id=run_id,
                    kind=kind,
                    name=name,
                    state="running",
                    config=redact_values(to_jsonable(config)),
                    inputs=add_lineage(session, inputs, "run", run_id),
                    outputs=[],
                    metrics={},
                    error="",
                    process=lease_owner_id(),
                    created=now(),
                    heartbeat=now(),
                    job_id=self.job_id,
                )
                session.add(row)
        except SaccadeError:
            folder.rmdir()
            raise
        return self._to_run(row)

    def resume(self, run_id: str) -> Run:
        """Continue an interrupted, stopped or failed run in this process.

        Raises:
            NotFoundError: there is no such run.
            ConflictError: the run is running or finished.
        """
        with self._catalog.write_tx() as session:
            row = session.get(RunRow, run_id)
            if row is None:
                raise self._not_found(run_id)
            if _state(row) in ("running", "finished"):
                raise ConflictError(f"The run {run_id} cannot be resumed: it is {_state(row)}.")
            row.state = "running"
            # The job that started it has ended, and cannot cancel it any more.
            row.job_id = self.job_id
            claim_lease(row, lease_owner_id())
            row.finished = None
            row.error = ""
        return self._to_run(row)

    def heartbeat(self, run_id: str, metrics: Mapping[str, Any] | None = None) -> None:
        """Extend the lease of a run, and record its metrics so far unless they are None."""
        values: dict[str, Any] = {"heartbeat": now()}
        if metrics is not None:
            values["metrics"] = to_jsonable(metrics)
        with self._catalog.write_tx() as session:
            session.execute(update(RunRow).where(RunRow.id == run_id).values(**values))

    def finish(
        self,
        run_id: str,
        state: EndState,
        metrics: Mapping[str, Any] | None = None,
        outputs: Sequence[str] = (),
        error: str = "",
    ) -> Run:
        """Record the end of a run.

        Args:
            run_id: the run.
            state: its final state.
            metrics: its metrics; None keeps those of the last heartbeat.
            outputs: exact references of its outputs.
            error: why it failed or was stopped.

        Raises:
            InvalidValueError: ``state`` is not a final state.
            NotFoundError: there is no such run.
            ConflictError: the run has ended before.
        """
        if state not in get_args(EndState):
            raise InvalidValueError(f"A run cannot end as {state!r}.", hint=f"States: {', '.join(get_args(EndState))}.")
        with self._catalog.write_tx() as session:
            row = session.get(RunRow, run_id)
            if row is None:
                raise self._not_found(run_id)
            if row.state != "running":
                raise ConflictError(f"The run {run_id} has already ended: it is {row.state}.")
            row.state = state
            row.finished = now()
            row.error = redact_text(error)
            row.outputs = list(outputs)
            if metrics is not None:
                row.metrics = to_jsonable(metrics)
            publish_event(session, f"run.{state}", _run_ended_event(row))
        return self._to_run(row)

    @contextmanager
    def record_failure(self, run_id: str) -> Iterator[None]:
        """Finish the run as failed if the block raises anything, including a cancellation."""
        try:
            with reraise_interrupts():
                yield
        except BaseException as error:
            self.finish(run_id, "failed", error=str(error) or type(error).__name__)
            raise

    def get(self, run_id: str) -> Run:
        """Return a run by id.

        Raises:
            NotFoundError: there is no such run.
        """
        return self._to_run(self._row(run_id))

    def get_process(self, run_id: str) -> str:
        """Return the lease owner id of the process that executes or executed a run.

        Raises:
            NotFoundError: there is no such run.
        """
        return self._row(run_id).process

    def _row(self, run_id: str) -> RunRow:
        with self._catalog.read_tx() as session:
            row = session.get(RunRow, run_id)
        if row is None:
            raise self._not_found(run_id)
        return row

    def remove(self, run_id: str) -> None:
        """Delete a run and its folder.

        Raises:
            NotFoundError: there is no such run.
            ConflictError: the run is running, or one of its outputs still exists.
        """
        with self._catalog.write_tx() as session:
            row = session.get(RunRow, run_id)
            if row is None:
                raise self._not_found(run_id)
            if _state(row) == "running":
                raise ConflictError(f"The run {run_id} is running.", hint=f"Stop it: saccade runs cancel {run_id}")
            if output := outputs_of_run(session, run_id):
                raise ConflictError(f"The run {run_id} is the lineage of {output}.", hint="Remove that first.")
            session.execute(
                delete(DatasetUseRow).where(DatasetUseRow.user_kind == "run", DatasetUseRow.user_ref == run_id)
            )
            session.delete(row)
        shutil.rmtree(self._folder / run_id, ignore_errors=True)

    def _not_found(self, run_id: str) -> NotFoundError:
        newest = select(RunRow.id).order_by(RunRow.created.desc()).limit(_MAX_SUGGESTED_RUNS)
        with self._catalog.read_tx() as session:
            known = session.scalars(newest).all()
        return NotFoundError(f"There is no run '{run_id}'.", hint=suggest(run_id, known))

    def list(self, kind: str | None = None, name: str | None = None) -> RunList:
        """List runs, the newest first, optionally only those of a kind and name."""
        query = select(RunRow).order_by(RunRow.created.desc(), RunRow.id.desc())
        if kind is not None:
            query = query.where(RunRow.kind == kind)
        if name is not None:
            query = query.where(RunRow.name == name)
        with self._catalog.read_tx() as session:
            return [self._to_run(row) for row in session.scalars(query)]

    def list_for_job(self, job_id: str) -> RunList:
        """List the runs that a job started, the newest first."""
        query = select(RunRow).where(RunRow.job_id == job_id).order_by(RunRow.created.desc(), RunRow.id.desc())
        with self._catalog.read_tx() as session:
            return [self._to_run(row) for row in session.scalars(query)]

    def list_started_by(self, run: Run) -> RunList:
        """List the runs that the process of a run started or resumed during it, the newest first.

        A pipeline run starts the trainings of its steps.
        """
        query = (
            select(RunRow)
            .where(RunRow.process == self.get_process(run.id), RunRow.id != run.id, RunRow.heartbeat >= run.created)
            .order_by(RunRow.created.desc(), RunRow.id.desc())
        )
        if run.finished is not None:
            query = query.where(RunRow.heartbeat <= run.finished)
        with self._catalog.read_tx() as session:
            return [self._to_run(row) for row in session.scalars(query)]

    def output_version(self, run_id: str) -> str | None:
        """Return the dataset version that a run created, even if it died before it recorded its outputs."""
        query = select(DatasetRow.name, VersionRow.number).join(VersionRow, VersionRow.dataset_id == DatasetRow.id)
        with self._catalog.read_tx() as session:
            row = session.execute(query.where(VersionRow.run_id == run_id)).first()
        return None if row is None else format_ref(*row)

    def latest(self, kind: str, name: str, states: Iterable[str] | None = None) -> Run | None:
        """Return the newest run of a kind and name, or None if there is none.

        Args:
            kind: the type of run.
            name: its name.
            states: only runs in one of these states; None for all.
        """
        allowed = None if states is None else set(states)
        return next((run for run in self.list(kind, name) if allowed is None or run.state in allowed), None)
