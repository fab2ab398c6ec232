"""Whoever changes something, or tells of it, killed at any moment: all that happened is told, and nothing else."""

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
from saccade.app.webhooks.webhooks import add_webhook
from saccade.core.reader import Item
from saccade.store.jobs.jobs import ENDED
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
    with Workspace.create(tmp_path / "home", catalog) as made:
        made.datasets.write("d", SCHEMA, [Item("k0", {"number": 0.0})], mode="create")
        yield made


def worker(workspace: Workspace) -> subprocess.Popen[str]:
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


def end(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
    process.send_signal(number)
    process.communicate(timeout=60)


def facts(workspace: Workspace) -> set[tuple[str, object]]:
    """What happened since there is a webhook, as the catalog has it."""
    versions = {("dataset.version", one.number) for one in workspace.datasets.log("d") if one.number > 1}
    jobs = workspace.jobs.list(limit=100_000)
    return versions | {(f"job.{one.state}", one.id) for one in jobs}


def is_over(workspace: Workspace) -> bool:
    """Whether all jobs have ended (a worker may have begun one before it was cancelled), and all has been told."""
    jobs = workspace.jobs.list(limit=100_000)
    return all(one.state in ENDED for one in jobs) and not any(one.waiting for one in workspace.webhooks.list())


def has_more(receiver: Receiver, than: int) -> bool:
    return len(receiver.got) > than


def told(receiver: Receiver) -> list[tuple[str, object]]:
    return [(name, data["number"] if name == "dataset.version" else data["id"]) for name, data in receiver.told]


def test_a_killed_writer_is_told_of_exactly_as_far_as_it_came(workspace: Workspace) -> None:
    chance = random.Random(11)
    with Receiver() as receiver:
        hook, secret = add_webhook(workspace, receiver.url, private=True)
        kills = 0
        while kills < KILLS or len(facts(workspace)) <= KILLS:
            writer = subprocess.Popen(
                [sys.executable, str(WRITER), str(workspace.location)], stdout=subprocess.PIPE, text=True
            )
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.02, 0.5) * (1 + kills // KILLS))  # longer where the machine is busy
            end(writer, signal.SIGKILL)
            kills += 1
        sending = worker(workspace)
        until(lambda: is_over(workspace), 120)
        end(sending)
        happened = facts(workspace)
        assert len(receiver.got) == len(told(receiver)) == len(happened), "each once, where no worker was killed"
        assert set(told(receiver)) == happened
        for one in receiver.got:
            saccade.verify_webhook(one.body, one.headers, secret)
        numbers = [number for name, number in told(receiver) if name == "dataset.version"]
        assert numbers == list(range(2, len(numbers) + 2)), "in order"
        assert workspace.webhooks.get(hook.id).waiting == 0
        assert [one for one in doctor(workspace) if one.level == "error"] == []


def test_a_worker_that_is_killed_while_it_sends(workspace: Workspace) -> None:
    """The receiver has it already, and the worker dies before it can say so: it is sent again, as the same."""
    arrived, may_answer = threading.Event(), threading.Event()

    def hold(request: Any) -> None:
        arrived.set()
        may_answer.wait(30)
        answering(200)(request)

    with Receiver(acts=[hold]) as receiver:
        hook, _ = add_webhook(workspace, receiver.url, ["dataset.version"], private=True)
        for number in range(3):
            workspace.datasets.write("d", SCHEMA, [Item(f"k{number + 1}", {"number": 1.0})], mode="append")
        first = worker(workspace)
        assert arrived.wait(60)
        end(first, signal.SIGKILL)
        assert workspace.webhooks.deliveries(hook.id)[-1].state == "sending"
        second = worker(workspace)
        until(lambda: not any(one.waiting for one in workspace.webhooks.list()))
        may_answer.set()
        end(second)
        assert [one.event["data"]["number"] for one in receiver.got] == [2, 2, 3, 4]
        assert receiver.got[0].id == receiver.got[1].id
        assert receiver.got[0].body == receiver.got[1].body
        assert [one.state for one in workspace.webhooks.deliveries(hook.id)] == ["delivered"] * 3
        assert [one.attempts for one in workspace.webhooks.deliveries(hook.id)] == [1, 1, 2]


def test_workers_that_are_killed_again_and_again(workspace: Workspace) -> None:
    """Two at a time, killed at random while people change things: nothing is lost, made up, or out of order."""
    chance = random.Random(12)
    ended = threading.Event()

    def slowly(request: Any) -> None:
        time.sleep(0.02)
        answering(200)(request)

    def change() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            workspace.datasets.write("d", SCHEMA, [Item(f"k{number}", {"number": 1.0})], mode="append")
            workspace.jobs.cancel(workspace.jobs.add("look", "Look", {}).id)
            time.sleep(0.05)

    with Receiver(usual=slowly) as one, Receiver(usual=slowly) as other:
        for receiver in (one, other):
            add_webhook(workspace, receiver.url, private=True)
        changing = threading.Thread(target=change)
        changing.start()
        workers = [worker(workspace), worker(workspace)]
        try:
            for _ in range(KILLS):
                until(partial(has_more, one, len(one.got) + 2), 120)
                time.sleep(chance.uniform(0, 0.1))
                end(workers.pop(0), signal.SIGKILL)
                workers.append(worker(workspace))
            ended.set()
            changing.join()
            until(lambda: is_over(workspace), 240)
        finally:
            ended.set()
            for process in workers:
                end(process)
        happened = facts(workspace)
        for receiver in (one, other):
            found = told(receiver)
            assert len(found) == len(set(found))
            assert set(found) == happened
            numbers = [number for name, number in found if name == "dataset.version"]
            assert numbers == sorted(numbers, key=lambda number: int(str(number)))
            assert len(receiver.got) - len(found) <= KILLS, "sent again is only what a killed worker had under way"
