"""The delivery queue of webhooks: order, retries, and disabling."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from tests.store.conftest import SCHEMA, item
from tests.store.webhook_helpers import (
    ACCEPTED,
    DEAD_PROCESS,
    OTHER_MACHINE,
    REJECTED,
    THIS_PROCESS,
    add_webhook,
    advance_time,
    claim,
    count_deliveries,
)

from saccade.core.errors import ConflictError
from saccade.store.catalog.tables import now
from saccade.store.maintenance.doctor import doctor
from saccade.store.webhooks.delivery_queue import (
    MAX_ORDERED_ATTEMPTS,
    MAX_RETRY_AFTER,
    RETRY_DELAYS,
    RETRY_WINDOW,
    DeliveryResult,
)
from saccade.store.webhooks.webhooks import DISABLED_MESSAGE
from saccade.store.workspace import Workspace


def test_one_delivery_at_a_time_in_order(workspace: Workspace) -> None:
    first = add_webhook(workspace, "dataset.version")
    second = add_webhook(workspace, "dataset.version")
    for number in range(3):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    mine = claim(workspace)
    other = claim(workspace, OTHER_MACHINE)
    webhook_ids = {
        delivery.id: webhook_id
        for webhook_id in (first, second)
        for delivery in workspace.webhooks.list_deliveries(webhook_id)
    }
    assert {webhook_ids[mine.delivery_id], webhook_ids[other.delivery_id]} == {first, second}
    assert workspace.delivery_queue.claim(THIS_PROCESS) is None, "each webhook has a delivery in progress"
    assert json.loads(mine.body)["data"]["number"] == json.loads(other.body)["data"]["number"] == 1
    assert workspace.delivery_queue.finish(mine, ACCEPTED)
    assert not workspace.delivery_queue.finish(mine, REJECTED), "it was already recorded"
    following = claim(workspace)
    assert webhook_ids[following.delivery_id] == webhook_ids[mine.delivery_id]
    assert json.loads(following.body)["data"]["number"] == 2


def test_concurrent_workers_send_each_delivery_once_in_order(workspace: Workspace) -> None:
    webhook_ids = [add_webhook(workspace, "dataset.version") for _ in range(3)]
    for number in range(8):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    sent: list[str] = []
    lock = threading.Lock()
    start = threading.Event()

    def work() -> None:
        start.wait()
        while any(webhook.pending for webhook in workspace.webhooks.list()):
            claimed = workspace.delivery_queue.claim(THIS_PROCESS)
            if claimed is not None:
                with lock:
                    sent.append(claimed.delivery_id)
                assert workspace.delivery_queue.finish(claimed, ACCEPTED)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    start.set()
    for thread in threads:
        thread.join()
    assert len(sent) == len(set(sent)) == 24
    for webhook_id in webhook_ids:
        expected = [delivery.id for delivery in workspace.webhooks.list_deliveries(webhook_id)[::-1]]
        assert [delivery_id for delivery_id in sent if delivery_id in expected] == expected


def test_the_delivery_of_a_dead_worker_is_sent_by_another(workspace: Workspace) -> None:
    webhook_id = add_webhook(workspace)
    workspace.webhooks.send_test(webhook_id)
    lost = claim(workspace, DEAD_PROCESS)
    again = claim(workspace)
    assert (again.delivery_id, again.body, again.attempt) == (lost.delivery_id, lost.body, 2)
    assert not workspace.delivery_queue.finish(lost, ACCEPTED), "another worker has claimed it"
    assert workspace.delivery_queue.claim(OTHER_MACHINE) is None
    advance_time(workspace, timedelta(minutes=6))
    assert claim(workspace, OTHER_MACHINE).delivery_id == lost.delivery_id, "the claim has timed out"
    assert not workspace.delivery_queue.finish(again, ACCEPTED)


def test_failures_are_retried_with_backoff_and_block_later_events_at_first(workspace: Workspace) -> None:
    webhook_id = add_webhook(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    for attempt in range(MAX_ORDERED_ATTEMPTS):
        claimed = claim(workspace)
        assert json.loads(claimed.body)["data"]["number"] == 1
        assert workspace.delivery_queue.finish(claimed, REJECTED)
        row = workspace.webhooks.list_deliveries(webhook_id)[1]
        assert (row.state, row.attempts, row.status, row.error) == ("pending", attempt + 1, 500, REJECTED.error)
        assert row.last_attempt_at is not None
        assert abs((row.next_attempt_at - row.last_attempt_at) - RETRY_DELAYS[attempt]) < timedelta(seconds=5)
        if attempt + 1 < MAX_ORDERED_ATTEMPTS:
            assert workspace.delivery_queue.claim(THIS_PROCESS) is None, "later events wait for it"
            advance_time(workspace, RETRY_DELAYS[attempt])
    assert workspace.webhooks.get(webhook_id).failing_since is not None
    later = claim(workspace)
    assert json.loads(later.body)["data"]["number"] == 2, "after some attempts it no longer blocks later events"
    advance_time(workspace, timedelta(minutes=5), id=later.delivery_id)
    assert workspace.delivery_queue.finish(later, DeliveryResult(200, "", 3))
    assert workspace.webhooks.get(webhook_id).failing_since is None


def test_after_an_outage_all_waiting_deliveries_are_due(workspace: Workspace) -> None:
    webhook_id = add_webhook(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    for attempt in range(6):
        assert workspace.delivery_queue.finish(claim(workspace), REJECTED)
        advance_time(workspace, RETRY_DELAYS[attempt] if attempt < 5 else timedelta())
    workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    assert workspace.delivery_queue.finish(claim(workspace), ACCEPTED)
    caught_up = claim(workspace)
    assert json.loads(caught_up.body)["data"]["number"] == 1, "although its next attempt was an hour away"
    assert workspace.delivery_queue.finish(caught_up, ACCEPTED)
    assert {delivery.state for delivery in workspace.webhooks.list_deliveries(webhook_id)} == {"delivered"}


def test_a_webhook_is_disabled_after_more_than_a_day_of_failures(workspace: Workspace) -> None:
    webhook_id = add_webhook(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    passed = timedelta()
    attempts = 0
    while workspace.webhooks.get(webhook_id).enabled:
        claimed = claim(workspace)
        assert workspace.delivery_queue.finish(claimed, REJECTED)
        attempts += 1
        (row,) = workspace.webhooks.list_deliveries(webhook_id)
        if row.state == "pending":
            passed += row.next_attempt_at - now()
            advance_time(workspace, row.next_attempt_at - now())
    assert attempts == 12
    assert timedelta(days=1) < RETRY_WINDOW < passed
    (row,) = workspace.webhooks.list_deliveries(webhook_id)
    assert row.state == "failed"
    disabled = workspace.webhooks.get(webhook_id)
    assert disabled.disabled_reason.startswith("Disabled automatically: no delivery was accepted since ")
    assert disabled.disabled_reason.endswith("last error: The answer was 500.")
    assert [entry.action for entry in workspace.users.audit_log()] == ["disabled a webhook"]
    workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    assert len(workspace.webhooks.list_deliveries(webhook_id)) == 1
    assert workspace.delivery_queue.claim(THIS_PROCESS) is None
    with pytest.raises(ConflictError, match="is disabled"):
        workspace.webhooks.redeliver(webhook_id, row.id)
    enabled = workspace.webhooks.update(webhook_id, enabled=True)
    assert (enabled.enabled, enabled.disabled_reason, enabled.failing_since) == (True, "", None)
    workspace.webhooks.redeliver(webhook_id, row.id)
    claimed = claim(workspace)
    assert (claimed.delivery_id, claimed.attempt) == (row.id, 1)
    assert workspace.delivery_queue.finish(claimed, ACCEPTED)


def test_retry_after_is_respected_up_to_a_limit(workspace: Workspace) -> None:
    webhook_id = add_webhook(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    for retry_after, delay in (
        (timedelta(seconds=1), RETRY_DELAYS[0]),
        (timedelta(hours=3), timedelta(hours=3)),
        (timedelta(days=400), MAX_RETRY_AFTER),
    ):
        busy = DeliveryResult(503, "The answer was 503.", 5, retry_after=retry_after)
        assert workspace.delivery_queue.finish(claim(workspace), busy)
        (row,) = workspace.webhooks.list_deliveries(webhook_id)
        assert row.last_attempt_at is not None
        assert abs((row.next_attempt_at - row.last_attempt_at) - delay) < timedelta(seconds=5)
        advance_time(workspace, delay)


def test_failed_deliveries_are_redelivered_in_order(workspace: Workspace) -> None:
    webhook_id = add_webhook(workspace, "dataset.version")
    for number in range(3):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    assert workspace.delivery_queue.finish(claim(workspace), ACCEPTED)
    workspace.webhooks.update(webhook_id, enabled=False)
    assert workspace.delivery_queue.claim(THIS_PROCESS) is None
    with pytest.raises(ConflictError, match="is disabled"):
        workspace.webhooks.redeliver_failed(webhook_id)
    workspace.webhooks.update(webhook_id, enabled=True)
    workspace.webhooks.send_test(webhook_id)
    assert workspace.delivery_queue.finish(claim(workspace), REJECTED)
    assert workspace.webhooks.redeliver_failed(webhook_id) == 2
    assert workspace.webhooks.redeliver_failed(webhook_id) == 0
    numbers = []
    while (claimed := workspace.delivery_queue.claim(THIS_PROCESS)) is not None:
        numbers.append(json.loads(claimed.body)["data"]["number"])
        assert workspace.delivery_queue.finish(claimed, ACCEPTED)
    assert numbers == [2, 3]


@pytest.mark.slow
def test_a_rejected_delivery_fails_and_the_others_are_delivered(workspace: Workspace) -> None:
    webhook_id = add_webhook(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    poison = workspace.webhooks.list_deliveries(webhook_id)[0].id
    for number in range(60):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="append")
        while (claimed := workspace.delivery_queue.claim(THIS_PROCESS)) is not None:
            assert workspace.delivery_queue.finish(claimed, REJECTED if claimed.delivery_id == poison else ACCEPTED)
        advance_time(workspace, timedelta(minutes=45))
    states = {delivery.id: delivery.state for delivery in workspace.webhooks.list_deliveries(webhook_id, limit=1000)}
    assert states.pop(poison) == "failed"
    assert set(states.values()) == {"delivered"}
    assert workspace.webhooks.get(webhook_id).enabled


def test_410_gone_disables_the_webhook(workspace: Workspace) -> None:
    webhook_id = add_webhook(workspace, "dataset.version")
    for number in range(2):
        workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="create" if number == 0 else "append")
    assert workspace.delivery_queue.finish(
        claim(workspace), DeliveryResult(410, "The answer was 410 Gone.", 5, is_gone=True)
    )
    disabled = workspace.webhooks.get(webhook_id)
    assert (disabled.enabled, disabled.pending) == (False, 0)
    assert "410" in disabled.disabled_reason
    second, first = workspace.webhooks.list_deliveries(webhook_id)
    assert (first.state, second.state, second.error) == ("failed", "failed", DISABLED_MESSAGE)


def test_a_ping_is_sent_immediately_and_attempted_once(workspace: Workspace) -> None:
    webhook_id = add_webhook(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    assert workspace.delivery_queue.finish(claim(workspace), REJECTED)
    sent = workspace.webhooks.send_test(webhook_id)
    claimed = claim(workspace)
    assert (claimed.delivery_id, claimed.event) == (sent.id, "ping")
    assert workspace.delivery_queue.finish(claimed, REJECTED)
    assert workspace.webhooks.get_delivery(webhook_id, sent.id).state == "failed"
    assert json.loads(sent.body)["data"] == {"webhook": webhook_id}


def test_disabling_a_webhook_while_a_delivery_is_sent(workspace: Workspace) -> None:
    webhook_id = add_webhook(workspace, "dataset.version")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    claimed = claim(workspace)
    with pytest.raises(ConflictError, match="is being sent"):
        workspace.webhooks.redeliver(webhook_id, claimed.delivery_id)
    workspace.webhooks.update(webhook_id, enabled=False)
    assert workspace.delivery_queue.finish(claimed, REJECTED)
    assert [delivery.state for delivery in workspace.webhooks.list_deliveries(webhook_id)] == ["failed"]
    workspace.webhooks.update(webhook_id, enabled=True)
    workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    lost = claim(workspace, DEAD_PROCESS)
    workspace.webhooks.update(webhook_id, enabled=False)
    assert workspace.delivery_queue.claim(THIS_PROCESS) is None
    assert workspace.webhooks.get_delivery(webhook_id, lost.delivery_id).state == "failed"
    assert not any(webhook.pending for webhook in workspace.webhooks.list())


def test_removing_a_webhook_while_a_delivery_is_sent(workspace: Workspace) -> None:
    webhook_id = add_webhook(workspace)
    workspace.webhooks.send_test(webhook_id)
    claimed = claim(workspace)
    workspace.webhooks.remove(webhook_id)
    assert not workspace.delivery_queue.finish(claimed, ACCEPTED)
    assert (count_deliveries(workspace), workspace.webhooks.list()) == (0, [])
    assert doctor(workspace) == []
