"""Base classes of job types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from saccade.app.jobs.former_names import current_parameters
from saccade.core.progress import Progress
from saccade.core.records.jobs import Job
from saccade.core.roles import Role
from saccade.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a running job has access to.

    Attributes:
        workspace: The workspace, limited to the project of the job.
        job: The job.
        progress: Receives progress, and raises KeyboardInterrupt if the job was cancelled.
        output_dir: The folder for files that clients can download.
    """

    workspace: Workspace
    job: Job
    progress: Progress
    output_dir: Path


class JobParameters(BaseModel):
    """Base of the parameters of job types. Unknown fields are rejected.

    Lists that may be long are validated up to their first error (``fail_fast``): a list of 100,000 invalid values would
    otherwise have as many errors.
    """

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _accept_former_names(cls, parameters: Any) -> Any:
        return current_parameters(parameters, cls.model_fields)


@dataclass(frozen=True, slots=True)
class JobType:
    """A type of job.

    Attributes:
        parameters: The model that validates the parameters.
        title: Makes the title of a job from its parameters.
        run: Runs a job and returns its result as JSON.
        precheck: Raises an error if a job with these parameters cannot succeed, before it is enqueued.
        required_role: The least role that may enqueue such a job and read its result.
    """

    parameters: type[BaseModel]
    title: Callable[[Any], str]
    run: Callable[[JobContext, Any], dict[str, Any]]
    precheck: Callable[[Workspace, Any], object] = lambda workspace, params: None
    required_role: Role = Role.MANAGER
