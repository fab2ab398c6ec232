"""What a run would do, as plain data: each step with what is done about it, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What is done about a step.

    run: all of it; partial: some of its items; skip: nothing, its result is there; wait: that depends on what the steps
    before it give; leave: nothing, because only some of the items are asked for and it has effects outside.
    """

    RUN = "run"
    PARTIAL = "partial"
    SKIP = "skip"
    WAIT = "wait"
    LEAVE = "leave"


@dataclass(frozen=True)
class PlannedStep:
    """A step in a plan.

    Attributes:
        items: how many items (or groups) go in, where that is known by item.
        todo: how many of them are to be worked on.
        reasons: why, in words.
    """

    step: str
    operation: str
    action: Action
    reasons: tuple[str, ...] = ()
    items: int | None = None
    todo: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "action": str(self.action), "reasons": list(self.reasons)}


@dataclass(frozen=True)
class Plan:
    """The steps of a pipeline in order."""

    pipeline: str
    steps: tuple[PlannedStep, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        return {"pipeline": self.pipeline, "steps": [step.to_json() for step in self.steps]}
