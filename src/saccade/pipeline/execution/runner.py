"""Planning and running a pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from saccade.core.errors import PipelineError, SaccadeError
from saccade.core.progress import Progress, Silent
from saccade.operations.base import Granularity
from saccade.pipeline.cache.key import changed_parts
from saccade.pipeline.cache.segments import DamagedError
from saccade.pipeline.data.results import Result, take_numbers
from saccade.pipeline.data.table import Table
from saccade.pipeline.definition.graph import Graph, Step
from saccade.pipeline.definition.plan import Action, Plan, PlannedStep
from saccade.pipeline.execution.bound_step import ReadyStep
from saccade.pipeline.execution.engine import Engine, LocalEngine
from saccade.pipeline.execution.environment import cache_of, house_of
from saccade.pipeline.execution.item_step import make
from saccade.store.workspace import Workspace

_TRIES = 3


@dataclass(frozen=True)
class Part:
    """A run on some of the items that its first steps give.

    Attributes:
        sample: of each first step items at random, so many that at least this many come out at the end.
        keys: those of these keys.
    """

    sample: int | None = None
    keys: frozenset[str] | None = None
    seed: int = 0

    @property
    def is_all(self) -> bool:
        return self.sample is None and self.keys is None


@dataclass
class StepOutcome:
    """What became of a step in a run."""

    step: str
    operation: str
    action: Action
    reasons: tuple[str, ...] = ()
    items: int | None = None
    worked: int = 0
    failed: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    value: Any = None

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "operation": self.operation,
            "action": str(self.action),
            "reasons": list(self.reasons),
            "items": self.items,
            "worked": self.worked,
            "failed": self.failed,
            "failures": [list(one) for one in self.failures],
            "seconds": round(self.seconds, 4),
            "value": self.value,
        }


Listener = Callable[[Mapping[str, Any]], None]
"""Told of events: plain data with the name of what happened under ``event``."""


@dataclass
class RunOutcome:
    """What a run did, and the result of each step."""

    steps: list[StepOutcome] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)

    def __getitem__(self, step: str) -> Result:
        return self.results[step]


class Runner:
    """Plans and runs a pipeline in a workspace.

    Args:
        part: only some of the items.
        retry: work again on items that failed before.
        folder: of the run, for results in files.
    """

    def __init__(
        self,
        workspace: Workspace,
        graph: Graph,
        *,
        engine: Engine | None = None,
        part: Part | None = None,
        retry: bool = False,
        progress: Progress | None = None,
        listener: Listener | None = None,
        folder: Path | None = None,
    ) -> None:
        self.workspace, self.graph = workspace, graph
        self._engine = engine or LocalEngine()
        self._part = part or Part()
        self._retry = retry
        self._progress = progress or Silent()
        self._tell = listener or (lambda event: None)
        self._folder = folder or workspace.location / "runs"
        self._sampled = self._part.sample or 0
        self._sampled_all = True
        self.cache = cache_of(workspace)
        self.house = house_of(workspace, self.cache)

    # Planning

    def plan(self) -> Plan:
        """What a run would do; works out nothing and changes nothing but the cache's notes."""
        results: dict[str, Result] = {}
        planned: dict[str, PlannedStep] = {}
        for step in self.graph:
            planned[step.name] = self._planned(step, results, planned)
        return Plan(self.graph.name, tuple(planned.values()))

    def _planned(self, step: Step, results: dict[str, Result], planned: Mapping[str, PlannedStep]) -> PlannedStep:
        sources = [name for names in step.inputs.values() for name in names]
        if left := [name for name in sources if planned[name].action is Action.LEAVE]:
            return PlannedStep(step.name, step.operation, Action.LEAVE, (f"'{left[0]}' is left out",))
        if waiting := [name for name in sources if name not in results]:
            reasons = tuple(f"'{name}' is to run first" for name in waiting)
            return PlannedStep(step.name, step.operation, Action.WAIT, reasons)
        ready = self.ready(step, results)
        if self._is_left(ready):
            return PlannedStep(step.name, step.operation, Action.LEAVE, ("it has effects outside of the pipeline",))
        kept = ready.kept()
        if kept is not None and not (self._retry and kept.failed):
            results[step.name] = self._restricted(step, ready.result(kept))
            return PlannedStep(step.name, step.operation, Action.SKIP, ("nothing it depends on changed",))
        reasons = self.reasons(ready, is_kept=kept is not None)
        if not ready.operation.is_by_item:
            return PlannedStep(step.name, step.operation, Action.RUN, reasons)
        items, todo = len(ready), len(ready.missing())
        if self._retry:
            known = ready.memo.find(ready.item_digests)
            todo += len(ready.memo.failures(known[known >= 0]))
        action = Action.RUN if todo == items else Action.PARTIAL
        if not todo:
            reasons = (*reasons, "its items are all known: they are put together anew")
        return PlannedStep(step.name, step.operation, action, reasons, items, todo)

    def reasons(self, ready: ReadyStep, *, is_kept: bool = False) -> tuple[str, ...]:
        """Why a step is to run, by what it depended on when it last ran."""
        if is_kept:
            return ("items that failed are tried again",)
        if ready.before is None:
            return ("it has not run yet",)
        said = changed_parts(ready.before, ready.ingredients)
        return tuple(said) or ("its result is gone from the cache",)

    def last_name(self, step: Step) -> str:
        """The name under which is kept what a step depended on when it last ran."""
        return f"{self.graph.name}/{step.name.replace('/', '.')}"

    def ready(self, step: Step, results: Mapping[str, Result]) -> ReadyStep:
        inputs = {port: [results[name] for name in names] for port, names in step.inputs.items()}
        before = self.cache.record("last", self.last_name(step))
        return ReadyStep(self.house, step, self.graph.operation(step), self.graph.parameters(step), inputs, before)

    def _is_left(self, ready: ReadyStep) -> bool:
        return not self._part.is_all and (
            ready.operation.has_effect or ready.operation.granularity is Granularity.TRAINING
        )

    def _restricted(self, step: Step, result: Result) -> Result:
        """The result of a first step, less the items that are not asked for."""
        if self._part.is_all or result.table is None or any(step.inputs.values()):
            return result
        rows = self._rows(result.table)
        return Result(result.type, take_numbers(self.cache, result.table, rows), None, result.failures, result.failed)

    def _rows(self, table: Table) -> Any:
        rows = np.arange(len(table))
        if self._part.keys is not None:
            keys = self.house.reader(table).keys()
            rows = np.array([row for row, key in enumerate(keys) if key in self._part.keys], np.int64)
        if self._part.sample is not None and self._sampled < len(rows):
            order = np.random.default_rng(self._part.seed).permutation(len(rows))
            rows, self._sampled_all = rows[np.sort(order[: self._sampled])], False
        return rows

    # Running

    def run(self) -> RunOutcome:
        """Run what is not there; what is done when it is stopped stays done.

        Raises:
            PipelineError: a step failed; it names the step.
        """
        self.cache.prepare()
        with ExitStack() as stack:
            stack.enter_context(self.workspace.objects.keeping())
            outcome = self._run_repaired()
            while self._part.sample is not None and self._is_short(outcome):
                self._tell({"event": "more", "sample": self._sampled})
                outcome = self._run_repaired()
            return outcome

    def _run_repaired(self) -> RunOutcome:
        for _ in range(_TRIES):
            try:
                return self._run_all()
            except DamagedError as error:
                self._tell({"event": "repaired", "reason": error.message})
                self.cache.repair()
        return self._run_all()

    def _is_short(self, outcome: RunOutcome) -> bool:
        """Whether fewer items than asked for came out at an end, and more can go in; so many go in next."""
        ran = [step for step in self.graph if step.name in outcome.results]
        used = {name for step in ran for names in step.inputs.values() for name in names}
        ends = [outcome.results[step.name].items for step in ran if step.name not in used]
        fewest = min((count for count in ends if count is not None), default=self._sampled)
        wanted = self._part.sample or 0
        if fewest >= wanted or self._sampled_all:
            return False
        # A share of them comes out: a little more than that says is taken, since it is chance which ones.
        self._sampled = max(2 * self._sampled, int(1.2 * self._sampled * wanted / fewest) if fewest else 0)
        return True

    def _run_all(self) -> RunOutcome:
        outcome = RunOutcome()
        self._sampled_all = True
        left: set[str] = set()
        for step in self.graph:
            if any(name in left for names in step.inputs.values() for name in names):
                left.add(step.name)
                outcome.steps.append(StepOutcome(step.name, step.operation, Action.LEAVE))
                continue
            began = time.perf_counter()
            made = self._run_step(step, outcome.results)
            made.seconds = time.perf_counter() - began
            if made.action is Action.LEAVE:
                left.add(step.name)
            outcome.steps.append(made)
            self._tell({"event": "step", **made.to_json()})
        return outcome

    def _run_step(self, step: Step, results: dict[str, Result]) -> StepOutcome:
        ready = self.ready(step, results)
        outcome = StepOutcome(step.name, step.operation, Action.SKIP)
        if self._is_left(ready):
            outcome.action, outcome.reasons = Action.LEAVE, ("it has effects outside of the pipeline",)
            return outcome
        kept = ready.kept()
        if kept is None or (self._retry and kept.failed):
            outcome.reasons = self.reasons(ready, is_kept=kept is not None)
            self._tell({"event": "begin", "step": step.name, "reasons": list(outcome.reasons)})
            kept, outcome.worked = self._made(step, ready)
            self.cache.note("steps", ready.key, kept.to_json())
            total = len(ready) if ready.operation.is_by_item else None
            outcome.action = Action.RUN if total is None or outcome.worked == total else Action.PARTIAL
            self._note_last(step, ready)
        elif self._part.is_all and self.cache.is_new_last(self.last_name(step), ready.key):
            self._note_last(step, ready)
        result = ready.result(kept)
        results[step.name] = self._restricted(step, result)
        outcome.items, outcome.value = results[step.name].items, result.value
        outcome.failed, outcome.failures = result.failed, result.failures
        return outcome

    def _note_last(self, step: Step, ready: ReadyStep) -> None:
        if self._part.is_all:
            name = self.last_name(step)
            self.cache.note_last(name, ready.key, ready.ingredients)
            if ready.tables:
                self.cache.keep(ready.tables[0].keys)
                self.cache.note("keys", name, {"keys": ready.tables[0].keys.id})

    def _made(self, step: Step, ready: ReadyStep) -> Any:
        try:
            folder = self._folder / step.name.replace("/", ".")
            return make(ready, self._engine, self._progress, retry=self._retry, folder=folder)
        except (PipelineError, DamagedError):
            raise
        except SaccadeError as error:
            raise PipelineError(error.message, step=step.name, hint=error.hint) from error
