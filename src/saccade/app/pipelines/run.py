"""Pipelines: plan, run and explain them in a workspace, with a run that tells what was done."""

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
from saccade.core.progress import Progress, Silent
from saccade.pipeline.definition.graph import Graph
from saccade.pipeline.definition.plan import Action, Plan
from saccade.pipeline.execution.engine import Engine, engine_named
from saccade.pipeline.execution.runner import Listener, Part, Runner, RunOutcome
from saccade.pipeline.explain.item import Cause, explain_item
from saccade.pipeline.explain.render import drawing_of
from saccade.runtime.signals import signals_to
from saccade.store.io.process import is_alive, process_id
from saccade.store.registry.runs import Run
from saccade.store.workspace import Workspace

KIND = "pipeline"
EVENTS = "events.jsonl"
_SHOWN = 100
STEPS = "steps.json"
GRAPH = "graph.json"


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """The record of a run and what it did."""

    run: Run
    outcome: RunOutcome


def part_of(
    workspace: Workspace,
    *,
    sample: int | None = None,
    keys: list[str] | None = None,
    keys_of: str | None = None,
    seed: int = 0,
) -> Part:
    """Which items a run is about: all, some at random, or those of some keys, or of a dataset's."""
    if sample is not None and sample < 1:
        raise InvalidValueError(f"A sample of {sample} items is none.")
    wanted = None if keys is None else set(keys)
    if keys_of is not None:
        wanted = (wanted or set()) | set(workspace.datasets.open(keys_of).keys())
    return Part(sample, None if wanted is None else frozenset(wanted), seed)


def plan_pipeline(workspace: Workspace, graph: Graph, *, part: Part | None = None, retry: bool = False) -> Plan:
    """What a run would do; changes nothing."""
    return Runner(workspace, graph, part=part, retry=retry).plan()


def explain(workspace: Workspace, graph: Graph, key: str) -> list[Cause]:
    """Why an item is worked on or not, step by step, from the last to the first."""
    return explain_item(Runner(workspace, graph), key)


def run_pipeline(
    workspace: Workspace,
    graph: Graph,
    *,
    part: Part | None = None,
    retry: bool = False,
    engine: str | Engine = "local",
    processes: int | None = None,
    progress: Progress | None = None,
    listener: Listener | None = None,
    config: Mapping[str, Any] | None = None,
) -> PipelineResult:
    """Run what is not there. What is done stays done when it is stopped, fails or is killed.

    Args:
        config: what is to be noted of how it was asked for.

    Raises:
        PipelineError: a step failed; it names the step. What ran before it is kept.
    """
    run = workspace.runs.start(KIND, graph.name, dict(config or {}), _inputs(workspace, graph))
    chosen = engine_named(engine, processes=processes) if isinstance(engine, str) else engine
    stop = threading.Event()
    (run.folder / GRAPH).write_text(json.dumps(drawing_of(graph).to_json(), ensure_ascii=False), "utf-8")
    with (run.folder / EVENTS).open("a", encoding="utf-8") as log:

        def tell(event: Mapping[str, Any]) -> None:
            stamped = {"time": round(time(), 3), "run": run.id, **event}
            if event["event"] != "progress":
                log.write(json.dumps(stamped, ensure_ascii=False, default=str) + "\n")
                log.flush()
            if listener is not None:
                listener(stamped)
            if stop.is_set() and event["event"] in ("begin", "step"):
                raise KeyboardInterrupt

        runner = Runner(
            workspace,
            graph,
            engine=chosen,
            part=part,
            retry=retry,
            progress=_Told(progress or Silent(), tell, stop),
            listener=tell,
            folder=run.folder,
        )
        tell({"event": "start", "pipeline": graph.name, "steps": graph.names})
        try:
            with _stopped_by_signal(stop):
                outcome = runner.run()
        except KeyboardInterrupt:
            tell({"event": "end", "state": "stopped"})
            workspace.runs.finish(run.id, "stopped", error="It was cancelled; what was done is kept.")
            raise
        except BaseException as error:
            tell({"event": "end", "state": "failed", "error": str(error)})
            workspace.runs.finish(run.id, "failed", error=str(error) or type(error).__name__)
            raise
        steps = [step.to_json() for step in outcome.steps]
        (run.folder / STEPS).write_text(json.dumps(steps, ensure_ascii=False, indent=1, default=str), "utf-8")
        tell({"event": "end", "state": "finished"})
    run = workspace.runs.finish(run.id, "finished", metrics=_metrics(outcome), outputs=_outputs(outcome))
    return PipelineResult(run, outcome)


def _inputs(workspace: Workspace, graph: Graph) -> list[str]:
    """The dataset versions that the first steps name."""
    names = [str(step.parameters.get("name")) for step in graph if step.operation == "dataset"]
    return sorted({workspace.datasets.open(name).ref for name in names})


