"""Several writers at once: every write is there whole, or was refused."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.store.conftest import SCHEMA, item

from saccade.core.errors import ConflictError
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.datasets import mutations as store_changes
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

WRITER = """
import sys
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.core.errors import ConflictError
from saccade.store.workspace import Workspace

location, name = sys.argv[1:]
schema = Schema((Column("number", Kind.NUMBER),))
workspace = Workspace.open(location)
print("ready", flush=True)
sys.stdin.readline()
for number in range(6):
    workspace.datasets.write("d", schema, [Item(f"{name}{number}", {"number": number})], mode="append", message=name)
    workspace.datasets.write("d", schema, [Item(name, {"number": number})], mode="merge", message=name)
try:
    workspace.datasets.write("only-one", schema, [Item(name)], mode="create")
    print("made")
except ConflictError:
    print("refused")
"""


@pytest.mark.slow
def test_two_processes_write_to_one_dataset(workspace: Workspace) -> None:
    workspace.datasets.write("d", Schema((Column("number", Kind.NUMBER),)), [], mode="create")
    command = [sys.executable, "-c", WRITER, str(workspace.location)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([*command, name], **pipes) for name in "ab"]  # type: ignore[call-overload]  # **pipes
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    ends = [writer.communicate(timeout=900)[0].strip() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(ends) == ["made", "refused"]

    final = {found.key: found["number"] for found in workspace.datasets.open("d").items()}
    assert final == {**{f"{name}{n}": n for name in "ab" for n in range(6)}, "a": 5, "b": 5}
    log = workspace.datasets.log("d")
    assert [version.number for version in log] == list(range(25, 0, -1))
    assert [version.parent for version in log] == [*range(24, 0, -1), None], "each follows the one before it"
    assert len(workspace.datasets.open("only-one")) == 1
    assert doctor(workspace) == []


def test_threads_write_to_one_dataset(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [], mode="create")

    def write(index: int) -> None:
        workspace.datasets.write("d", SCHEMA, [item(f"k{index}")], mode="append")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(8)))
    assert sorted(workspace.datasets.open("d").keys()) == [f"k{index}" for index in range(8)]
    assert doctor(workspace) == []


def test_a_version_in_between_is_built_upon(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    append, came = store_changes.append, list[bool]()

    def slow(*args: object) -> object:
        made = append(*args)  # type: ignore[arg-type]  # passed on as they come
        if not came:
            came.append(True)
            workspace.datasets.write("d", SCHEMA, [item("between")], mode="merge")
        return made

    monkeypatch.setattr(store_changes, "append", slow)
    version = workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    assert (version.number, version.info.parent, version.keys()) == (3, 2, ["a", "between", "b"])
    assert doctor(workspace) == []


def test_a_key_taken_in_between_is_a_conflict(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    append, came = store_changes.append, list[bool]()

    def slow(*args: object) -> object:
        made = append(*args)  # type: ignore[arg-type]  # passed on as they come
        if not came:
            came.append(True)
            workspace.datasets.write("d", SCHEMA, [item("b", 1)], mode="merge")
        return made

    monkeypatch.setattr(store_changes, "append", slow)
    with pytest.raises(ConflictError, match="there already: b"):
        workspace.datasets.write("d", SCHEMA, [item("b", 2)], mode="append")
    assert workspace.datasets.open("d").get("b")["number"] == 1


def test_a_name_taken_in_between_is_a_conflict(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    create, came = store_changes.create, list[bool]()

    def slow(*args: object) -> object:
        made = create(*args)  # type: ignore[arg-type]  # passed on as they come
        if not came:
            came.append(True)
            workspace.datasets.write("d", SCHEMA, [item("first")], mode="create")
        return made

    monkeypatch.setattr(store_changes, "create", slow)
    with pytest.raises(ConflictError, match="a dataset 'd' already"):
        workspace.datasets.write("d", SCHEMA, [item("second")], mode="create")
    assert workspace.datasets.open("d").keys() == ["first"]
    assert doctor(workspace) == []


def test_a_reader_keeps_its_version_while_others_write(workspace: Workspace) -> None:
    version = workspace.datasets.write("d", SCHEMA, [item(f"k{i}", boxes=0) for i in range(200)], mode="create")
    reading = version.items(["number"])
    first = next(reading)
    workspace.datasets.write("d", SCHEMA, [Item("k150", {"number": 9.0})], mode="replace")
    assert [first.key, *(found.key for found in reading)] == [f"k{i}" for i in range(200)]


BATCHES = """
import sys
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.workspace import Workspace

workspace = Workspace.open(sys.argv[1])
schema = Schema((Column("batch", Kind.TEXT),))
print("ready", flush=True)
sys.stdin.readline()
for number in range(8):
    batch = f"{sys.argv[2]}{number}"
    workspace.datasets.write("d", schema, [Item(f"{batch}-{at}", {"batch": batch}) for at in range(5)], mode="append")
print("done")
"""
LOOKING = """
import sys
import time
from collections import Counter
from saccade.store.workspace import Workspace

workspace = Workspace.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
seen = set()
deadline = time.monotonic() + 600  # where a writer fails, its error is told, not that others waited for it
while (len(seen) < 3 or max(seen) < 17) and time.monotonic() < deadline:
    version = workspace.datasets.open("d")
    batches = Counter(item["batch"] for item in version.items())
    assert set(batches.values()) <= {5}, (version.ref, batches)
    assert len(batches) == version.number - 1, (version.ref, batches)
    assert version.where("batch != None") == version.keys()
    seen.add(version.number)
print(len(seen))
"""


@pytest.mark.slow
def test_readers_see_whole_versions_while_two_write(workspace: Workspace, request: pytest.FixtureRequest) -> None:
    """Each version has one batch of five items more than the one before it, whoever wrote it."""
    readers = 8 if request.node.callspec.params["workspace"] == "sqlite" else 3
    workspace.datasets.write("d", Schema((Column("batch", Kind.TEXT),)), [], mode="create")
    programs = [(BATCHES, name) for name in "ab"] + [(LOOKING, "") for _ in range(readers)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(workspace.location), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for program, name in programs
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=900) for process in running]
    assert [process.returncode for process in running] == [0] * len(running), [error for _, error in ends if error]
    assert [info.number for info in workspace.datasets.log("d")] == list(range(17, 0, -1))
    assert all(int(out) >= 3 for out, _ in ends[2:])
    assert doctor(workspace) == []
