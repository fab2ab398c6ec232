"""The concurrency limit for CPU-bound routes."""

import threading
import time
from typing import Annotated

import pytest
from anyio import create_task_group, run
from fastapi import FastAPI, Query
from fastapi.testclient import TestClient

from saccade.server.dependencies.concurrency import MAX_CONCURRENT_READS, limit_concurrency


def test_concurrency_is_limited_and_all_calls_complete() -> None:
    lock = threading.Lock()
    running = 0
    highest = 0
    done: list[int] = []

    @limit_concurrency
    def read(number: int) -> None:
        nonlocal running, highest
        with lock:
            running += 1
            highest = max(highest, running)
        time.sleep(0.01)
        with lock:
            running -= 1
            done.append(number)

    async def many() -> None:
        async with create_task_group() as group:
            for number in range(5 * MAX_CONCURRENT_READS):
                group.start_soon(read, number)

    run(many)
    assert highest == MAX_CONCURRENT_READS
    assert sorted(done) == list(range(5 * MAX_CONCURRENT_READS))


def test_an_error_releases_the_limit() -> None:
    @limit_concurrency
    def fail() -> None:
        raise KeyError("no")

    async def many() -> None:
        for _ in range(2 * MAX_CONCURRENT_READS):
            with pytest.raises(KeyError):
                await fail()

    run(many)


def test_a_route_keeps_its_parameters() -> None:
    app = FastAPI()

    @app.get("/{name}")
    @limit_concurrency
    def route(name: str, more: Annotated[int, Query(ge=1)]) -> dict[str, int]:
        return {name: more}

    client = TestClient(app)
    assert client.get("/a?more=2").json() == {"a": 2}
    assert client.get("/a?more=0").status_code == 422
