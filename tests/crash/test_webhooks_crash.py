"""Writers and webhook workers killed at any moment: every change is delivered, and nothing else."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.crash.webhook_writer import SCHEMA
from tests.support.http_receiver import Receiver, answering, until

import saccade
from saccade.app.webhooks.webhooks import create_webhook
from saccade.core.reader import Item
from saccade.core.records.jobs import FINAL_STATES
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "2"))
WRITER = Path(__file__).with_name("webhook_writer.py")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows"),
]


@pytest.fixture(params=["sqlite", "postgresql"])
def workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    catalog = request.getfixturevalue("postgresql") if request.param == "postgresql" else ""
    with Workspace.create(tmp_path / "home", catalog) as workspace:
        workspace.datasets.write("d", SCHEMA, [Item("k0", {"number": 0.0})], mode="create")
        yield workspace


def start_worker(workspace: Workspace) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "saccade",
        "worker",
        "--private-network",
        "--workspace",
        str(workspace.location),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def stop(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
    process.send_signal(number)
    process.communicate(timeout=60)


def expected_events(workspace: Workspace) -> set[tuple[str, object]]:
    """The events since the webhook was created, according to the catalog."""
    versions = {("dataset.version", version.number) for version in workspace.datasets.log("d") if version.number > 1}
    jobs = workspace.jobs.list(limit=100_000)
    return versions | {(f"job.{job.state}", job.id) for job in jobs}


def is_idle(workspace: Workspace) -> bool:
    """Whether all jobs have ended (a worker may start one before it is cancelled) and all events are delivered."""
    jobs = workspace.jobs.list(limit=100_000)
    has_jobs = any(job.state not in FINAL_STATES for job in jobs)
    return not has_jobs and not any(webhook.pending for webhook in workspace.webhooks.list())


def has_received_more(receiver: Receiver, than: int) -> bool:
    return len(receiver.got) > than


def received_events(receiver: Receiver) -> list[tuple[str, object]]:
    return [(name, data["number"] if name == "dataset.version" else data["id"]) for name, data in receiver.told]


def test_events_of_a_killed_writer_match_its_commits(workspace: Workspace) -> None:
    rng = random.Random(11)
    with Receiver() as receiver:
        hook, secret = create_webhook(workspace, receiver.url, allow_private=True)
        kills = 0
        while kills < KILLS or len(expected_events(workspace)) <= KILLS:
            writer = subprocess.Popen(
                [sys.executable, str(WRITER), str(workspace.location)], stdout=subprocess.PIPE, text=True
            )
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.02, 0.5) * (1 + kills // KILLS))  # longer, in case the machine is busy
            stop(writer, signal.SIGKILL)
            kills += 1
        worker = start_worker(workspace)
        until(lambda: is_idle(workspace), 120)
        stop(worker)
        expected = expected_events(workspace)
        assert len(receiver.got) == len(received_events(receiver)) == len(expected), (
            "each event once, because no worker was killed"
        )
        assert set(received_events(receiver)) == expected
        for request in receiver.got:
            saccade.verify_webhook(request.body, request.headers, secret)
        numbers = [number for name, number in received_events(receiver) if name == "dataset.version"]
        assert numbers == list(range(2, len(numbers) + 2)), "in order"
        assert workspace.webhooks.get(hook.id).pending == 0
        assert [issue for issue in doctor(workspace) if issue.level == "error"] == []


def test_a_worker_killed_while_it_sends(workspace: Workspace) -> None:
    """The receiver has the delivery and the worker dies before it records that: it is sent again with the same id."""
    arrived = threading.Event()
    may_answer = threading.Event()

    def hold(request: Any) -> None:
        arrived.set()
        may_answer.wait(30)
        answering(200)(request)

    with Receiver(acts=[hold]) as receiver:
        hook, _ = create_webhook(workspace, receiver.url, ["dataset.version"], allow_private=True)
        for number in range(3):
            workspace.datasets.write("d", SCHEMA, [Item(f"k{number + 1}", {"number": 1.0})], mode="append")
        first = start_worker(workspace)
        assert arrived.wait(60)
        stop(first, signal.SIGKILL)
        assert workspace.webhooks.list_deliveries(hook.id)[-1].state == "sending"
        second = start_worker(workspace)
        until(lambda: not any(webhook.pending for webhook in workspace.webhooks.list()))
        may_answer.set()
        stop(second)
        assert [request.event["data"]["number"] for request in receiver.got] == [2, 2, 3, 4]
        assert receiver.got[0].id == receiver.got[1].id
        assert receiver.got[0].body == receiver.got[1].body
        assert [delivery.state for delivery in workspace.webhooks.list_deliveries(hook.id)] == ["delivered"] * 3
        assert [delivery.attempts for delivery in workspace.webhooks.list_deliveries(hook.id)] == [1, 1, 2]


def test_workers_killed_repeatedly(workspace: Workspace) -> None:
    """Two workers, killed at random during changes: no event is lost, invented, or out of order."""
    rng = random.Random(12)
    stopped = threading.Event()

    def slowly(request: Any) -> None:
        time.sleep(0.02)
        answering(200)(request)

    def change() -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            workspace.datasets.write("d", SCHEMA, [Item(f"k{number}", {"number": 1.0})], mode="append")
            workspace.jobs.cancel(workspace.jobs.add("inspect-source", "Look", {}).id)
            time.sleep(0.05)

    with Receiver(usual=slowly) as first, Receiver(usual=slowly) as second:
        for receiver in (first, second):
            create_webhook(workspace, receiver.url, allow_private=True)
        changing = threading.Thread(target=change)
        changing.start()
        workers = [start_worker(workspace), start_worker(workspace)]
        try:
            for _ in range(KILLS):
                until(partial(has_received_more, first, len(first.got) + 2), 120)
                time.sleep(rng.uniform(0, 0.1))
                stop(workers.pop(0), signal.SIGKILL)
                workers.append(start_worker(workspace))
            stopped.set()
            changing.join()
            until(lambda: is_idle(workspace), 240)
        finally:
            stopped.set()
            for process in workers:
                stop(process)
        expected = expected_events(workspace)
        for receiver in (first, second):
            events = received_events(receiver)
            assert len(events) == len(set(events))
            assert set(events) == expected
            numbers = [number for name, number in events if name == "dataset.version"]
            assert numbers == sorted(numbers, key=lambda number: int(str(number)))
            assert len(receiver.got) - len(events) <= KILLS, "only deliveries of a killed worker are repeated"
