"""Plan, run and explain pipelines in a workspace, and read the records of their runs.

The folder of a run has ``graph.json`` (the graph laid out for drawing), ``events.jsonl`` (what happened, one event a
line) and, once it has finished, ``steps.json`` (the outcome of each step).
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from saccade.core.errors import ConflictError, InvalidValueError
from saccade.core.progress import NullProgress, Progress
from saccade.core.urls import redact_values
from saccade.pipeline.definition.graph import Graph
from saccade.pipeline.definition.plan import Plan, StepAction
from saccade.pipeline.execution.engine import Engine, create_engine
from saccade.pipeline.execution.runner import ItemSubset, Listener, Runner, RunOutcome
from saccade.pipeline.explain.item import ItemExplanation, explain_item
from saccade.pipeline.explain.render import layout_graph
from saccade.runtime.process import is_alive, pid_of
from saccade.runtime.signals import signal_handlers
from saccade.store.registry.runs import Run
from saccade.store.workspace import Workspace

KIND = "pipeline"
EVENTS = "events.jsonl"
STEPS = "steps.json"
GRAPH = "graph.json"
_MAX_FAILURES = 100
_PROGRESS_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """The record of a run, and its outcome."""

    run: Run
    outcome: RunOutcome


def create_subset(
    workspace: Workspace,
    *,
    sample: int | None = None,
    keys: list[str] | None = None,
    keys_of: str | None = None,
    seed: int = 0,
) -> ItemSubset:
    """Create the subset of items that a run is limited to. Without arguments it is all items.

    Args:
        workspace: The workspace.
        sample: Limit to random items, at least this many in the output.
        keys: Limit to these keys.
        keys_of: Limit to the keys of this dataset version, in addition to ``keys``.
        seed: The seed of the sample.

    Raises:
        InvalidValueError: The sample is less than 1.
        NotFoundError: The dataset does not exist.
    """
    if sample is not None and sample < 1:
        raise InvalidValueError(f"The sample must have at least 1 item, not {sample}.")
    selected = None if keys is None else set(keys)
    if keys_of is not None:
        selected = (selected or set()) | set(workspace.datasets.open(keys_of).keys())
    return ItemSubset(sample, None if selected is None else frozenset(selected), seed)


def plan_pipeline(workspace: Workspace, graph: Graph, *, subset: ItemSubset | None = None, retry: bool = False) -> Plan:
    """Plan a run, without changing anything.

    Args:
        workspace: The workspace.
        graph: The pipeline.
        subset: Limits the run to some items.
        retry: Plan to retry items that failed before.
    """
    return Runner(workspace, graph, subset=subset, retry=retry).plan()


def explain(workspace: Workspace, graph: Graph, key: str) -> list[ItemExplanation]:
    """Explain for each step, from the last to the first, why an item is computed or cached.

    Args:
        workspace: The workspace.
        graph: The pipeline.
        key: The key of the item.
    """
    return explain_item(Runner(workspace, graph), key)


def run_pipeline(
    workspace: Workspace,
    graph: Graph,
    *,
    subset: ItemSubset | None = None,
    retry: bool = False,
    engine: str | Engine = "local",
    processes: int | None = None,
    progress: Progress | None = None,
    listener: Listener | None = None,
    config: Mapping[str, Any] | None = None,
) -> PipelineResult:
    """Run what is not cached. Results are kept if the run is interrupted, fails or is killed.

    Args:
        workspace: The workspace.
        graph: The pipeline.
        subset: Limits the run to some items.
        retry: Retry items that failed before.
        engine: An engine, or the name of one.
        processes: The number of processes of a named engine.
        progress: Receives progress of each step.
        listener: Receives each event as JSON.
        config: How the run was requested; recorded with it.

    Raises:
        PipelineError: A step failed; the message names it. The results of earlier steps are kept.
        KeyboardInterrupt: The run was cancelled by a signal.
    """
    run = workspace.runs.start(KIND, graph.name, dict(config or {}), _input_refs(workspace, graph))
    run_engine = create_engine(engine, processes=processes) if isinstance(engine, str) else engine
    stop = threading.Event()
    (run.folder / GRAPH).write_text(
        json.dumps(redact_values(layout_graph(graph).to_json()), ensure_ascii=False), "utf-8"
    )
    with (run.folder / EVENTS).open("a", encoding="utf-8") as log:

        def emit(event: Mapping[str, Any]) -> None:
            full_event = {"time": round(time(), 3), "run": run.id, **event}
            if event["event"] != "progress":
                log.write(json.dumps(redact_values(full_event), ensure_ascii=False, default=str) + "\n")
                log.flush()
            if listener is not None:
                listener(full_event)
            # Raised again here: the interrupt of the signal may be lost in code that catches all exceptions.
            if stop.is_set() and event["event"] in ("begin", "step"):
                raise KeyboardInterrupt

        runner = Runner(
            workspace,
            graph,
            engine=run_engine,
            subset=subset,
            retry=retry,
            progress=_EventProgress(progress or NullProgress(), emit, stop),
            listener=emit,
            folder=run.folder,
        )
        emit({"event": "start", "pipeline": graph.name, "steps": graph.names})
        try:
            with _interrupt_on_signal(stop):
                outcome = runner.run()
        except KeyboardInterrupt:
            emit({"event": "end", "state": "stopped"})
            workspace.runs.finish(run.id, "stopped", error="The run was cancelled. Finished results are kept.")
            raise
        except BaseException as error:
            emit({"event": "end", "state": "failed", "error": str(error)})
            workspace.runs.finish(run.id, "failed", error=str(error) or type(error).__name__)
            raise
        steps = [redact_values(step.to_json()) for step in outcome.steps]
        (run.folder / STEPS).write_text(json.dumps(steps, ensure_ascii=False, indent=1, default=str), "utf-8")
        emit({"event": "end", "state": "finished"})
    run = workspace.runs.finish(run.id, "finished", metrics=_metrics(outcome), outputs=_output_refs(outcome))
    return PipelineResult(run, outcome)


def _input_refs(workspace: Workspace, graph: Graph) -> list[str]:
    """Return the dataset versions that the source steps name."""
    names = [str(step.parameters.get("name")) for step in graph if step.operation == "dataset"]
    return sorted({workspace.datasets.open(name).ref for name in names})


def _output_refs(outcome: RunOutcome) -> list[str]:
    """Return the dataset and model versions that the steps created."""
    refs = []
    for step in outcome.steps:
        if isinstance(step.value, Mapping) and "ref" in step.value and "digest" in step.value:
            refs.append(f"model:{step.value['ref']}")
        elif isinstance(step.value, Mapping) and "dataset" in step.value:
            refs.append(str(step.value["dataset"]))
    return sorted(set(refs))


def _metrics(outcome: RunOutcome) -> dict[str, Any]:
    counts = {f"steps_{action}": sum(step.action is action for step in outcome.steps) for action in StepAction}
    return {
        **{name: count for name, count in counts.items() if count},
        "items_worked": sum(step.computed for step in outcome.steps),
        "items_failed": sum(step.failed for step in outcome.steps),
        "seconds": round(sum(step.seconds for step in outcome.steps), 3),
    }


class _EventProgress:
    """Progress that also emits events, at most one a second.

    It raises KeyboardInterrupt if the run is to stop: the interrupt of the signal may be lost in code that catches all
    exceptions.
    """

    def __init__(self, progress: Progress, emit: Callable[[Mapping[str, Any]], None], stop: threading.Event) -> None:
        self._progress = progress
        self._emit = emit
        self._stop = stop
        self._phase = ""
        self._done = 0
        self._total: int | None = None
        self._started_at = monotonic()
        self._emitted_at = self._started_at

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt

    def start(self, phase: str, total: int | None = None) -> None:
        self._check_stop()
        self._phase = phase
        self._done = 0
        self._total = total
        self._started_at = monotonic()
        self._emitted_at = self._started_at
        self._progress.start(phase, total)

    def advance(self, count: int = 1, message: str = "") -> None:
        self._check_stop()
        self._done += count
        now = monotonic()
        if now - self._emitted_at >= _PROGRESS_INTERVAL_S:
            self._emitted_at = now
            rate = self._done / (now - self._started_at)
            remaining = None if self._total is None else round(max(0, self._total - self._done) / rate, 1)
            self._emit(
                {
                    "event": "progress",
                    "phase": self._phase,
                    "done": self._done,
                    "total": self._total,
                    "rate": round(rate, 2),
                    "seconds_left": remaining,
                    "message": message,
                }
            )
        self._progress.advance(count, message)

    def finish(self) -> None:
        self._progress.finish()


@contextmanager
def _interrupt_on_signal(stop: threading.Event) -> Iterator[None]:
    """Set ``stop`` and raise KeyboardInterrupt on SIGINT and SIGTERM."""

    def handler(number: int, frame: Any) -> None:
        stop.set()
        raise KeyboardInterrupt

    with signal_handlers(handler):
        yield


def cancel_run(workspace: Workspace, run_id: str) -> None:
    """Cancel a run: its job if it has one, or else its process on this machine.

    Raises:
        NotFoundError: There is no such run.
        ConflictError: It is not running, or its process is not on this machine.
    """
    run = workspace.runs.get(run_id)
    if run.state != "running":
        raise ConflictError(f"The run {run_id} is not running: it is {run.state}.")
    if run.job is not None:
        workspace.jobs.cancel(run.job)
        return
    process = workspace.runs.get_process(run_id)
    if not is_alive(process) or pid_of(process) == os.getpid():
        raise ConflictError(f"The run {run_id} runs on another machine.", hint="Stop it there.")
    os.kill(pid_of(process), signal.SIGINT if run.kind != "train" else signal.SIGTERM)


def delete_run(workspace: Workspace, run_id: str) -> None:
    """Delete a run and its folder.

    Raises:
        NotFoundError: There is no such run.
        ConflictError: The run is running, or a version that it created still exists.
    """
    workspace.runs.remove(run_id)


def read_events(run: Run) -> list[dict[str, Any]]:
    """Return the events of a pipeline run so far."""
    path = run.folder / EVENTS
    if not path.exists():
        return []
    # The last line may be incomplete while the run writes it.
    lines = path.read_text(encoding="utf-8").splitlines()
    return [current_step(json.loads(line)) for line in lines if line.endswith("}")]


def read_graph(run: Run) -> dict[str, Any] | None:
    """Return the graph of a pipeline run, laid out for drawing, or None for a run that recorded none."""
    path = run.folder / GRAPH
    return current_graph(json.loads(path.read_bytes())) if path.exists() else None


def current_graph(graph: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the fields of a graph's layout that version 0.1.0 wrote to today's."""
    names = {"boxes": "nodes", "lines": "edges"}
    return {names.get(name, name): value for name, value in graph.items()}


