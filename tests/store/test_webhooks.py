"""Webhooks: told of exactly what happened, in order, each by one worker, and given up in the end."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from tests.store.conftest import SCHEMA, item

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.events import EVENTS, SAMPLES, EventName, body_of
from saccade.core.roles import Role
from saccade.store.backup import back_up, restore
from saccade.store.doctor import doctor
from saccade.store.outbox import IN_ORDER, LONGEST_WAIT, TRIED_FOR, WAITS, Outcome, Sending
from saccade.store.process import host_name, process_identity
from saccade.store.tables import WebhookDeliveryRow, WebhookRow, now
from saccade.store.transfer import pull_dataset, push_dataset
from saccade.store.webhooks import MOST, SWITCHED_OFF
from saccade.store.workspace import Workspace

HERE = process_identity()
DEAD = f"{host_name()}~{2**22 + 1}~1"
ELSEWHERE = "another-machine~17~3"
URL = "https://example.org/told"
GOOD, BAD = Outcome(200, "", 5), Outcome(500, "The answer was 500.", 5)


def told(workspace: Workspace, hook: str) -> list[tuple[str, Any]]:
    """What a webhook will be told, in order."""
    found = workspace.webhooks.deliveries(hook)[::-1]
    bodies = [json.loads(one.body) for one in found]
    assert [one["type"] for one in bodies] == [one.event for one in found]
    return [(one["type"], one["data"]) for one in bodies]


def names(workspace: Workspace, hook: str) -> list[str]:
    return [name for name, _ in told(workspace, hook)]


def hooked(workspace: Workspace, *events: EventName) -> str:
    return workspace.webhooks.add(URL, events or EVENTS, "Ann")[0].id


def count(workspace: Workspace) -> int:
    with workspace.catalog.whole.reading() as session:
        return session.scalar(select(func.count()).select_from(WebhookDeliveryRow)) or 0


def age(workspace: Workspace, by: timedelta, **where: Any) -> None:
    """Let so much time pass for what a webhook is told."""
    moved = {name: getattr(WebhookDeliveryRow, name) for name in ("due", "tried", "began")}
    with workspace.catalog.whole.writing() as session:
        for row in session.scalars(select(WebhookDeliveryRow).filter_by(**where)):
            for name in moved:
                if (value := getattr(row, name)) is not None:
                    setattr(row, name, value - by)
        for hook in session.scalars(select(WebhookRow)):
            if hook.failing_since is not None:
                hook.failing_since -= by


def claimed(workspace: Workspace, process: str = HERE) -> Sending:
    found = workspace.outbox.claim(process)
    assert found is not None
    return found


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
            "dataset.version": 5, "dataset.removed": 1, "model.version": 1, "model.alias": 1, "run.finished": 1,
            "run.stopped": 1, "run.failed": 1, "person.joined": 2, "person.removed": 1, "job.finished": 1,
            "job.cancelled": 1, "job.failed": 1,
        }
    )  # fmt: skip
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
        "model": "m", "alias": "production", "number": 1, "ref": "m@1", "previous": None, "author": "Ann",
    }  # fmt: skip
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


def test_order_and_one_at_a_time(workspace: Workspace) -> None:
    first, second = hooked(workspace, "dataset.version"), hooked(workspace, "dataset.version")
    for number in range(3):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    one, two = claimed(workspace), claimed(workspace, ELSEWHERE)
    hooks = {row.id: hook for hook in (first, second) for row in workspace.webhooks.deliveries(hook)}
    assert {hooks[one.delivery], hooks[two.delivery]} == {first, second}
    assert workspace.outbox.claim(HERE) is None, "each is being told something already"
    assert json.loads(one.body)["data"]["number"] == json.loads(two.body)["data"]["number"] == 1
    assert workspace.outbox.finish(one, GOOD)
    assert not workspace.outbox.finish(one, BAD), "it has ended"
    following = claimed(workspace)
    assert hooks[following.delivery] == hooks[one.delivery]
    assert json.loads(following.body)["data"]["number"] == 2


def test_many_workers_at_once_send_each_thing_once_and_in_order(workspace: Workspace) -> None:
    hooks = [hooked(workspace, "dataset.version") for _ in range(3)]
    for number in range(8):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    sent: list[str] = []
    lock = threading.Lock()
    waiting = threading.Event()

    def work() -> None:
        waiting.wait()
        while any(one.waiting for one in workspace.webhooks.list()):
            sending = workspace.outbox.claim(HERE)
            if sending is not None:
                with lock:
                    sent.append(sending.delivery)
                assert workspace.outbox.finish(sending, GOOD)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    waiting.set()
    for one in threads:
        one.join()
    assert len(sent) == len(set(sent)) == 24
    for hook in hooks:
        expected = [one.id for one in workspace.webhooks.deliveries(hook)[::-1]]
        assert [one for one in sent if one in expected] == expected


def test_a_dead_worker_s_delivery_is_sent_by_another(workspace: Workspace) -> None:
    hook = hooked(workspace)
    workspace.webhooks.test(hook)
    lost = claimed(workspace, DEAD)
    again = claimed(workspace)
    assert (again.delivery, again.body, again.attempt) == (lost.delivery, lost.body, 2)
    assert not workspace.outbox.finish(lost, GOOD), "it is another's by now"
    assert workspace.outbox.claim(ELSEWHERE) is None
    age(workspace, timedelta(minutes=6))
    assert claimed(workspace, ELSEWHERE).delivery == lost.delivery, "nothing takes so long, whoever it is"
    assert not workspace.outbox.finish(again, GOOD)


def test_what_fails_waits_longer_each_time_and_keeps_its_place_for_a_while(workspace: Workspace) -> None:
    hook = hooked(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    for attempt in range(IN_ORDER):
        sending = claimed(workspace)
        assert json.loads(sending.body)["data"]["number"] == 1
        assert workspace.outbox.finish(sending, BAD)
        row = workspace.webhooks.deliveries(hook)[1]
        assert (row.state, row.attempts, row.status, row.error) == ("waiting", attempt + 1, 500, BAD.error)
        assert row.tried is not None
        assert abs((row.due - row.tried) - WAITS[attempt]) < timedelta(seconds=5)
        if attempt + 1 < IN_ORDER:
            assert workspace.outbox.claim(HERE) is None, "what came later keeps behind it"
            age(workspace, WAITS[attempt])
    assert workspace.webhooks.get(hook).failing_since is not None
    later = claimed(workspace)
    assert json.loads(later.body)["data"]["number"] == 2, "one that nobody accepts holds up the rest no longer"
    age(workspace, timedelta(minutes=5), id=later.delivery)
    assert workspace.outbox.finish(later, Outcome(200, "", 3))
    assert workspace.webhooks.get(hook).failing_since is None


def test_after_an_outage_all_that_was_missed_is_sent_at_once(workspace: Workspace) -> None:
    hook = hooked(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    for attempt in range(6):
        assert workspace.outbox.finish(claimed(workspace), BAD)
        age(workspace, WAITS[attempt] if attempt < 5 else timedelta())
    workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    assert workspace.outbox.finish(claimed(workspace), GOOD)
    caught_up = claimed(workspace)
    assert json.loads(caught_up.body)["data"]["number"] == 1, "though its next attempt was an hour away"
    assert workspace.outbox.finish(caught_up, GOOD)
    assert {one.state for one in workspace.webhooks.deliveries(hook)} == {"delivered"}


def test_it_is_tried_for_more_than_a_day_and_then_given_up_and_switched_off(workspace: Workspace) -> None:
    hook = hooked(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    passed, attempts = timedelta(), 0
    while workspace.webhooks.get(hook).is_on:
        sending = claimed(workspace)
        assert workspace.outbox.finish(sending, BAD)
        attempts += 1
        (row,) = workspace.webhooks.deliveries(hook)
        if row.state == "waiting":
            passed += row.due - now()
            age(workspace, row.due - now())
    assert attempts == 12
    assert timedelta(days=1) < TRIED_FOR < passed
    (row,) = workspace.webhooks.deliveries(hook)
    assert row.state == "failed"
    off = workspace.webhooks.get(hook)
    assert off.trouble.startswith("It was switched off: it has accepted nothing since ")
    assert off.trouble.endswith("the last time: The answer was 500.")
    assert [deed.action for deed in workspace.people.audit()] == ["switched off a webhook"]
    workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    assert len(workspace.webhooks.deliveries(hook)) == 1
    assert workspace.outbox.claim(HERE) is None
    with pytest.raises(ConflictError, match="switched off"):
        workspace.webhooks.again(hook, row.id)
    again = workspace.webhooks.change(hook, is_on=True)
    assert (again.is_on, again.trouble, again.failing_since) == (True, "", None)
    workspace.webhooks.again(hook, row.id)
    sending = claimed(workspace)
    assert (sending.delivery, sending.attempt) == (row.id, 1)
    assert workspace.outbox.finish(sending, GOOD)


def test_who_asks_to_be_left_alone_is(workspace: Workspace) -> None:
    hook = hooked(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    for asked, waited in (
        (timedelta(seconds=1), WAITS[0]),
        (timedelta(hours=3), timedelta(hours=3)),
        (timedelta(days=400), LONGEST_WAIT),
    ):
        busy = Outcome(503, "The answer was 503.", 5, wait=asked)
        assert workspace.outbox.finish(claimed(workspace), busy)
        (row,) = workspace.webhooks.deliveries(hook)
        assert row.tried is not None
        assert abs((row.due - row.tried) - waited) < timedelta(seconds=5)
        age(workspace, waited)


def test_all_that_was_given_up_is_sent_again_in_order(workspace: Workspace) -> None:
    hook = hooked(workspace, "dataset.version")
    for number in range(3):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    assert workspace.outbox.finish(claimed(workspace), GOOD)
    workspace.webhooks.change(hook, is_on=False)
    assert workspace.outbox.claim(HERE) is None
    with pytest.raises(ConflictError, match="switched off"):
        workspace.webhooks.again_failed(hook)
    workspace.webhooks.change(hook, is_on=True)
    workspace.webhooks.test(hook)
    assert workspace.outbox.finish(claimed(workspace), BAD)
    assert workspace.webhooks.again_failed(hook) == 2
    assert workspace.webhooks.again_failed(hook) == 0
    found = []
    while (sending := workspace.outbox.claim(HERE)) is not None:
        found.append(json.loads(sending.body)["data"]["number"])
        assert workspace.outbox.finish(sending, GOOD)
    assert found == [2, 3]


def test_one_that_nobody_accepts_is_given_up_and_the_rest_goes_on(workspace: Workspace) -> None:
    hook = hooked(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    poison = workspace.webhooks.deliveries(hook)[0].id
    for number in range(60):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="append")
        while (sending := workspace.outbox.claim(HERE)) is not None:
            assert workspace.outbox.finish(sending, BAD if sending.delivery == poison else GOOD)
        age(workspace, timedelta(minutes=45))
    states = {one.id: one.state for one in workspace.webhooks.deliveries(hook, limit=1000)}
    assert states.pop(poison) == "failed"
    assert set(states.values()) == {"delivered"}
    assert workspace.webhooks.get(hook).is_on


def test_who_wants_nothing_more_is_told_nothing_more(workspace: Workspace) -> None:
    hook = hooked(workspace, "dataset.version")
    for number in range(2):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    assert workspace.outbox.finish(claimed(workspace), Outcome(410, "The answer was 410 Gone.", 5, is_gone=True))
    off = workspace.webhooks.get(hook)
    assert (off.is_on, off.waiting) == (False, 0)
    assert "410" in off.trouble
    second, first = workspace.webhooks.deliveries(hook)
    assert (first.state, second.state, second.error) == ("failed", "failed", SWITCHED_OFF)


def test_a_test_is_tried_once_and_at_once(workspace: Workspace) -> None:
    hook = hooked(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    assert workspace.outbox.finish(claimed(workspace), BAD)
    sent = workspace.webhooks.test(hook)
    sending = claimed(workspace)
    assert (sending.delivery, sending.event) == (sent.id, "ping")
    assert workspace.outbox.finish(sending, BAD)
    assert workspace.webhooks.delivery(hook, sent.id).state == "failed"
    assert json.loads(sent.body)["data"] == {"webhook": hook}


def test_switching_off_while_it_is_sent(workspace: Workspace) -> None:
    hook = hooked(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    sending = claimed(workspace)
    with pytest.raises(ConflictError, match="being sent"):
        workspace.webhooks.again(hook, sending.delivery)
    workspace.webhooks.change(hook, is_on=False)
    assert workspace.outbox.finish(sending, BAD)
    assert [one.state for one in workspace.webhooks.deliveries(hook)] == ["failed"]
    workspace.webhooks.change(hook, is_on=True)
    workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    lost = claimed(workspace, DEAD)
    workspace.webhooks.change(hook, is_on=False)
    assert workspace.outbox.claim(HERE) is None
    assert workspace.webhooks.delivery(hook, lost.delivery).state == "failed"
    assert not any(one.waiting for one in workspace.webhooks.list())


def test_removing_while_it_is_sent(workspace: Workspace) -> None:
    hook = hooked(workspace)
    workspace.webhooks.test(hook)
    sending = claimed(workspace)
    workspace.webhooks.remove(hook)
    assert not workspace.outbox.finish(sending, GOOD)
    assert (count(workspace), workspace.webhooks.list()) == (0, [])
    assert doctor(workspace) == []


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
    from saccade.store import outbox

    monkeypatch.setattr(outbox, "KEPT", 5)
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
