"""Measure how long GET /health takes while the server gets hostile bodies and a large upload, beside an idle server.

usage: server_load.py [--seconds 5] [--upload-mb 512] [--folder DIR] [--json]

Each kind of load comes from a process of its own, over a socket: bodies of 1 MB with 60,000 unknown fields without
authentication; the same with an API token; bodies with 100,000 invalid keys; and an upload of one large file.
"ratio" is the median beside that of the idle server.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from server import start

_CHUNK = bytes(1 << 20)


def make(folder: Path) -> str:
    """Create a workspace and an API token that may write."""
    from saccade.core.roles import Role
    from saccade.store.workspace import Workspace

    with Workspace.create(folder) as workspace:
        owner = workspace.users.add("a@example.org", Role.OWNER, "A", "a password of mine")
        return workspace.users.create_token(owner.id, "benchmark", Role.OWNER)[1]


def send_bodies(address: str, path: str, token: str | None, body: bytes) -> None:
    """Send the same body again and again."""
    headers = {"Content-Type": "application/json", **({} if token is None else {"Authorization": f"Bearer {token}"})}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        while True:
            client.post(path, content=body)


def send_upload(address: str, token: str, size_mb: int) -> None:
    """Upload a file of this size again and again."""

    def content() -> Iterator[bytes]:
        yield header
        for _ in range(size_mb):
            yield _CHUNK

    header = json.dumps({"name": "large.bin", "size": size_mb << 20}).encode() + b"\n"
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        upload = client.post("/uploads").json()["id"]
        length = str(len(header) + (size_mb << 20))
        while True:
            client.post(f"/uploads/{upload}/files", content=content(), headers={"Content-Length": length})


def measure(address: str, seconds: float) -> dict[str, float]:
    """Return latencies of the health route in milliseconds, with a request every 10 ms."""
    durations_ms = []
    with httpx.Client(base_url=address, timeout=60) as client:
        client.get("/health")
        end = time.perf_counter() + seconds
        while (start_time := time.perf_counter()) < end:
            client.get("/health").raise_for_status()
            durations_ms.append((time.perf_counter() - start_time) * 1e3)
            time.sleep(0.01)
    return {
        "median_ms": statistics.median(durations_ms),
        "p99_ms": statistics.quantiles(durations_ms, n=100)[98],
        "max_ms": max(durations_ms),
    }


def run(folder: Path, seconds: float, upload_mb: int) -> dict[str, Any]:
    """Measure an idle server, then each kind of load, then all at once."""
    token = make(folder)
    process, address, _ = start(folder)
    hostile = json.dumps({f"unknown-{number}": 0 for number in range(60_000)}).encode()
    keys = json.dumps({"action": "tag", "keys": list(range(100_000))}).encode()
    loads: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {
        "anonymous": (send_bodies, (address, "/session", None, hostile)),
        "unknown fields": (send_bodies, (address, "/tokens", token, hostile)),
        "invalid keys": (send_bodies, (address, "/datasets/d/items/bulk", token, keys)),
        "upload": (send_upload, (address, token, upload_mb)),
    }
    results: dict[str, Any] = {}
    try:
        time.sleep(6)  # the workers start a few seconds after the server
        results["idle"] = measure(address, seconds)
        for name, selected in [*((name, [name]) for name in loads), ("all", list(loads))]:
            senders = [
                multiprocessing.Process(target=loads[key][0], args=loads[key][1], daemon=True) for key in selected
            ]
            for sender in senders:
                sender.start()
            time.sleep(1)
            results[name] = measure(address, seconds)
            results[name]["ratio"] = results[name]["median_ms"] / results["idle"]["median_ms"]
            for sender in senders:
                sender.kill()
                sender.join()
    finally:
        process.terminate()
        process.wait()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--upload-mb", type=int, default=512)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        results = run(Path(folder), args.seconds, args.upload_mb)
    if args.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{'GET /health during':<20} {'median':>9} {'99 %':>9} {'maximum':>9} {'ratio':>7}")
    for name, values in results.items():
        latencies = " ".join(f"{values[key]:>6.1f} ms" for key in ("median_ms", "p99_ms", "max_ms"))
        print(f"{name:<20} {latencies} {values.get('ratio', 1):>6.1f}x")


if __name__ == "__main__":
    main()
