"""Concurrent writers: every write is either complete or refused."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.store.conftest import SCHEMA, item

from saccade.core.errors import ConflictError
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.datasets import mutations
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
    print("created")
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
    outputs = [writer.communicate(timeout=900)[0].strip() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(outputs) == ["created", "refused"]

    final = {item.key: item["number"] for item in workspace.datasets.open("d").items()}
    assert final == {**{f"{name}{n}": n for name in "ab" for n in range(6)}, "a": 5, "b": 5}
    log = workspace.datasets.log("d")
    assert [version.number for version in log] == list(range(25, 0, -1))
    assert [version.parent for version in log] == [*range(24, 0, -1), None], "each version follows the previous one"
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


def test_a_write_is_repeated_on_top_of_a_concurrent_commit(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    append = mutations.append
    calls: list[tuple[object, ...]] = []

    def append_then_commit(*args: object) -> object:
        mutation = append(*args)  # type: ignore[arg-type]  # passed through
        if not calls:
            calls.append(args)
            workspace.datasets.write("d", SCHEMA, [item("between")], mode="merge")
        return mutation

    monkeypatch.setattr(mutations, "append", append_then_commit)
    version = workspace.datasets.write("d", SCHEMA, [item("b")], mode="append")
    assert (version.number, version.info.parent, version.keys()) == (3, 2, ["a", "between", "b"])
    assert doctor(workspace) == []


def test_a_key_added_by_a_concurrent_commit_is_a_conflict(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    append = mutations.append
    calls: list[tuple[object, ...]] = []

    def append_then_commit(*args: object) -> object:
        mutation = append(*args)  # type: ignore[arg-type]  # passed through
        if not calls:
            calls.append(args)
            workspace.datasets.write("d", SCHEMA, [item("b", 1)], mode="merge")
        return mutation

    monkeypatch.setattr(mutations, "append", append_then_commit)
    with pytest.raises(ConflictError, match="already exist: b"):
        workspace.datasets.write("d", SCHEMA, [item("b", 2)], mode="append")
    assert workspace.datasets.open("d").get("b")["number"] == 1


def test_a_dataset_created_by_a_concurrent_commit_is_a_conflict(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = mutations.create
    calls: list[tuple[object, ...]] = []

    def create_then_commit(*args: object) -> object:
        mutation = create(*args)  # type: ignore[arg-type]  # passed through
        if not calls:
            calls.append(args)
            workspace.datasets.write("d", SCHEMA, [item("first")], mode="create")
        return mutation

    monkeypatch.setattr(mutations, "create", create_then_commit)
    with pytest.raises(ConflictError, match="'d' already exists"):
        workspace.datasets.write("d", SCHEMA, [item("second")], mode="create")
    assert workspace.datasets.open("d").keys() == ["first"]
    assert doctor(workspace) == []


def test_a_reader_sees_its_version_during_writes(workspace: Workspace) -> None:
    version = workspace.datasets.write("d", SCHEMA, [item(f"k{i}", boxes=0) for i in range(200)], mode="create")
    iterator = version.items(["number"])
    first = next(iterator)
    workspace.datasets.write("d", SCHEMA, [Item("k150", {"number": 9.0})], mode="replace")
    assert [first.key, *(item.key for item in iterator)] == [f"k{i}" for i in range(200)]


BATCH_WRITER = """
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
    workspace.datasets.write("d", schema, [Item(f"{batch}-{i}", {"batch": batch}) for i in range(5)], mode="append")
print("done")
"""
READER = """
import sys
import time
from collections import Counter
from saccade.store.workspace import Workspace

workspace = Workspace.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
seen = set()
deadline = time.monotonic() + 600  # if a writer fails, the test must report its error
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
def test_readers_see_complete_versions_during_writes(workspace: Workspace, request: pytest.FixtureRequest) -> None:
    """Each version has one batch of five items more than the previous one."""
    readers = 8 if request.node.callspec.params["workspace"] == "sqlite" else 3
    workspace.datasets.write("d", Schema((Column("batch", Kind.TEXT),)), [], mode="create")
    programs = [(BATCH_WRITER, name) for name in "ab"] + [(READER, "") for _ in range(readers)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(workspace.location), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for program, name in programs
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=900) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), [
        error for _, error in outputs if error
    ]
    assert [info.number for info in workspace.datasets.log("d")] == list(range(17, 0, -1))
    assert all(int(output) >= 3 for output, _ in outputs[2:])
    assert doctor(workspace) == []
