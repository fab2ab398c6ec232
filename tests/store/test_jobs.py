"""Jobs: claims, heartbeats, retries, cancellation and idempotency keys."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import update

from saccade.core.errors import ConflictError, NotFoundError
from saccade.core.records.jobs import Job
from saccade.runtime.process import host_name, lease_owner_id
from saccade.store.catalog.tables import JobRow, now
from saccade.store.jobs.jobs import MAX_ATTEMPTS
from saccade.store.workspace import Workspace

THIS_PROCESS = lease_owner_id()
DEAD_PROCESS = f"{host_name()}~{2**22 + 1}~1"
OTHER_MACHINE = "another-machine~17~3"


def test_the_oldest_job_is_claimed_first_and_by_one_worker(workspace: Workspace) -> None:
    jobs = workspace.jobs
    first = jobs.add("import", "a", {"n": 1})
    second = jobs.add("export", "b", {"n": (1, 2)})
    assert first.state == "queued"
    assert second.parameters == {"n": [1, 2]}
    claimed = jobs.claim(THIS_PROCESS)
    assert claimed is not None
    assert (claimed.id, claimed.state, claimed.attempts) == (first.id, "running", 1)
    other = jobs.claim(THIS_PROCESS)
    assert other is not None
    assert other.id == second.id
    assert jobs.claim(THIS_PROCESS) is None
    assert jobs.heartbeat(first.id, THIS_PROCESS, {"what": "Importing", "done": 3, "total": 9, "note": "x"})
    assert jobs.get(first.id).progress["done"] == 3
    assert jobs.finish(first.id, THIS_PROCESS, "finished", {"dataset": "a@1"})
    assert jobs.get(first.id).result == {"dataset": "a@1"}
    assert [job.id for job in jobs.list()] == [second.id, first.id]
    assert [job.id for job in jobs.list(before=second.id)] == [first.id]


def test_concurrent_claims_get_different_jobs(workspace: Workspace) -> None:
    job_ids = {workspace.jobs.add("import", str(number), {}).id for number in range(12)}
    claimed: list[Job] = []

    def claim() -> None:
        while (job := workspace.jobs.claim(THIS_PROCESS)) is not None:
            claimed.append(job)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(job.id for job in claimed) == sorted(job_ids)


def test_an_idempotency_key_returns_the_earlier_job(workspace: Workspace) -> None:
    workspace.users.create_bootstrap_invitation()
    without_key = workspace.jobs.add("import", "a", {"n": 1}, None, None)
    assert workspace.jobs.add("import", "a", {"n": 1}, None, None).id != without_key.id
    from saccade.core.roles import Role

    user_id = workspace.users.add("a@example.org", Role.OWNER, "A", "correct horse battery").id
    first = workspace.jobs.add("import", "a", {"n": 1}, user_id, "key")
    assert workspace.jobs.add("import", "a", {"n": 1}, user_id, "key").id == first.id
    with pytest.raises(ConflictError):
        workspace.jobs.add("import", "a", {"n": 2}, user_id, "key")


def test_the_job_of_a_dead_worker_is_claimed_again_and_fails_in_the_end(workspace: Workspace) -> None:
    job = workspace.jobs.add("import", "a", {})
    for attempt in range(MAX_ATTEMPTS):
        claimed = workspace.jobs.claim(DEAD_PROCESS)
        assert claimed is not None
        assert claimed.attempts == attempt + 1
    assert workspace.jobs.claim(THIS_PROCESS) is None
    failed = workspace.jobs.get(job.id)
    assert failed.state == "failed"
    assert "died" in failed.error
    retried = workspace.jobs.retry(job.id)
    assert retried.id != job.id
    assert retried.state == "queued"


def test_the_lease_of_a_worker_on_another_machine_expires(workspace: Workspace) -> None:
    job = workspace.jobs.add("import", "a", {})
    assert workspace.jobs.claim(OTHER_MACHINE) is not None
    assert workspace.jobs.claim(THIS_PROCESS) is None
    with workspace.catalog.write_tx() as session:
        session.execute(update(JobRow).values(heartbeat=now() - timedelta(minutes=6)))
    claimed = workspace.jobs.claim(THIS_PROCESS)
    assert claimed is not None
    assert not workspace.jobs.heartbeat(job.id, OTHER_MACHINE, {}), "another worker has claimed the job"
    assert not workspace.jobs.finish(job.id, OTHER_MACHINE, "finished", {"wrong": True})
    assert workspace.jobs.get(job.id).result == {}


def test_cancel(workspace: Workspace) -> None:
    queued = workspace.jobs.add("import", "a", {})
    running = workspace.jobs.add("import", "b", {})
    assert workspace.jobs.cancel(queued.id).state == "cancelled"
    claimed = workspace.jobs.claim(THIS_PROCESS)
    assert claimed is not None
    assert claimed.id == running.id
    assert workspace.jobs.cancel(running.id).state == "running"
    assert not workspace.jobs.heartbeat(running.id, THIS_PROCESS, {}), "the worker has to stop"
    workspace.jobs.requeue(running.id, THIS_PROCESS, count_attempt=True)
    assert workspace.jobs.get(running.id).state == "cancelled"
    with pytest.raises(ConflictError):
        workspace.jobs.cancel(running.id)
    with pytest.raises(NotFoundError):
        workspace.jobs.cancel("nothing")


def test_a_requeued_job_counts_the_attempt_only_if_asked_to(workspace: Workspace) -> None:
    job = workspace.jobs.add("import", "a", {})
    for _ in range(MAX_ATTEMPTS + 2):
        assert workspace.jobs.claim(THIS_PROCESS) is not None
        workspace.jobs.requeue(job.id, THIS_PROCESS, count_attempt=False)
    assert workspace.jobs.get(job.id).attempts == 0
    for _ in range(MAX_ATTEMPTS):
        assert workspace.jobs.claim(THIS_PROCESS) is not None
        workspace.jobs.requeue(job.id, THIS_PROCESS, count_attempt=True)
    assert workspace.jobs.get(job.id).state == "failed"


def test_views_are_saved_and_deleted(workspace: Workspace) -> None:
    from saccade.core.errors import InvalidValueError
    from saccade.core.schema import Column, Kind, Schema

    datasets = workspace.datasets
    datasets.write("d", Schema((Column("x", Kind.NUMBER),)), [], mode="create")
    datasets.save_view("d", "at night", {"tags": "[]"}, author="A")
    datasets.save_view("d", "at night", {"tags": '["night"]'}, author="B")
    assert [(view.name, view.filters, view.author) for view in datasets.views("d")] == [
        ("at night", {"tags": '["night"]'}, "B")
    ]
    for invalid in ("", " ", "a\nb", "x" * 101):
        with pytest.raises(InvalidValueError):
            datasets.save_view("d", invalid, {})
    with pytest.raises(NotFoundError):
        datasets.delete_view("d", "other")
    datasets.remove("d")
    datasets.write("d", Schema((Column("x", Kind.NUMBER),)), [], mode="create")
    assert datasets.views("d") == []
