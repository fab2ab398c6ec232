"""Cancel and retry jobs."""

from __future__ import annotations

from saccade.core.records.jobs import Job
from saccade.store.workspace import Workspace


def cancel_job(workspace: Workspace, job: str) -> Job:
    """Cancel a job: a queued one at once, a running one within a second or two.

    Raises:
        NotFoundError: There is no such job.
        ConflictError: The job has ended.
    """
    return workspace.jobs.cancel(job)


def retry_job(workspace: Workspace, job: str, user_id: str | None = None) -> Job:
    """Enqueue a failed or cancelled job again, as a new job.

    Args:
        workspace: The workspace.
        job: The id of the job.
        user_id: The user who enqueues it, or None for the system.

    Raises:
        NotFoundError: There is no such job.
        ConflictError: The job has neither failed nor been cancelled.
    """
    return workspace.jobs.retry(job, user_id)
