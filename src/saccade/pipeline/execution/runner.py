"""Plans and runs pipelines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from saccade.core.errors import PipelineError, SaccadeError
from saccade.core.progress import NullProgress, Progress
from saccade.operations.base import Granularity
from saccade.pipeline.cache.key import diff_components
from saccade.pipeline.cache.segments import CorruptCacheError
from saccade.pipeline.data.results import CachedResult, Result, select_rows
from saccade.pipeline.data.table import Table
from saccade.pipeline.definition.graph import Graph, Step
from saccade.pipeline.definition.plan import Plan, PlannedStep, StepAction
from saccade.pipeline.execution.bound_step import BoundStep
from saccade.pipeline.execution.engine import Engine, LocalEngine
from saccade.pipeline.execution.environment import create_environment, open_cache
from saccade.pipeline.execution.item_step import execute_step
from saccade.store.workspace import Workspace

_MAX_REPAIRS = 3


@dataclass(frozen=True)
class ItemSubset:
    """The items that a run is restricted to, chosen among those of the source steps.

    Attributes:
        sample: choose items at random until at least this many come out of the final steps.
        keys: choose the items with these keys.
        seed: the seed for the sample.
    """

    sample: int | None = None
    keys: frozenset[str] | None = None
    seed: int = 0

    @property
    def is_all(self) -> bool:
        return self.sample is None and self.keys is None


@dataclass
class StepOutcome:
    """What a run did with a step.

    Attributes:
        items: the number of output items, if the output is a dataset.
        computed: the number of items that were computed.
        failed: the number of failed items.
        failures: keys and error texts of the first failed items.
        seconds: the duration in seconds.
        value: the output, if it is not a dataset.
    """

    step: str
    operation: str
    action: StepAction
    reasons: tuple[str, ...] = ()
    items: int | None = None
    computed: int = 0
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
            "computed": self.computed,
            "failed": self.failed,
            "failures": [list(failure) for failure in self.failures],
            "seconds": round(self.seconds, 4),
            "value": self.value,
        }


Listener = Callable[[Mapping[str, Any]], None]
"""Receives the events of a run as JSON objects; ``event`` is the type of the event."""


@dataclass
class RunOutcome:
    """What a run did, and the result of each step by name."""

    steps: list[StepOutcome] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)

    def __getitem__(self, step: str) -> Result:
        return self.results[step]


class Runner:
    """Plans and runs a pipeline in a workspace.

    Args:
        workspace: the workspace.
        graph: the pipeline.
        engine: runs per-item steps; default: this machine.
        subset: restricts the run to some items.
        retry: compute items again that failed before.
        progress: receives the progress of each step.
        listener: receives the events of the run.
        folder: the folder of the run, for output files.
    """

    def __init__(
        self,
        workspace: Workspace,
        graph: Graph,
        *,
        engine: Engine | None = None,
        subset: ItemSubset | None = None,
        retry: bool = False,
        progress: Progress | None = None,
        listener: Listener | None = None,
        folder: Path | None = None,
    ) -> None:
        self.workspace = workspace
        self.graph = graph
        self._engine = engine or LocalEngine()
        self._subset = subset or ItemSubset()
        self._retry = retry
        self._progress = progress or NullProgress()
        self._publish = listener or (lambda event: None)
        self._folder = folder or workspace.location / "runs"
        self._sample_size = self._subset.sample or 0
        self._sample_is_exhaustive = True
        self.cache = open_cache(workspace)
        self.environment = create_environment(workspace, self.cache)

    # Planning

    def plan(self) -> Plan:
        """Return what a run would do. Nothing is computed, and only the cache's own records change."""
        results: dict[str, Result] = {}
        planned: dict[str, PlannedStep] = {}
        for step in self.graph:
            planned[step.name] = self._plan_step(step, results, planned)
        return Plan(self.graph.name, tuple(planned.values()))

    def _plan_step(self, step: Step, results: dict[str, Result], planned: Mapping[str, PlannedStep]) -> PlannedStep:
        sources = [name for names in step.inputs.values() for name in names]
        if omitted := [name for name in sources if planned[name].action is StepAction.OMIT]:
            return PlannedStep(step.name, step.operation, StepAction.OMIT, (f"'{omitted[0]}' is omitted",))
        if pending := [name for name in sources if name not in results]:
            reasons = tuple(f"'{name}' must run first" for name in pending)
            return PlannedStep(step.name, step.operation, StepAction.WAIT, reasons)
        bound = self.bind(step, results)
        if self._is_omitted(bound):
            return PlannedStep(step.name, step.operation, StepAction.OMIT, ("it has side effects",))
        cached = bound.cached_result()
        if cached is not None and not (self._retry and cached.failed):
            results[step.name] = self._apply_subset(step, bound.result(cached))
            return PlannedStep(step.name, step.operation, StepAction.SKIP, ("nothing that it depends on changed",))
        reasons = self.explain_miss(bound, is_cached=cached is not None)
        if not bound.operation.is_per_item:
            return PlannedStep(step.name, step.operation, StepAction.RUN, reasons)
        items = len(bound)
        todo = len(bound.cache_misses())
        if self._retry:
            numbers = bound.memo.find(bound.item_digests)
            todo += len(bound.memo.failures(numbers[numbers >= 0]))
        action = StepAction.RUN if todo == items else StepAction.PARTIAL
        if not todo:
            reasons = (*reasons, "all items are cached; only the result is assembled")
        return PlannedStep(step.name, step.operation, action, reasons, items, todo)

    def explain_miss(self, bound: BoundStep, *, is_cached: bool = False) -> tuple[str, ...]:
        """Explain why a step runs, by comparing it with its last run.

        Args:
            bound: the step.
            is_cached: the step has a cached result and runs only to retry failed items.
        """
        if is_cached:
            return ("failed items are retried",)
        if bound.previous_components is None:
            return ("it has not run yet",)
        changes = diff_components(bound.previous_components, bound.key_components)
        return tuple(changes) or ("its result is no longer in the cache",)

    def history_key(self, step: Step) -> str:
        """Return the name under which the last run of a step is recorded."""
        return f"{self.graph.name}/{step.name.replace('/', '.')}"

    def bind(self, step: Step, results: Mapping[str, Result]) -> BoundStep:
        """Bind a step to the results of its source steps."""
        inputs = {port: [results[name] for name in names] for port, names in step.inputs.items()}
        previous_components = self.cache.get_entry("last", self.history_key(step))
        operation = self.graph.operation(step)
        parameters = self.graph.parameters(step)
        return BoundStep(self.environment, step, operation, parameters, inputs, previous_components)

    def _is_omitted(self, bound: BoundStep) -> bool:
        return not self._subset.is_all and (
            bound.operation.has_side_effects or bound.operation.granularity is Granularity.TRAINING
        )

    def _apply_subset(self, step: Step, result: Result) -> Result:
        """Restrict the result of a source step to the requested items."""
        if self._subset.is_all or result.table is None or any(step.inputs.values()):
            return result
        rows = self._subset_rows(result.table)
        return Result(result.type, select_rows(self.cache, result.table, rows), None, result.failures, result.failed)

    def _subset_rows(self, table: Table) -> Any:
        rows = np.arange(len(table))
        if self._subset.keys is not None:
            keys = self.environment.reader(table).keys()
            rows = np.array([row for row, key in enumerate(keys) if key in self._subset.keys], np.int64)
        if self._subset.sample is not None and self._sample_size < len(rows):
            order = np.random.default_rng(self._subset.seed).permutation(len(rows))
            rows = rows[np.sort(order[: self._sample_size])]
            self._sample_is_exhaustive = False
        return rows

    # Running

    def run(self) -> RunOutcome:
        """Run the steps without a cached result. Finished items stay cached if the run is interrupted.

        Raises:
            PipelineError: a step failed; the message names the step.
        """
        self.cache.prepare()
        with ExitStack() as stack:
            # New images are referenced by the cache only once a step is complete.
            stack.enter_context(self.workspace.blobs.gc_guard())
            outcome = self._run_with_repair()
            while self._subset.sample is not None and self._is_incomplete(outcome):
                self._publish({"event": "more", "sample": self._sample_size})
                outcome = self._run_with_repair()
            return outcome

    def _run_with_repair(self) -> RunOutcome:
        for _ in range(_MAX_REPAIRS):
            try:
                return self._run_all()  # continues with everything that is still intact
            except CorruptCacheError as error:
                self._publish({"event": "repaired", "reason": error.message})
                self.cache.repair()
        return self._run_all()

    def _is_incomplete(self, outcome: RunOutcome) -> bool:
        """Whether too few items came out of a final step while more can go in; increases the sample size if so."""
        completed = [step for step in self.graph if step.name in outcome.results]
        used = {name for step in completed for names in step.inputs.values() for name in names}
        final_counts = [outcome.results[step.name].items for step in completed if step.name not in used]
        fewest = min((count for count in final_counts if count is not None), default=self._sample_size)
        target = self._subset.sample or 0
        if fewest >= target or self._sample_is_exhaustive:
            return False
        # Extrapolate from the share of items that came out, plus a fifth, since the share varies by chance.
        self._sample_size = max(2 * self._sample_size, int(1.2 * self._sample_size * target / fewest) if fewest else 0)
        return True

    def _run_all(self) -> RunOutcome:
        outcome = RunOutcome()
        self._sample_is_exhaustive = True
        omitted: set[str] = set()
        for step in self.graph:
            if any(name in omitted for names in step.inputs.values() for name in names):
                omitted.add(step.name)
                outcome.steps.append(StepOutcome(step.name, step.operation, StepAction.OMIT))
                continue
            started = time.perf_counter()
            step_outcome = self._run_step(step, outcome.results)
            step_outcome.seconds = time.perf_counter() - started
            if step_outcome.action is StepAction.OMIT:
                omitted.add(step.name)
            outcome.steps.append(step_outcome)
            self._publish({"event": "step", **step_outcome.to_json()})
        return outcome

    def _run_step(self, step: Step, results: dict[str, Result]) -> StepOutcome:
        bound = self.bind(step, results)
        outcome = StepOutcome(step.name, step.operation, StepAction.SKIP)
        if self._is_omitted(bound):
            outcome.action = StepAction.OMIT
            outcome.reasons = ("it has side effects",)
            return outcome
        cached = bound.cached_result()
        if cached is None or (self._retry and cached.failed):
            outcome.reasons = self.explain_miss(bound, is_cached=cached is not None)
            self._publish({"event": "begin", "step": step.name, "reasons": list(outcome.reasons)})
            cached, outcome.computed = self._execute(step, bound)
            self.cache.put_entry("steps", bound.key, cached.to_json())
            total = len(bound) if bound.operation.is_per_item else None
            is_full_run = total is None or outcome.computed == total
            outcome.action = StepAction.RUN if is_full_run else StepAction.PARTIAL
            self._record_history(step, bound)
        elif self._subset.is_all and self.cache.last_run_differs(self.history_key(step), bound.key):
            self._record_history(step, bound)
        result = bound.result(cached)
        results[step.name] = self._apply_subset(step, result)
        outcome.items = results[step.name].items
        outcome.value = result.value
        outcome.failed = result.failed
        outcome.failures = result.failures
        return outcome

    def _record_history(self, step: Step, bound: BoundStep) -> None:
        """Record the run of a step, for explaining and deriving the next one; runs on a subset do not count."""
        if self._subset.is_all:
            name = self.history_key(step)
            self.cache.put_last_run(name, bound.key, bound.key_components)
            if bound.tables:
                self.cache.put_column(bound.tables[0].keys)
                self.cache.put_entry("keys", name, {"keys": bound.tables[0].keys.id})

    def _execute(self, step: Step, bound: BoundStep) -> tuple[CachedResult, int]:
        try:
            folder = self._folder / step.name.replace("/", ".")
            return execute_step(bound, self._engine, self._progress, retry=self._retry, folder=folder)
        except (PipelineError, CorruptCacheError):
            raise
        except SaccadeError as error:
            raise PipelineError(error.message, step=step.name, hint=error.hint) from error
