"""The plan of a run as plain data: the action for each step, with the reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class StepAction(StrEnum):
    """The action for a step in a run.

    run: compute everything. partial: compute some of the items. skip: use the cached result. wait: unknown until the
    source steps have run. omit: leave the step out, since a run on a subset of the items must not have side effects.
    """

    RUN = "run"
    PARTIAL = "partial"
    SKIP = "skip"
    WAIT = "wait"
    OMIT = "omit"


@dataclass(frozen=True)
class PlannedStep:
    """A step in a plan.

    Attributes:
        items: the number of input items (or groups), if known; None for an operation on whole datasets.
        todo: the number of items to compute.
        reasons: why the step runs, as text.
    """

    step: str
    operation: str
    action: StepAction
    reasons: tuple[str, ...] = ()
    items: int | None = None
    todo: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "action": str(self.action), "reasons": list(self.reasons)}


@dataclass(frozen=True)
class Plan:
    """The planned steps of a pipeline, in order."""

    pipeline: str
    steps: tuple[PlannedStep, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "steps": [step.to_json() for step in self.steps]}
