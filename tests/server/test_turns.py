"""Reading by turns: never more at once than said, everybody gets theirs, and a fault gives its turn back."""

import threading
import time
from typing import Annotated

import pytest
from anyio import create_task_group, run
from fastapi import FastAPI, Query
from fastapi.testclient import TestClient

from saccade.server.dependencies.concurrency import AT_ONCE, in_turn


def test_a_few_read_at_once_and_all_are_answered() -> None:
    lock, now, most, done = threading.Lock(), 0, 0, []

    @in_turn
    def read(number: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
            done.append(number)

    async def many() -> None:
        async with create_task_group() as group:
            for number in range(5 * AT_ONCE):
                group.start_soon(read, number)

    run(many)
    assert most == AT_ONCE
    assert sorted(done) == list(range(5 * AT_ONCE))


def test_a_fault_gives_its_turn_back() -> None:
    @in_turn
    def fail() -> None:
        raise KeyError("no")

    async def many() -> None:
        for _ in range(2 * AT_ONCE):
            with pytest.raises(KeyError):
                await fail()

    run(many)


def test_a_route_keeps_its_parameters() -> None:
    app = FastAPI()

    @app.get("/{name}")
    @in_turn
    def route(name: str, more: Annotated[int, Query(ge=1)]) -> dict[str, int]:
        return {name: more}

    client = TestClient(app)
    assert client.get("/a?more=2").json() == {"a": 2}
    assert client.get("/a?more=0").status_code == 422
