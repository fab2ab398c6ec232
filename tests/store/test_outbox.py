"""Sending to webhooks: in which order, how often, and when it is given up."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from tests.store.conftest import SCHEMA, item
from tests.store.hooks import BAD, DEAD, ELSEWHERE, GOOD, HERE, age, claimed, count, hooked

from saccade.core.errors import ConflictError
from saccade.store.catalog.tables import now
from saccade.store.maintenance.doctor import doctor
from saccade.store.webhooks.delivery_queue import IN_ORDER, LONGEST_WAIT, TRIED_FOR, WAITS, Outcome
from saccade.store.webhooks.webhooks import SWITCHED_OFF
from saccade.store.workspace import Workspace


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


@pytest.mark.slow
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
