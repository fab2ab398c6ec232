"""Garbage collection deletes only unreferenced blobs; moved linked files are found again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.test_transfer import SCHEMA, content, item

from saccade.core.errors import ConflictError, MediaError, NotFoundError, WorkspaceError
from saccade.store.io.scratch import ScratchDir
from saccade.store.maintenance.doctor import doctor, relocate_files
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.maintenance.reachability import MediaScanner
from saccade.store.workspace import Workspace

STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "add", "drop", "model", "remove", "stray", "gc"]), st.integers(0, 3)),
    max_size=12,
)


def test_rows_shared_by_versions_are_scanned_once(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as workspace:
        workspace.datasets.write("d", SCHEMA, [item(workspace, f"k{n}") for n in range(30)], mode="create")
        for number in range(10):
            workspace.datasets.write("d", SCHEMA, [item(workspace, f"k{number}", f"other {number}")], mode="merge")
        scanner = MediaScanner()
        snapshots = [workspace.datasets.open(f"d@{number}").snapshot for number in range(1, 12)]
        assert [sum(map(len, scanner.scan(snapshot))) for snapshot in snapshots] == [30, *[1] * 10]


@pytest.mark.slow
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_referenced_blobs_are_kept_and_the_others_deleted(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    with Workspace.create(tmp_path_factory.mktemp("gc")) as workspace:
        alive: dict[str, set[str]] = {}
        models = 0
        for step, number in steps:
            name = f"d{number}"
            if step == "write":
                new = item(workspace, f"p{len(alive)}{number}")
                workspace.datasets.write(name, SCHEMA, [new], mode="replace")
                alive.setdefault(name, set()).add(new["image"].digest)
            elif step == "add" and name in alive:
                new = item(workspace, f"a{len(alive[name])}{number}")
                workspace.datasets.write(name, SCHEMA, [new], mode="merge")
                alive[name].add(new["image"].digest)
            elif step == "drop" and name in alive:
                workspace.datasets.delete_items(name, workspace.datasets.open(name).keys()[:1])
            elif step == "model":
                models += 1
                version = workspace.models.add("m", files={"w": b"weights %d" % models}, manifest={}, metrics={})
                alive.setdefault("models", set()).update(version.files.values())
            elif step == "remove" and name in alive:
                workspace.datasets.remove(name)
                del alive[name]
            elif step == "stray":
                workspace.blobs.put_bytes(b"stray %d" % number)
            elif step == "gc":
                planned = collect_garbage(workspace, dry_run=True)
                assert collect_garbage(workspace) == planned
        collect_garbage(workspace)
        assert {digest for digest, _ in workspace.blobs.digests()} == set().union(*alive.values())
        assert collect_garbage(workspace).objects == 0
        assert doctor(workspace, deep=True) == []


def test_nothing_is_deleted_during_a_write(workspace: Workspace) -> None:
    workspace.blobs.put_bytes(b"stray")
    with workspace.blobs.gc_guard(), pytest.raises(ConflictError, match="is writing to the workspace"):
        collect_garbage(workspace)
    assert collect_garbage(workspace).objects == 1


def test_a_writer_waits_for_the_collection(tmp_path: Path) -> None:
    scratch = ScratchDir(tmp_path / "tmp")
    start_times: list[float] = []

    def write() -> None:
        with scratch.shared():
            start_times.append(time.monotonic())

    with scratch.exclusive() as acquired:
        assert acquired
        with scratch.exclusive() as acquired_again:
            assert not acquired_again
        thread = threading.Thread(target=write)
        thread.start()
        time.sleep(0.1)
        assert not start_times
        ended = time.monotonic()
    thread.join()
    assert start_times[0] >= ended


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_killed_collection_releases_its_lock(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom saccade.store.io.scratch import ScratchDir\n"
        "with ScratchDir(Path(sys.argv[1])).exclusive() as acquired:\n"
        "    print(acquired, flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "tmp")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        scratch = ScratchDir(tmp_path / "tmp")
        with scratch.exclusive() as acquired:
            assert not acquired
        process.kill()
        process.wait()
    with scratch.shared():
        pass
    with scratch.exclusive() as acquired:
        assert acquired


def test_nothing_is_deleted_if_a_version_cannot_be_read(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [item(workspace, "a")], mode="create")
    stray = workspace.blobs.put_bytes(b"stray")
    folder = workspace.datasets.open("d").snapshot.folder
    shutil.rmtree(folder)
    with pytest.raises(WorkspaceError):
        collect_garbage(workspace)
    assert workspace.blobs.exists(stray)


def test_moved_files_are_found_by_their_content(workspace: Workspace, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new" / "deep"
    old.mkdir()
    new.parent.mkdir()
    workspace.datasets.write("d", SCHEMA, [item(workspace, name, linked=old) for name in "abc"], mode="create")
    assert doctor(workspace) == []
    version = workspace.datasets.open("d")
    refs = {item.key: item["image"] for item in version.items()}
    old.rename(new)
    (new / "b.jpg").rename(new / "other name.png")
    (new / "c.jpg").write_bytes(b"x" * len(content("c")))
    (issue,) = doctor(workspace)
    assert "3 linked files are missing" in issue.what
    with pytest.raises(NotFoundError, match="--relink"):
        version.read_media(refs["a"])
    result = relocate_files(workspace, new.parent)
    assert result.found == {str(old / "a.jpg"): str(new / "a.jpg"), str(old / "b.jpg"): str(new / "other name.png")}
    assert result.lost == (str(old / "c.jpg"),)
    assert [version.read_media(refs[name]) for name in "ab"] == [content("a"), content("b")]
    (issue,) = doctor(workspace)
    assert "1 linked files are missing" in issue.what
    old.mkdir()
    (old / "c.jpg").write_bytes(b"y" * len(content("c")))
    assert doctor(workspace) == [], "the size is right"
    (issue,) = doctor(workspace, deep=True)
    assert "1 linked files are changed" in issue.what
    with pytest.raises(MediaError, match="has changed"):
        version.read_media(refs["c"])
    collect_garbage(workspace)
    assert version.read_media(refs["b"]) == content("b"), "relocations of referenced files are not garbage"
    shutil.rmtree(new)
    (old / "a.jpg").write_bytes(content("a"))
    assert version.read_media(refs["a"]) == content("a"), "a file that was put back is read from its old location"
    with pytest.raises(NotFoundError, match="no folder"):
        relocate_files(workspace, tmp_path / "nowhere")
    workspace.datasets.remove("d")
    collect_garbage(workspace)
    assert list(workspace.blobs.relocations()) == []
