"""Everything that moves data about, again and again: commits, merges, pushes, pulls, removals, collections."""

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
PICTURES = 40


def content(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest() * 2000


def items(workspace: Workspace, keys: list[str], note: str) -> list[Item]:
    """Items whose pictures follow from their keys."""
    made = []
    with workspace.objects.batch(packed=True) as batch:
        for key in keys:
            data = content(key)
            batch.put_bytes(data)
            made.append(Item(key, {"image": ImageRef(digest_bytes(data), len(data), key, 9, 9, "jpeg"), "note": note}))
        batch.finish()
    return made


def _write(workspace: Workspace, place: str, chance: random.Random) -> None:
    with workspace.objects.keeping():
        keys = [f"k{chance.randrange(PICTURES)}" for _ in range(5)]
        workspace.datasets.write("d", SCHEMA, items(workspace, sorted(set(keys)), "main"), mode="merge")


def _merge(workspace: Workspace, place: str, chance: random.Random) -> None:
    name = f"b{chance.randrange(10**9)}"
    workspace.datasets.branch("d", name, "d@latest")
    with workspace.objects.keeping():
        workspace.datasets.write("d", SCHEMA, items(workspace, ["k1", f"{name}"], name), mode="merge", branch=name)
        workspace.datasets.write("d", SCHEMA, items(workspace, ["k2"], name), mode="merge")
    workspace.datasets.merge(f"d@{name}", choose=lambda conflict: "theirs")


def _push(workspace: Workspace, place: str, chance: random.Random) -> None:
    push_dataset(workspace, "d", place)


def _pull(workspace: Workspace, place: str, chance: random.Random) -> None:
    if (Path(place) / "datasets").exists():
        pull_dataset(workspace, place, as_name=f"c{chance.randrange(4)}")


def _remove(workspace: Workspace, place: str, chance: random.Random) -> None:
    for info in workspace.datasets.list():
        if info.name != "d" and chance.random() < 0.7:
            workspace.datasets.remove(info.name)
    with workspace.objects.keeping():
        items(workspace, [f"stray{chance.randrange(50)}" for _ in range(5)], "")


def _collect(workspace: Workspace, place: str, chance: random.Random) -> None:
    collect_garbage(workspace)


TASKS: Mapping[str, Callable[[Workspace, str, random.Random], None]] = {
    "write": _write,
    "merge": _merge,
    "push": _push,
    "pull": _pull,
    "remove": _remove,
    "gc": _collect,
}


def task(location: str, place: str, said: str) -> None:
    """Work until killed, saying in a file what begins."""
    chance = random.Random()
    blob_batch._FEW = 3  # so that there are packs, and files of their own too
    with Workspace.open(location) as workspace, Path(said).open("a") as log:
        while True:
            name = chance.choice(sorted(TASKS))
            print(name, file=log, flush=True)
            with suppress(ConflictError):  # as where the first push to a place was cut off
                TASKS[name](workspace, place, chance)
            print(name, "done", file=log, flush=True)
