"""Jobs: each done by one, none lost, none done for ever."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import update

from saccade.core.errors import ConflictError, NotFoundError
from saccade.store.catalog.tables import JobRow, now
from saccade.store.io.process import host_name, process_identity
from saccade.store.jobs.jobs import ATTEMPTS, Job
from saccade.store.workspace import Workspace

HERE = process_identity()
DEAD = f"{host_name()}~{2**22 + 1}~1"
ELSEWHERE = "another-machine~17~3"


def test_the_oldest_is_done_first_and_by_one_alone(workspace: Workspace) -> None:
    jobs = workspace.jobs
    first, second = jobs.add("import", "a", {"n": 1}), jobs.add("export", "b", {"n": (1, 2)})
    assert first.state == "queued"
    assert second.parameters == {"n": [1, 2]}
    claimed = jobs.claim(HERE)
    assert claimed is not None
    assert (claimed.id, claimed.state, claimed.attempts) == (first.id, "running", 1)
    other = jobs.claim(HERE)
    assert other is not None
    assert other.id == second.id
    assert jobs.claim(HERE) is None
    assert jobs.tell(first.id, HERE, {"what": "Importing", "done": 3, "total": 9, "note": "x"})
    assert jobs.get(first.id).progress["done"] == 3
    assert jobs.finish(first.id, HERE, "finished", {"dataset": "a@1"})
    assert jobs.get(first.id).result == {"dataset": "a@1"}
    assert [job.id for job in jobs.list()] == [second.id, first.id]
    assert [job.id for job in jobs.list(before=second.id)] == [first.id]


def test_many_claim_at_once_and_each_gets_another(workspace: Workspace) -> None:
    wanted = {workspace.jobs.add("import", str(number), {}).id for number in range(12)}
    got: list[Job] = []

    def claim() -> None:
        while (job := workspace.jobs.claim(HERE)) is not None:
            got.append(job)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(job.id for job in got) == sorted(wanted)


def test_asking_twice_is_asking_once(workspace: Workspace) -> None:
    workspace.people.first_link()
    one = workspace.jobs.add("import", "a", {"n": 1}, None, None)
    assert workspace.jobs.add("import", "a", {"n": 1}, None, None).id != one.id
    from saccade.core.roles import Role

    person = workspace.people.add("a@example.org", Role.OWNER, "A", "correct horse battery").id
    first = workspace.jobs.add("import", "a", {"n": 1}, person, "key")
    assert workspace.jobs.add("import", "a", {"n": 1}, person, "key").id == first.id
    with pytest.raises(ConflictError):
        workspace.jobs.add("import", "a", {"n": 2}, person, "key")


def test_a_dead_worker_s_job_is_taken_up_and_given_up_in_the_end(workspace: Workspace) -> None:
    job = workspace.jobs.add("import", "a", {})
    for attempt in range(ATTEMPTS):
        claimed = workspace.jobs.claim(DEAD)
        assert claimed is not None
        assert claimed.attempts == attempt + 1
    assert workspace.jobs.claim(HERE) is None
    given_up = workspace.jobs.get(job.id)
    assert given_up.state == "failed"
    assert "died" in given_up.error
    again = workspace.jobs.retry(job.id)
    assert again.id != job.id
    assert again.state == "queued"


def test_a_worker_elsewhere_is_dead_when_nothing_was_heard_of_it(workspace: Workspace) -> None:
    job = workspace.jobs.add("import", "a", {})
    assert workspace.jobs.claim(ELSEWHERE) is not None
    assert workspace.jobs.claim(HERE) is None
    with workspace.catalog.writing() as session:
        session.execute(update(JobRow).values(heartbeat=now() - timedelta(minutes=6)))
    claimed = workspace.jobs.claim(HERE)
    assert claimed is not None
    assert not workspace.jobs.tell(job.id, ELSEWHERE, {}), "it comes back, and is no more the one who does it"
    assert not workspace.jobs.finish(job.id, ELSEWHERE, "finished", {"wrong": True})
    assert workspace.jobs.get(job.id).result == {}


def test_cancelling(workspace: Workspace) -> None:
    waits, runs = workspace.jobs.add("import", "a", {}), workspace.jobs.add("import", "b", {})
    assert workspace.jobs.cancel(waits.id).state == "cancelled"
    claimed = workspace.jobs.claim(HERE)
    assert claimed is not None
    assert claimed.id == runs.id
    assert workspace.jobs.cancel(runs.id).state == "running"
    assert not workspace.jobs.tell(runs.id, HERE, {}), "it is told not to go on"
    workspace.jobs.release(runs.id, HERE, counts=True)
    assert workspace.jobs.get(runs.id).state == "cancelled"
    with pytest.raises(ConflictError):
        workspace.jobs.cancel(runs.id)
    with pytest.raises(NotFoundError):
        workspace.jobs.cancel("nothing")


def test_what_a_worker_leaves_at_its_end_does_not_count(workspace: Workspace) -> None:
    job = workspace.jobs.add("import", "a", {})
    for _ in range(ATTEMPTS + 2):
        assert workspace.jobs.claim(HERE) is not None
        workspace.jobs.release(job.id, HERE, counts=False)
    assert workspace.jobs.get(job.id).attempts == 0
    for _ in range(ATTEMPTS):
        assert workspace.jobs.claim(HERE) is not None
        workspace.jobs.release(job.id, HERE, counts=True)
    assert workspace.jobs.get(job.id).state == "failed"


def test_views_are_kept_and_forgotten(workspace: Workspace) -> None:
    from saccade.core.errors import InvalidValueError
    from saccade.core.schema import Column, Kind, Schema

    datasets = workspace.datasets
    datasets.write("d", Schema((Column("x", Kind.NUMBER),)), [], mode="create")
    datasets.keep_view("d", "at night", {"tags": "[]"}, author="A")
    datasets.keep_view("d", "at night", {"tags": '["night"]'}, author="B")
    assert [(view.name, view.filters, view.author) for view in datasets.views("d")] == [
        ("at night", {"tags": '["night"]'}, "B")
    ]
    for wrong in ("", " ", "a\nb", "x" * 101):
        with pytest.raises(InvalidValueError):
            datasets.keep_view("d", wrong, {})
    with pytest.raises(NotFoundError):
        datasets.forget_view("d", "other")
    datasets.remove("d")
    datasets.write("d", Schema((Column("x", Kind.NUMBER),)), [], mode="create")
    assert datasets.views("d") == []
