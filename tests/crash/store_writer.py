"""A process that writes to a workspace until it is killed; run by test_store_crash.

It is started once. For every line on its standard input it forks a child that writes, and prints the child's process
id, so that a kill does not cost a start of the interpreter. Lance is not used before the fork.

The content of a version of the dataset "d" is determined by its number (``expected``), so that the test can recognise
an incomplete version. The child logs everything that it has finished to a file, one line each.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.workspace import Workspace

KEYS = 60
SCHEMA = Schema((Column("number", Kind.NUMBER), Column("text", Kind.TEXT)))


def touched(number: int) -> list[str]:
    """The keys that version ``number`` of "d" writes: a fifth of the existing ones, and a new one."""
    if number == 1:
        return [f"k{index}" for index in range(KEYS)]
    return [*(f"k{index}" for index in range(number % 5, KEYS, 5)), f"new{number}"]


def items(number: int) -> list[Item]:
    return [Item(key, {"number": float(number), "text": f"{key} of {number}"}) for key in touched(number)]


def expected(number: int) -> dict[str, dict[str, Any]]:
    """The content of version ``number`` of "d", in order."""
    return {item.key: dict(item.values) for step in range(1, number + 1) for item in items(step)}


def content(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest() * 8192


def write_next(workspace: Workspace) -> int:
    """Write the next version of "d"; returns its number."""
    number = workspace.datasets.open("d").number + 1
    return workspace.datasets.write("d", SCHEMA, items(number), mode="merge").number


def write_until_killed(location: str, log_path: Path) -> None:
    with Workspace.open(location) as workspace, log_path.open("a") as log:
        while True:
            number = write_next(workspace)
            print("version", number, file=log, flush=True)
            source = log_path.with_name(f"source{os.getpid()}")
            source.write_bytes(content(number))
            print("blob", workspace.blobs.put_file(source), number, file=log, flush=True)
            name = f"c{os.getpid()}-{number}"
            workspace.datasets.write(name, SCHEMA, items(1), mode="create")
            print("created", name, file=log, flush=True)


def main(location: str, log_path: str) -> None:
    warnings.simplefilter("ignore")  # Lance warns about forks, but has not started any threads yet
    print("ready", flush=True)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            write_until_killed(location, Path(log_path))
        print(child, flush=True)
        os.waitpid(child, 0)
        print("exited", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