def current_step(step: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the fields and the action of a planned or computed step that version 0.1.0 wrote to today's."""
    renamed = {("computed" if name == "worked" else name): value for name, value in step.items()}
    if renamed.get("action") == "leave":
        renamed["action"] = str(StepAction.OMIT)
    return renamed


def list_steps(run: Run) -> list[dict[str, Any]]:
    """List the steps of a pipeline run in order, with their state and what was done.

    The state is waiting, running, done, failed, or stopped if the run ended during the step.
    """
    steps: dict[str, dict[str, Any]] = {}
    for event in read_events(run):
        if event["event"] == "start":
            steps = {name: {"step": name, "state": "waiting"} for name in event["steps"]}
        elif event["event"] == "begin":
            steps[event["step"]] = {"step": event["step"], "state": "running", "reasons": event["reasons"]}
        elif event["event"] == "step":
            details = {name: value for name, value in event.items() if name not in ("event", "time", "run")}
            steps[event["step"]] = {**details, "failures": details["failures"][:_MAX_FAILURES], "state": "done"}
    if run.state != "running":
        for name, step in steps.items():
            # A step can fail before its "begin" event.
            is_culprit = run.state == "failed" and run.error.startswith(f"Step '{name}':")
            if step["state"] == "running" or (is_culprit and step["state"] == "waiting"):
                step["state"] = "failed" if run.state == "failed" else "stopped"
    return list(steps.values())
