"""Repeats all operations that move data: commits, merges, pushes, pulls, removals and garbage collections."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from saccade.core.digest import digest_bytes
from saccade.core.errors import ConflictError
from saccade.core.reader import Item
from saccade.core.schema import Column, ImageRef, Kind, Schema
from saccade.store.blobs import blob_batch
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.maintenance.transfer import pull_dataset, push_dataset
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("image", Kind.IMAGE), Column("note", Kind.TEXT)))
IMAGES = 40


def content(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest() * 2000


def items(workspace: Workspace, keys: list[str], note: str) -> list[Item]:
    """Build items with images whose content is determined by their keys."""
    new_items = []
    with workspace.blobs.batch(packed=True) as batch:
        for key in keys:
            data = content(key)
            batch.put_bytes(data)
            image = ImageRef(digest_bytes(data), len(data), key, 9, 9, "jpeg")
            new_items.append(Item(key, {"image": image, "note": note}))
        batch.finish()
    return new_items


def _write(workspace: Workspace, remote: str, rng: random.Random) -> None:
    with workspace.blobs.gc_guard():
        keys = [f"k{rng.randrange(IMAGES)}" for _ in range(5)]
        workspace.datasets.write("d", SCHEMA, items(workspace, sorted(set(keys)), "main"), mode="merge")


def _merge(workspace: Workspace, remote: str, rng: random.Random) -> None:
    name = f"b{rng.randrange(10**9)}"
    workspace.datasets.branch("d", name, "d@latest")
    with workspace.blobs.gc_guard():
        workspace.datasets.write("d", SCHEMA, items(workspace, ["k1", f"{name}"], name), mode="merge", branch=name)
        workspace.datasets.write("d", SCHEMA, items(workspace, ["k2"], name), mode="merge")
    workspace.datasets.merge(f"d@{name}", resolver=lambda conflict: "theirs")


def _push(workspace: Workspace, remote: str, rng: random.Random) -> None:
    push_dataset(workspace, "d", remote)


def _pull(workspace: Workspace, remote: str, rng: random.Random) -> None:
    if (Path(remote) / "datasets").exists():
        pull_dataset(workspace, remote, as_name=f"c{rng.randrange(4)}")


def _remove(workspace: Workspace, remote: str, rng: random.Random) -> None:
    for info in workspace.datasets.list():
        if info.name != "d" and rng.random() < 0.7:
            workspace.datasets.remove(info.name)
    with workspace.blobs.gc_guard():
        items(workspace, [f"stray{rng.randrange(50)}" for _ in range(5)], "")


def _collect(workspace: Workspace, remote: str, rng: random.Random) -> None:
    collect_garbage(workspace)


TASKS: Mapping[str, Callable[[Workspace, str, random.Random], None]] = {
    "write": _write,
    "merge": _merge,
    "push": _push,
    "pull": _pull,
    "remove": _remove,
    "gc": _collect,
}


def task(location: str, remote: str, log_path: str) -> None:
    """Run random operations until killed, and log their start and end."""
    rng = random.Random()
    blob_batch._MIN_PACKED_BLOBS = 3  # so that there are both packs and files
    with Workspace.open(location) as workspace, Path(log_path).open("a") as log:
        while True:
            name = rng.choice(sorted(TASKS))
            print(name, file=log, flush=True)
            with suppress(ConflictError):  # for example if the first push was interrupted
                TASKS[name](workspace, remote, rng)
            print(name, "done", file=log, flush=True)
