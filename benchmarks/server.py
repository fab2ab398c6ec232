"""Measure the server on a large dataset: startup, first page, filter, search, histogram, memory and concurrent users.

usage: server.py [--items 1000000] [--users 50] [--folder DIR] [--json]

Items have an image reference and ten scored boxes each, as in scale.py; images are not requested. Requests go over a
socket to a server in its own process. "first" is the first request of its kind after startup, "again" the median of the
following ones. All users arrive within a second and request random pages for ten seconds, with pauses of 0.5 to 1.5 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from measured import memory_mb
from scale import items, schema

QUERY = 'any(objects, class == "ship" and score > 0.9) and split == "val"'
OTHER_QUERY = 'any(objects, class == "dog" and score > {min_score}) and split == "val"'


def make(folder: Path, count: int) -> str:
    """Create a workspace with the dataset and an API token."""
    from saccade.core.roles import Role
    from saccade.store.workspace import Workspace

    with Workspace.create(folder) as workspace:
        workspace.datasets.write("d", schema(), items(count, scored=True), mode="create")
        owner = workspace.users.add("a@example.org", Role.OWNER, "A", "a password of mine")
        return workspace.users.create_token(owner.id, "benchmark", Role.VIEWER)[1]


def start(folder: Path) -> tuple[subprocess.Popen[str], str, float]:
    """Start a server; return the process, the address of its API and the seconds until it answered."""
    start_time = time.perf_counter()
    command = [sys.executable, "-m", "saccade", "serve", "--port", "0", "-w", str(folder), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if line.startswith("}"):
            break
    address = str(json.loads(output)["api"])
    httpx.get(f"{address}/health").raise_for_status()
    return process, address, time.perf_counter() - start_time


def timed(send: Callable[[int], httpx.Response], times: int = 7) -> dict[str, float]:
    """Return the milliseconds of the first request and the median of the following ones."""
    durations_ms = []
    for number in range(times):
        start_time = time.perf_counter()
        send(number).raise_for_status()
        durations_ms.append((time.perf_counter() - start_time) * 1e3)
    return {"first": durations_ms[0], "again": statistics.median(durations_ms[1:])}


async def browse(address: str, token: str, count: int, users: int, seconds: float) -> dict[str, float]:
    """Request random pages for several concurrent users and return the latencies in milliseconds."""
    durations_ms: list[float] = []

    # Create the clients before timing: creating one takes longer than a request.
    headers = {"Authorization": f"Bearer {token}"}
    clients = [httpx.AsyncClient(base_url=address, headers=headers, verify=False) for _ in range(users)]

    async def user(number: int) -> None:
        rng = random.Random(number)
        async with clients[number] as client:
            await asyncio.sleep(rng.uniform(0, 1))
            while time.perf_counter() < end:
                cursor = rng.randrange(0, max(1, count - 100))
                start_time = time.perf_counter()
                response = await client.get("/datasets/d/items", params={"cursor": cursor, "limit": 50}, timeout=60)
                response.raise_for_status()
                durations_ms.append((time.perf_counter() - start_time) * 1e3)
                await asyncio.sleep(rng.uniform(0.5, 1.5))  # the user reads the page

    end = time.perf_counter() + seconds
    await asyncio.gather(*(user(number) for number in range(users)))
    durations_ms.sort()
    return {
        "pages": len(durations_ms),
        "median": statistics.median(durations_ms),
        "p95": durations_ms[int(0.95 * len(durations_ms))],
    }


def measure(folder: Path, count: int, users: int) -> dict[str, Any]:
    """Run all measurements."""
    token = make(folder, count)
    process, address, seconds = start(folder)
    try:
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=120) as client:

            def page(number: int) -> httpx.Response:
                return client.get("/datasets/d/items", params={"limit": 100})

            def filtered(number: int) -> httpx.Response:
                where = OTHER_QUERY.format(min_score=0.5 + number / 100) if number else QUERY
                return client.get("/datasets/d/items", params={"limit": 100, "where": where})

            def searched(number: int) -> httpx.Response:
                where = f'search("img{number:04} dog")'
                return client.get("/datasets/d/items", params={"limit": 100, "where": where})

            def histogram(number: int) -> httpx.Response:
                return client.get("/datasets/d/histogram", params={"expression": "score", "objects_column": "objects"})

            timings: dict[str, Any] = {"start": seconds, "page": timed(page), "filter": timed(filtered)}
            timings["search"] = timed(searched)
            timings["histogram"] = timed(histogram, 4)
        timings["users"] = asyncio.run(browse(address, token, count, users, 10))
        timings["memory_mb"] = memory_mb(process.pid)
    finally:
        process.terminate()
        process.wait()
    return timings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="working folder; by default a temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        timings = measure(Path(temporary), options.items, options.users)
    if options.json:
        print(json.dumps(timings))
        return
    print(f"{options.items:,} items, {10 * options.items:,} objects; the server answers after {timings['start']:.2f} s")
    for name in ("page", "filter", "search", "histogram"):
        print(f"  {name:10} first {timings[name]['first']:6.0f} ms, again {timings[name]['again']:6.0f} ms")
    users = timings["users"]
    print(
        f"  {options.users} users: {users['pages']} pages, median {users['median']:.0f} ms, p95 {users['p95']:.0f} ms"
    )
    print(f"  memory {timings['memory_mb']:.0f} MB")


if __name__ == "__main__":
    main()
