"""Edits of labels by many people at once: durable edits a second, their latency, and the CPU of server and client.

usage: label_edits.py [--people 50] [--seconds 20] [--pause 0] [--batch 1] [--folder DIR] [--json]

A real ``saccade serve`` with its catalog in SQLite. Each annotator has a connection of its own, and sends the next
request when the previous one is answered, that is when its edits are on the disk, after a pause. Requests are written
to sockets directly: the client should take as little of the processor as possible.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from measured import memory_mb

from server import start

ITEMS = 1000


def make(folder: Path) -> str:
    """Create a workspace with a label set and an API token."""
    from saccade.annotation.label_sets import LabelSets
    from saccade.core.reader import Item
    from saccade.core.roles import Role
    from saccade.core.schema import ClassInfo, Column, Kind, Schema
    from saccade.store.workspace import Workspace

    with Workspace.create(folder) as workspace:
        schema = Schema((Column("objects", Kind.OBJECTS, (ClassInfo("ship"),)),))
        items = [Item(f"i{number}", {"objects": None}) for number in range(ITEMS)]
        workspace.datasets.write("d", schema, items, mode="create")
        LabelSets(workspace).create("s", "d")
        owner = workspace.users.add("a@example.org", Role.OWNER, "A", "a password of mine")
        return workspace.users.create_token(owner.id, "benchmark", Role.ANNOTATOR)[1]


def new_edit(rng: random.Random) -> dict[str, Any]:
    """Return the edit that draws a box on a random item."""
    left, top = rng.uniform(0, 900), rng.uniform(0, 900)
    edit_id = str(uuid.uuid4())
    return {
        "id": edit_id,
        "item": f"i{rng.randrange(ITEMS)}",
        "object": edit_id,
        "kind": "put",
        "fields": {"class": "c1", "geometry": {"type": "box", "x1": left, "y1": top, "x2": left + 50, "y2": top + 50}},
        "group": edit_id,
    }


class Result:
    """What all annotators measured."""

    def __init__(self) -> None:
        self.durations_ms: list[float] = []
        self.edits = 0
        self.failures = 0


async def annotate(address: str, token: str, seed: int, until: float, pause: float, batch: int, result: Result) -> None:
    """Send edits until a time."""
    rng = random.Random(seed)
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    head = (
        f"POST {url.path}/label-sets/s/edits HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    )
    await asyncio.sleep(rng.random())
    while time.perf_counter() < until:
        body = json.dumps({"edits": [new_edit(rng) for _ in range(batch)]})
        start_time = time.perf_counter()
        writer.write(f"{head}{len(body)}\r\n\r\n{body}".encode())
        answer_head = await reader.readuntil(b"\r\n\r\n")
        length = int(answer_head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = json.loads(await reader.readexactly(length))
        result.durations_ms.append((time.perf_counter() - start_time) * 1e3)
        statuses = [entry["status"] for entry in answer.get("results", ())]
        result.edits += statuses.count("applied")
        result.failures += batch - statuses.count("applied")
        if pause:
            await asyncio.sleep(rng.uniform(0.5, 1.5) * pause)
    writer.close()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(address: str, token: str, people: int, seconds: float, pause: float, batch: int) -> Result:
    """Let all annotators work at once."""
    result = Result()
    until = time.perf_counter() + seconds + 1
    await asyncio.gather(*(annotate(address, token, number, until, pause, batch, result) for number in range(people)))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--pause", type=float, default=0, help="mean pause of an annotator in seconds")
    parser.add_argument("--batch", type=int, default=1, help="edits of a request")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        token = make(Path(folder))
        process, address, _ = start(Path(folder))
        try:
            asyncio.run(measure(address, token, 2, 2, 0, 1))  # warm up
            server_before = cpu_seconds(process.pid)
            client_before = time.process_time()
            start_time = time.perf_counter()
            work = measure(address, token, options.people, options.seconds, options.pause, options.batch)
            result = asyncio.run(work)
            seconds = time.perf_counter() - start_time
            server_cpu = cpu_seconds(process.pid) - server_before
            client_cpu = time.process_time() - client_before
            memory = memory_mb(process.pid)
        finally:
            process.terminate()
            process.wait()
    durations = sorted(result.durations_ms)
    report = {
        "people": options.people,
        "edits per second": result.edits / seconds,
        "p50 ms": statistics.median(durations),
        "p95 ms": durations[int(len(durations) * 0.95)],
        "failures": result.failures,
        "server CPU ms per request": server_cpu / len(durations) * 1e3,
        "client CPU ms per request": client_cpu / len(durations) * 1e3,
        "server CPU share": server_cpu / seconds,
        "server memory MB": memory,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for name, value in report.items():
        print(f"{name:28} {value:10.1f}")


if __name__ == "__main__":
    main()
