"""Looking after the whole workspace: what doctor and the garbage collection find is of all projects.

So it is left in the project that is always there, and by its owners, who look after the server.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field

from saccade.app.diagnostics import installation
from saccade.app.jobs.job_type import Doing, JobKind, Parameters
from saccade.core.errors import NotAllowedError
from saccade.core.roles import Role
from saccade.store.catalog.tables import DEFAULT_PROJECT
from saccade.store.maintenance.doctor import doctor as examine
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.workspace import Workspace

_MOST = 1000


class DoctorParameters(Parameters):
    repair: bool = Field(False, description="Repair what is safe to repair.")
    deep: bool = Field(False, description="Also read every stored file and compare its digest.")


class GcParameters(Parameters):
    dry_run: bool = Field(False, description="Only say what would be removed.")
    cache: bool = Field(False, description="Remove the cache of pipelines too.")


def doctor(doing: Doing, given: DoctorParameters) -> dict[str, Any]:
    """Check the installation and the workspace."""
    doing.progress.start("Checking")
    problems = examine(doing.workspace, repair=given.repair, deep=given.deep)
    return {
        "installation": installation(),
        "problems": [asdict(one) for one in problems[:_MOST]],
        "total": len(problems),
        "sound": not any(one.level == "error" and not one.repaired for one in problems),
    }


def gc(doing: Doing, given: GcParameters) -> dict[str, Any]:
    """Remove what nothing needs."""
    doing.progress.start("Looking for what nothing needs")
    return {
        **asdict(collect_garbage(doing.workspace, dry_run=given.dry_run, cache=given.cache)),
        "dry_run": given.dry_run,
    }


def _of_the_whole(workspace: Workspace, given: Parameters) -> None:
    if workspace.project != DEFAULT_PROJECT:
        raise NotAllowedError(
            "This looks after the whole workspace, with all projects.", hint=f"Ask an owner of '{DEFAULT_PROJECT}'."
        )


DOCTOR = JobKind(DoctorParameters, lambda given: "Check the workspace", doctor, _of_the_whole, Role.OWNER)
GC = JobKind(
    GcParameters,
    lambda given: "Say what nothing needs" if given.dry_run else "Remove what nothing needs",
    gc,
    _of_the_whole,
    Role.OWNER,
)