def _outputs(outcome: RunOutcome) -> list[str]:
    """The dataset and model versions that came of it."""
    found = []
    for step in outcome.steps:
        if isinstance(step.value, Mapping) and "ref" in step.value and "digest" in step.value:
            found.append(f"model:{step.value['ref']}")
        elif isinstance(step.value, Mapping) and "dataset" in step.value:
            found.append(str(step.value["dataset"]))
    return sorted(set(found))


def _metrics(outcome: RunOutcome) -> dict[str, Any]:
    count = {f"steps_{action}": sum(step.action is action for step in outcome.steps) for action in Action}
    return {
        **{name: number for name, number in count.items() if number},
        "items_worked": sum(step.worked for step in outcome.steps),
        "items_failed": sum(step.failed for step in outcome.steps),
        "seconds": round(sum(step.seconds for step in outcome.steps), 3),
    }


class _Told:
    """Progress that is told as an event too, at most once a second.

    It ends work that is to stop, where the interrupt itself was lost, as in code that catches all.
    """

    def __init__(self, progress: Progress, tell: Callable[[Mapping[str, Any]], None], stop: threading.Event) -> None:
        self._progress, self._tell, self._stop = progress, tell, stop
        self._what, self._done = "", 0
        self._total: int | None = None
        self._began = self._told = monotonic()

    def _look(self) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt

    def start(self, what: str, total: int | None = None) -> None:
        self._look()
        self._what, self._done, self._total = what, 0, total
        self._began = self._told = monotonic()
        self._progress.start(what, total)

    def advance(self, count: int = 1, note: str = "") -> None:
        self._look()
        self._done += count
        now = monotonic()
        if now - self._told >= 1:
            self._told = now
            rate = self._done / (now - self._began)
            left = None if self._total is None else round(max(0, self._total - self._done) / rate, 1)
            self._tell(
                {
                    "event": "progress",
                    "what": self._what,
                    "done": self._done,
                    "total": self._total,
                    "rate": round(rate, 2),
                    "seconds_left": left,
                    "note": note,
                }
            )
        self._progress.advance(count, note)

    def finish(self) -> None:
        self._progress.finish()


@contextmanager
def _stopped_by_signal(stop: threading.Event) -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does; ``stop`` is set by either."""

    def interrupt(number: int, frame: Any) -> None:
        stop.set()
        raise KeyboardInterrupt

    with signals_to(interrupt):
        yield


def cancel_run(workspace: Workspace, run_id: str) -> None:
    """Ask what does a run to stop: its job, or its process.

    ConflictError where it does not run, or runs on another machine without a job.
    """
    run = workspace.runs.get(run_id)
    if run.state != "running":
        raise ConflictError(f"The run {run_id} does not run: it is {run.state}.")
    if run.job is not None:
        workspace.jobs.cancel(run.job)
        return
    process = workspace.runs.process_of(run_id)
    if not is_alive(process) or process_id(process) == os.getpid():
        raise ConflictError(f"The run {run_id} runs on another machine.", hint="Stop it there.")
    os.kill(process_id(process), signal.SIGINT if run.kind != "train" else signal.SIGTERM)


def events_of(run: Run) -> list[dict[str, Any]]:
    """What a run of a pipeline has told so far, one event after another."""
    path = run.folder / EVENTS
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def drawing_of_run(run: Run) -> dict[str, Any] | None:
    """Return the graph of a pipeline run, laid out for drawing, or None for a run that recorded none."""
    path = run.folder / GRAPH
    found: dict[str, Any] | None = json.loads(path.read_bytes()) if path.exists() else None
    return found


def steps_of(run: Run) -> list[dict[str, Any]]:
    """The steps of a run of a pipeline in order, each with its ``state`` and what has been done about it.

    The state is waiting, running, done, failed, or stopped, where the run ended in the middle of it.
    """
    steps: dict[str, dict[str, Any]] = {}
    for event in events_of(run):
        if event["event"] == "start":
            steps = {name: {"step": name, "state": "waiting"} for name in event["steps"]}
        elif event["event"] == "begin":
            steps[event["step"]] = {"step": event["step"], "state": "running", "reasons": event["reasons"]}
        elif event["event"] == "step":
            told = {name: value for name, value in event.items() if name not in ("event", "time", "run")}
            steps[event["step"]] = {**told, "failures": told["failures"][:_SHOWN], "state": "done"}
    if run.state != "running":
        for name, step in steps.items():
            is_to_blame = run.state == "failed" and run.error.startswith(f"Step '{name}':")
            if step["state"] == "running" or (is_to_blame and step["state"] == "waiting"):
                step["state"] = "failed" if run.state == "failed" else "stopped"
    return list(steps.values())
