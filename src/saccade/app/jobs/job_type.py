"""What a kind of job is, and what the one who does it has at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from saccade.core.progress import Progress
from saccade.core.roles import Role
from saccade.store.jobs.jobs import Job
from saccade.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Doing:
    """What the one who does a job has at hand; files written into ``folder`` may be fetched by name."""

    workspace: Workspace
    job: Job
    progress: Progress
    folder: Path


class Parameters(BaseModel):
    """What a job is told."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job.

    Attributes:
        title: made of its parameters.
        check: what must hold before it is left.
        needs: the least role of whoever leaves it, and sees what came of it.
    """

    parameters: type[BaseModel]
    title: Callable[[Any], str]
    do: Callable[[Doing, Any], dict[str, Any]]
    check: Callable[[Workspace, Any], object] = lambda workspace, given: None
    needs: Role = Role.MANAGER
