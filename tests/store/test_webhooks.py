"""Webhooks in the store: what is told, to whom, and what is kept of it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.store.conftest import SCHEMA, item
from tests.store.hooks import DEAD, GOOD, HERE, URL, claimed, count, hooked, names, told

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.roles import Role
from saccade.core.webhooks.events import EVENTS, SAMPLES, body_of
from saccade.store.catalog.tables import WebhookRow, now
from saccade.store.maintenance.backup import back_up, restore
from saccade.store.maintenance.transfer import pull_dataset, push_dataset
from saccade.store.webhooks.webhooks import MOST
from saccade.store.workspace import Workspace


def test_everything_is_told_from_where_it_happens(workspace: Workspace, tmp_path: Path) -> None:
    hook = hooked(workspace)
    datasets = workspace.datasets
    run = workspace.runs.start("import", "import d", {})
    datasets.write("d", SCHEMA, [item("a"), item("b")], mode="create", message="first", run_id=run.id, author="Ann")
    workspace.runs.finish(run.id, "finished", {"items": 2, "odd": float("nan"), "note": "x"}, ["d@1"])
    datasets.write("d", SCHEMA, [item("c")], mode="append")
    datasets.branch("d", "side", "1")
    datasets.delete_items("d", ["b"], branch="side")
    datasets.merge("d@side")
    datasets.restore("d", 1)
    workspace.models.add("m", files={"weights": b"x"}, manifest={}, metrics={"ap": 0.5}, inputs=["d@1"])
    workspace.models.promote("m@1", "production", author="Ann")
    datasets.remove("d", force=True)
    for state in ("stopped", "failed"):
        workspace.runs.finish(workspace.runs.start("train", "t", {}).id, state, error="why")
    person = workspace.people.add("a@example.org", Role.OWNER, "A", "correct horse battery")
    workspace.people.add("b@example.org", Role.VIEWER, "B", "correct horse battery")
    workspace.people.remove("b@example.org")
    job = workspace.jobs.add("look", "Look", {}, person.id)
    workspace.jobs.claim(HERE)
    workspace.jobs.finish(job.id, HERE, "finished", {"dataset": "d@1", "report": {"long": []}, "items": 3})
    workspace.jobs.cancel(workspace.jobs.add("look", "Look", {}).id)
    failing = workspace.jobs.add("look", "Look", {})
    for _ in range(3):
        workspace.jobs.claim(DEAD)
    assert workspace.jobs.claim(HERE) is None
    found = told(workspace, hook)
    assert Counter(name for name, _ in found) == Counter(
        {
            "dataset.version": 5,
            "dataset.removed": 1,
            "model.version": 1,
            "model.alias": 1,
            "run.finished": 1,
            "run.stopped": 1,
            "run.failed": 1,
            "person.joined": 2,
            "person.removed": 1,
            "job.finished": 1,
            "job.cancelled": 1,
            "job.failed": 1,
        }
    )
    assert set(EVENTS) == {name for name, _ in found}
    for name, data in found:
        sample = type(SAMPLES[name])
        assert {one.name for one in fields(sample)} == set(data), name
    versions = [data for name, data in found if name == "dataset.version"]
    first = {"ref": "d@1", "message": "first", "author": "Ann", "items": 2, "added": 2, "run": run.id, "parent": None}
    assert first.items() <= versions[0].items()
    assert [one["ref"] for one in versions] == ["d@1", "d@2", "d@3", "d@4", "d@5"]
    assert (versions[2]["branch"], versions[3]["merged"], versions[4]["items"]) == ("side", 3, 2)
    by_name = dict(found)
    assert by_name["run.finished"]["metrics"] == {"items": 2}
    assert by_name["job.finished"]["result"] == {"dataset": "d@1", "items": 3}
    assert (by_name["job.failed"]["id"], "died 3 times" in by_name["job.failed"]["error"]) == (failing.id, True)
    assert by_name["model.alias"] == {
        "model": "m",
        "alias": "production",
        "number": 1,
        "ref": "m@1",
        "previous": None,
        "author": "Ann",
    }
    assert by_name["person.removed"]["email"] == "b@example.org"


def test_what_is_pulled_is_told(workspace: Workspace, tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "other") as other:
        other.datasets.write("d", SCHEMA, [item("a")], mode="create")
        other.datasets.write("d", SCHEMA, [item("b")], mode="append")
        push_dataset(other, "d", str(tmp_path / "shelf"))
    hook = hooked(workspace, "dataset.version")
    pull_dataset(workspace, str(tmp_path / "shelf"))
    assert [data["ref"] for _, data in told(workspace, hook)] == ["d@1", "d@2"]


def test_what_nobody_asks_for_is_not_written(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    assert count(workspace) == 0
    models = hooked(workspace, "model.version")
    off = hooked(workspace)
    workspace.webhooks.change(off, is_on=False)
    workspace.projects.add("other")
    other = workspace.in_project("other")
    theirs = hooked(other)
    workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    assert count(workspace) == 0
    other.datasets.write("d", SCHEMA, [item("x")], mode="create")
    (only,) = other.webhooks.deliveries(theirs)
    assert json.loads(only.body)["project"] == "other"
    assert workspace.webhooks.deliveries(models) == []
    with pytest.raises(NotFoundError):
        workspace.webhooks.deliveries(theirs)
    assert [one.id for one in other.webhooks.list()] == [theirs]
    for act in (workspace.webhooks.remove, workspace.webhooks.renew, workspace.webhooks.test, workspace.webhooks.get):
        with pytest.raises(NotFoundError):
            act(theirs)
    with pytest.raises(NotFoundError):
        workspace.webhooks.again(models, only.id)


def test_what_did_not_happen_is_not_told(workspace: Workspace) -> None:
    """Refused, or overtaken and done again: only what is in the catalog in the end was told."""
    hook = hooked(workspace)
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    with pytest.raises(ConflictError):
        workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    with pytest.raises(ConflictError):
        workspace.datasets.write("d", SCHEMA, [item("a")], mode="append")
    with pytest.raises(NotFoundError):
        workspace.models.promote("m@1", "production")
    writers = [
        threading.Thread(
            target=workspace.datasets.write, args=("d", SCHEMA, [item(f"k{n}")]), kwargs={"mode": "append"}
        )
        for n in range(6)
    ]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert names(workspace, hook) == ["dataset.version"] * 7
    assert [data["number"] for _, data in told(workspace, hook)] == list(range(1, 8))
    assert [one.number for one in workspace.datasets.log("d")] == list(range(7, 0, -1))


def test_secrets_are_told_once_and_renewed_without_a_gap(workspace: Workspace) -> None:
    made, secret = workspace.webhooks.add(URL, ["dataset.version"])
    workspace.webhooks.test(made.id)
    sending = claimed(workspace)
    assert sending.secrets == (secret,)
    _, new = workspace.webhooks.renew(made.id)
    assert new != secret
    assert workspace.outbox.finish(sending, GOOD)
    workspace.webhooks.test(made.id)
    sending = claimed(workspace)
    assert sending.secrets == (new, secret)
    shown = repr((workspace.webhooks.list(), workspace.webhooks.deliveries(made.id), sending))
    assert secret not in shown
    assert new not in shown
    with workspace.catalog.writing() as session:
        session.execute(update(WebhookRow).values(previous_until=now()))
    assert workspace.outbox.finish(sending, GOOD)
    workspace.webhooks.test(made.id)
    assert claimed(workspace).secrets == (new,)


def test_what_may_be_asked_for(workspace: Workspace) -> None:
    with pytest.raises(InvalidValueError, match=r"no event 'dataset.versions'.*dataset.version"):
        workspace.webhooks.add(URL, ["dataset.versions"])
    for wrong in ("ping", "job.running"):
        with pytest.raises(InvalidValueError):
            workspace.webhooks.add(URL, [wrong])
    with pytest.raises(InvalidValueError, match="at least one"):
        workspace.webhooks.add(URL, [])
    made, _ = workspace.webhooks.add(URL, ["run.failed", "job.failed", "run.failed"])
    assert made.events == ("run.failed", "job.failed")
    changed = workspace.webhooks.change(made.id, url="https://example.org/other", events=["model.alias"])
    assert (changed.url, changed.events, changed.author) == ("https://example.org/other", ("model.alias",), "")
    for _ in range(MOST - 1):
        workspace.webhooks.add(URL, EVENTS)
    with pytest.raises(ConflictError, match="at most 20"):
        workspace.webhooks.add(URL, EVENTS)


def test_old_deliveries_are_forgotten(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from saccade.store.webhooks import delivery_queue

    monkeypatch.setattr(delivery_queue, "KEPT", 5)
    hook = hooked(workspace)
    sent = []
    for _ in range(9):
        sent.append(workspace.webhooks.test(hook).id)
        assert workspace.outbox.finish(claimed(workspace), GOOD)
    assert [one.id for one in workspace.webhooks.deliveries(hook)] == sent[:3:-1]
    page = workspace.webhooks.deliveries(hook, limit=2)
    assert [one.id for one in workspace.webhooks.deliveries(hook, before=page[-1].number, limit=2)] == sent[6:4:-1]


def test_a_copy_has_them_and_goes_on(workspace: Workspace, tmp_path: Path) -> None:
    hook = hooked(workspace, "dataset.version")
    for number in range(2):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    back_up(workspace, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "again")
    with Workspace.open(tmp_path / "again") as again:
        assert told(again, hook) == told(workspace, hook)
        again.datasets.write("d", SCHEMA, [item("new")], mode="append")
        assert [data["number"] for _, data in told(again, hook)] == [1, 2, 3]


@pytest.mark.slow
def test_a_copy_goes_on_in_postgresql(tmp_path: Path, postgresql: str) -> None:
    with Workspace.create(tmp_path / "home") as home:
        hook = hooked(home, "dataset.version")
        home.datasets.write("d", SCHEMA, [item("a")], mode="create")
        back_up(home, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "large", postgresql)
    with Workspace.open(tmp_path / "large") as large:
        large.datasets.write("d", SCHEMA, [item("b")], mode="append")
        assert [data["number"] for _, data in told(large, hook)] == [1, 2]
        assert json.loads(claimed(large).body)["data"]["number"] == 1


def test_bodies_are_plain_json_of_ascii() -> None:
    at = now()
    for name, sample in SAMPLES.items():
        body = body_of(name, at, "größe", sample)
        assert body.isascii()
        assert json.loads(body).keys() == {"type", "timestamp", "project", "data"}
