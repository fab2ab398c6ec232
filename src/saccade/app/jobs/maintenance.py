"""Job types that maintain the whole workspace: doctor and garbage collection.

Both report on all projects. Therefore only owners of the default project, who operate the server, may run them.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field

from saccade.app.diagnostics import environment_report
from saccade.app.jobs.job_type import JobContext, JobParameters, JobType
from saccade.core.errors import PermissionDeniedError
from saccade.core.roles import Role
from saccade.store.catalog.tables import DEFAULT_PROJECT
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.workspace import Workspace

_MAX_PROBLEMS = 1000


class DoctorParameters(JobParameters):
    repair: bool = Field(False, description="Repair what is safe to repair.")
    deep: bool = Field(False, description="Also read every stored file and compare its digest.")


class GcParameters(JobParameters):
    dry_run: bool = Field(False, description="Only report what would be removed.")
    cache: bool = Field(False, description="Also remove the cache of pipelines.")


def run_doctor(context: JobContext, params: DoctorParameters) -> dict[str, Any]:
    """Check the installation and the workspace."""
    context.progress.start("Checking")
    problems = doctor(context.workspace, repair=params.repair, deep=params.deep)
    return {
        "environment": environment_report(),
        "problems": [asdict(problem) for problem in problems[:_MAX_PROBLEMS]],
        "total": len(problems),
        "sound": not any(problem.level == "error" and not problem.repaired for problem in problems),
    }


def run_gc(context: JobContext, params: GcParameters) -> dict[str, Any]:
    """Delete unreferenced files."""
    context.progress.start("Collecting unreferenced files")
    result = collect_garbage(context.workspace, dry_run=params.dry_run, cache=params.cache)
    return {**asdict(result), "dry_run": params.dry_run}


def _require_default_project(workspace: Workspace, params: JobParameters) -> None:
    if workspace.project != DEFAULT_PROJECT:
        raise PermissionDeniedError(
            f"This job maintains all projects and runs only in the project '{DEFAULT_PROJECT}'.",
            hint=f"Ask an owner of '{DEFAULT_PROJECT}'.",
        )


DOCTOR = JobType(
    DoctorParameters, lambda params: "Check the workspace", run_doctor, _require_default_project, Role.OWNER
)
GC = JobType(
    GcParameters,
    lambda params: "Find unreferenced files" if params.dry_run else "Clean up storage",
    run_gc,
    _require_default_project,
    Role.OWNER,
)
