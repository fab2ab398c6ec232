"""The server on a large dataset: start, first page, filter, histogram, memory, and many users at once.

usage: server.py [--items 1000000] [--users 50] [--folder DIR] [--json]

Items have a reference to an image and ten boxes with scores each, as in scale.py; pictures are not asked for. Every
request goes over a socket to a server in a process of its own. "first" is the first request of its kind after the
start, "again" the median of those that follow. The users come within a second, and ask for pages all over the dataset
for ten seconds, each looking at one for half a second to one and a half before the next.
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
OTHER = 'any(objects, class == "dog" and score > {least}) and split == "val"'


def make(folder: Path, count: int) -> str:
    """A workspace with the dataset, and a token for it."""
    from saccade.core.roles import Role
    from saccade.store.workspace import Workspace

    with Workspace.create(folder) as workspace:
        workspace.datasets.write("d", schema(), items(count, scored=True), mode="create")
        owner = workspace.users.add("a@example.org", Role.OWNER, "A", "a password of mine")
        return workspace.users.create_token(owner.id, "benchmark", Role.VIEWER)[1]


def start(folder: Path) -> tuple[subprocess.Popen[str], str, float]:
    """A server, its API's address, and the seconds until it answered."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "saccade", "serve", "--port", "0", "-w", str(folder), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("}"):
            break
    address = str(json.loads(said)["api"])
    httpx.get(f"{address}/health").raise_for_status()
    return process, address, time.perf_counter() - began


def timed(ask: Callable[[int], httpx.Response], times: int = 7) -> dict[str, float]:
    """Milliseconds of the first request and the median of those that follow."""
    taken = []
    for number in range(times):
        began = time.perf_counter()
        ask(number).raise_for_status()
        taken.append((time.perf_counter() - began) * 1e3)
    return {"first": taken[0], "again": statistics.median(taken[1:])}


async def browse(address: str, token: str, count: int, users: int, seconds: float) -> dict[str, float]:
    """Pages all over the dataset for several users at once: how long each takes, in milliseconds."""
    taken: list[float] = []

    # Made before the clock runs: making one takes longer than a page.
    headers = {"Authorization": f"Bearer {token}"}
    clients = [httpx.AsyncClient(base_url=address, headers=headers, verify=False) for _ in range(users)]

    async def user(number: int) -> None:
        chance = random.Random(number)
        async with clients[number] as client:
            await asyncio.sleep(chance.uniform(0, 1))
            while time.perf_counter() < end:
                cursor = chance.randrange(0, max(1, count - 100))
                began = time.perf_counter()
                answer = await client.get("/datasets/d/items", params={"cursor": cursor, "limit": 50}, timeout=60)
                answer.raise_for_status()
                taken.append((time.perf_counter() - began) * 1e3)
                await asyncio.sleep(chance.uniform(0.5, 1.5))  # looks at it

    end = time.perf_counter() + seconds
    await asyncio.gather(*(user(number) for number in range(users)))
    taken.sort()
    return {"pages": len(taken), "median": statistics.median(taken), "p95": taken[int(0.95 * len(taken))]}


def measure(folder: Path, count: int, users: int) -> dict[str, Any]:
    """Everything, in one run."""
    token = make(folder, count)
    process, address, seconds = start(folder)
    try:
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=120) as client:

            def page(number: int) -> httpx.Response:
                return client.get("/datasets/d/items", params={"limit": 100})

            def filtered(number: int) -> httpx.Response:
                where = OTHER.format(least=0.5 + number / 100) if number else QUERY
                return client.get("/datasets/d/items", params={"limit": 100, "where": where})

            def histogram(number: int) -> httpx.Response:
                return client.get("/datasets/d/histogram", params={"value": "score", "over": "objects"})

            found: dict[str, Any] = {"start": seconds, "page": timed(page), "filter": timed(filtered)}
            found["histogram"] = timed(histogram, 4)
        found["users"] = asyncio.run(browse(address, token, count, users, 10))
        found["memory_mb"] = memory_mb(process.pid)
    finally:
        process.terminate()
        process.wait()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder otherwise")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        found = measure(Path(place), given.items, given.users)
    if given.json:
        print(json.dumps(found))
        return
    print(f"{given.items:,} items, {10 * given.items:,} objects; the server answers after {found['start']:.2f} s")
    for name in ("page", "filter", "histogram"):
        print(f"  {name:10} first {found[name]['first']:6.0f} ms, again {found[name]['again']:6.0f} ms")
    users = found["users"]
    print(f"  {given.users} users: {users['pages']} pages, median {users['median']:.0f} ms, p95 {users['p95']:.0f} ms")
    print(f"  memory {found['memory_mb']:.0f} MB")


if __name__ == "__main__":
    main()
