"""Webhooks in the store: which events are published, to which webhooks, and their deliveries."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.store.conftest import SCHEMA, item
from tests.store.webhook_helpers import (
    ACCEPTED,
    DEAD_PROCESS,
    THIS_PROCESS,
    URL,
    add_webhook,
    claim,
    count_deliveries,
    event_names,
    published_events,
)

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.roles import Role
from saccade.core.webhooks.events import EVENTS, SAMPLES, serialize_event
from saccade.store.catalog.tables import WebhookRow, now
from saccade.store.maintenance.backup import back_up, restore
from saccade.store.maintenance.transfer import pull_dataset, push_dataset
from saccade.store.webhooks.webhooks import MAX_WEBHOOKS
from saccade.store.workspace import Workspace


def test_every_change_publishes_its_event(workspace: Workspace, tmp_path: Path) -> None:
    webhook_id = add_webhook(workspace)
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
    person = workspace.users.add("a@example.org", Role.OWNER, "A", "correct horse battery")
    workspace.users.add("b@example.org", Role.VIEWER, "B", "correct horse battery")
    workspace.users.remove("b@example.org")
    job = workspace.jobs.add("inspect-source", "Look", {}, person.id)
    workspace.jobs.claim(THIS_PROCESS)
    workspace.jobs.finish(job.id, THIS_PROCESS, "finished", {"dataset": "d@1", "report": {"long": []}, "items": 3})
    workspace.jobs.cancel(workspace.jobs.add("inspect-source", "Look", {}).id)
    failing = workspace.jobs.add("inspect-source", "Look", {})
    for _ in range(3):
        workspace.jobs.claim(DEAD_PROCESS)
    assert workspace.jobs.claim(THIS_PROCESS) is None
    events = published_events(workspace, webhook_id)
    assert Counter(name for name, _ in events) == Counter(
        {
            "dataset.version": 5,
            "dataset.removed": 1,
            "model.version": 1,
            "model.alias": 1,
            "run.finished": 1,
            "run.stopped": 1,
            "run.failed": 1,
            "member.joined": 2,
            "member.removed": 1,
            "job.finished": 1,
            "job.cancelled": 1,
            "job.failed": 1,
        }
    )
    assert set(EVENTS) == {name for name, _ in events}
    for name, data in events:
        sample = type(SAMPLES[name])
        assert {field.name for field in fields(sample)} == set(data), name
    versions = [data for name, data in events if name == "dataset.version"]
    first = {"ref": "d@1", "message": "first", "author": "Ann", "items": 2, "added": 2, "run": run.id, "parent": None}
    assert first.items() <= versions[0].items()
    assert [version["ref"] for version in versions] == ["d@1", "d@2", "d@3", "d@4", "d@5"]
    assert (versions[2]["branch"], versions[3]["merged"], versions[4]["items"]) == ("side", 3, 2)
    by_name = dict(events)
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
    assert by_name["member.removed"]["email"] == "b@example.org"


def test_a_pull_publishes_its_versions(workspace: Workspace, tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "other") as other:
        other.datasets.write("d", SCHEMA, [item("a")], mode="create")
        other.datasets.write("d", SCHEMA, [item("b")], mode="append")
        push_dataset(other, "d", str(tmp_path / "remote"))
    webhook_id = add_webhook(workspace, "dataset.version")
    pull_dataset(workspace, str(tmp_path / "remote"))
    assert [data["ref"] for _, data in published_events(workspace, webhook_id)] == ["d@1", "d@2"]


def test_events_without_a_subscriber_are_not_written(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    assert count_deliveries(workspace) == 0
    models = add_webhook(workspace, "model.version")
    disabled = add_webhook(workspace)
    workspace.webhooks.update(disabled, enabled=False)
    workspace.projects.add("other")
    other = workspace.scoped_to_project("other")
    other_id = add_webhook(other)
    workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    assert count_deliveries(workspace) == 0
    other.datasets.write("d", SCHEMA, [item("x")], mode="create")
    (delivery,) = other.webhooks.list_deliveries(other_id)
    assert json.loads(delivery.body)["project"] == "other"
    assert workspace.webhooks.list_deliveries(models) == []
    with pytest.raises(NotFoundError):
        workspace.webhooks.list_deliveries(other_id)
    assert [webhook.id for webhook in other.webhooks.list()] == [other_id]
    for method in (
        workspace.webhooks.remove,
        workspace.webhooks.rotate_secret,
        workspace.webhooks.send_test,
        workspace.webhooks.get,
    ):
        with pytest.raises(NotFoundError):
            method(other_id)
    with pytest.raises(NotFoundError):
        workspace.webhooks.redeliver(models, delivery.id)


def test_a_change_that_was_rolled_back_publishes_nothing(workspace: Workspace) -> None:
    """Rejected and repeated writes: only events of versions in the catalog are published."""
    webhook_id = add_webhook(workspace)
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
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert event_names(workspace, webhook_id) == ["dataset.version"] * 7
    assert [data["number"] for _, data in published_events(workspace, webhook_id)] == list(range(1, 8))
    assert [version.number for version in workspace.datasets.log("d")] == list(range(7, 0, -1))


def test_secrets_are_shown_once_and_rotated_with_an_overlap(workspace: Workspace) -> None:
    webhook, secret = workspace.webhooks.add(URL, ["dataset.version"])
    workspace.webhooks.send_test(webhook.id)
    claimed = claim(workspace)
    assert claimed.secrets == (secret,)
    _, new = workspace.webhooks.rotate_secret(webhook.id)
    assert new != secret
    assert workspace.delivery_queue.finish(claimed, ACCEPTED)
    workspace.webhooks.send_test(webhook.id)
    claimed = claim(workspace)
    assert claimed.secrets == (new, secret)
    text = repr((workspace.webhooks.list(), workspace.webhooks.list_deliveries(webhook.id), claimed))
    assert secret not in text
    assert new not in text
    with workspace.catalog.write_tx() as session:
        session.execute(update(WebhookRow).values(previous_secret_expires_at=now()))
    assert workspace.delivery_queue.finish(claimed, ACCEPTED)
    workspace.webhooks.send_test(webhook.id)
    assert claim(workspace).secrets == (new,)


def test_urls_and_events_are_validated(workspace: Workspace) -> None:
    with pytest.raises(InvalidValueError, match=r"no event 'dataset.versions'.*dataset.version"):
        workspace.webhooks.add(URL, ["dataset.versions"])
    for unknown in ("ping", "job.running"):
        with pytest.raises(InvalidValueError):
            workspace.webhooks.add(URL, [unknown])
    with pytest.raises(InvalidValueError, match="at least one"):
        workspace.webhooks.add(URL, [])
    webhook, _ = workspace.webhooks.add(URL, ["run.failed", "job.failed", "run.failed"])
    assert webhook.events == ("run.failed", "job.failed")
    changed = workspace.webhooks.update(webhook.id, url="https://example.org/other", events=["model.alias"])
    assert (changed.url, changed.events, changed.author) == ("https://example.org/other", ("model.alias",), "")
    for _ in range(MAX_WEBHOOKS - 1):
        workspace.webhooks.add(URL, EVENTS)
    with pytest.raises(ConflictError, match="at most 20"):
        workspace.webhooks.add(URL, EVENTS)


def test_old_deliveries_are_deleted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from saccade.store.webhooks import delivery_queue

    monkeypatch.setattr(delivery_queue, "HISTORY_LIMIT", 5)
    webhook_id = add_webhook(workspace)
    sent = []
    for _ in range(9):
        sent.append(workspace.webhooks.send_test(webhook_id).id)
        assert workspace.delivery_queue.finish(claim(workspace), ACCEPTED)
    assert [delivery.id for delivery in workspace.webhooks.list_deliveries(webhook_id)] == sent[:3:-1]
    page = workspace.webhooks.list_deliveries(webhook_id, limit=2)
    assert [
        delivery.id for delivery in workspace.webhooks.list_deliveries(webhook_id, before=page[-1].number, limit=2)
    ] == sent[6:4:-1]


def test_a_restored_backup_continues_publishing(workspace: Workspace, tmp_path: Path) -> None:
    webhook_id = add_webhook(workspace, "dataset.version")
    for number in range(2):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    back_up(workspace, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "restored")
    with Workspace.open(tmp_path / "restored") as restored:
        assert published_events(restored, webhook_id) == published_events(workspace, webhook_id)
        restored.datasets.write("d", SCHEMA, [item("new")], mode="append")
        assert [data["number"] for _, data in published_events(restored, webhook_id)] == [1, 2, 3]


@pytest.mark.slow
def test_a_backup_restored_to_postgresql_continues_publishing(tmp_path: Path, postgresql: str) -> None:
    with Workspace.create(tmp_path / "home") as home:
        webhook_id = add_webhook(home, "dataset.version")
        home.datasets.write("d", SCHEMA, [item("a")], mode="create")
        back_up(home, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "large", postgresql)
    with Workspace.open(tmp_path / "large") as large:
        large.datasets.write("d", SCHEMA, [item("b")], mode="append")
        assert [data["number"] for _, data in published_events(large, webhook_id)] == [1, 2]
        assert json.loads(claim(large).body)["data"]["number"] == 1


def test_bodies_are_ascii_json() -> None:
    at = now()
    for name, sample in SAMPLES.items():
        body = serialize_event(name, at, "größe", sample)
        assert body.isascii()
        assert json.loads(body).keys() == {"type", "timestamp", "project", "data"}
