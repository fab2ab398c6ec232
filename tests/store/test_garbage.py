"""Garbage collection removes what nothing needs, and nothing else; files that moved are found again."""

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
from saccade.store.io.atomic import Scratch
from saccade.store.maintenance.doctor import doctor, relink_files
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.maintenance.reachability import MediaScan
from saccade.store.workspace import Workspace

STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "add", "drop", "model", "remove", "stray", "gc"]), st.integers(0, 3)),
    max_size=12,
)


def test_rows_that_versions_share_are_looked_at_once(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as workspace:
        workspace.datasets.write("d", SCHEMA, [item(workspace, f"k{n}") for n in range(30)], mode="create")
        for number in range(10):
            workspace.datasets.write("d", SCHEMA, [item(workspace, f"k{number}", f"other {number}")], mode="merge")
        scan = MediaScan()
        snapshots = [workspace.datasets.open(f"d@{number}").snapshot for number in range(1, 12)]
        assert [sum(map(len, scan.of(snapshot))) for snapshot in snapshots] == [30, *[1] * 10]


@pytest.mark.slow
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_what_is_needed_stays_and_the_rest_goes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    with Workspace.create(tmp_path_factory.mktemp("gc")) as workspace:
        alive: dict[str, set[str]] = {}
        models = 0
        for step, number in steps:
            name = f"d{number}"
            if step == "write":
                made = item(workspace, f"p{len(alive)}{number}")
                workspace.datasets.write(name, SCHEMA, [made], mode="replace")
                alive.setdefault(name, set()).add(made["image"].digest)
            elif step == "add" and name in alive:
                made = item(workspace, f"a{len(alive[name])}{number}")
                workspace.datasets.write(name, SCHEMA, [made], mode="merge")
                alive[name].add(made["image"].digest)
            elif step == "drop" and name in alive:
                workspace.datasets.delete_items(name, workspace.datasets.open(name).keys()[:1])
            elif step == "model":
                models += 1
                made_model = workspace.models.add("m", files={"w": b"weights %d" % models}, manifest={}, metrics={})
                alive.setdefault("models", set()).update(made_model.files.values())
            elif step == "remove" and name in alive:
                workspace.datasets.remove(name)
                del alive[name]
            elif step == "stray":
                workspace.objects.put_bytes(b"stray %d" % number)
            elif step == "gc":
                planned = collect_garbage(workspace, dry_run=True)
                assert collect_garbage(workspace) == planned
        collect_garbage(workspace)
        assert {digest for digest, _ in workspace.objects.digests()} == {d for part in alive.values() for d in part}
        assert collect_garbage(workspace).objects == 0
        assert doctor(workspace, deep=True) == []


def test_nothing_is_removed_while_somebody_writes(workspace: Workspace) -> None:
    workspace.objects.put_bytes(b"stray")
    with workspace.objects.keeping(), pytest.raises(ConflictError, match="Somebody is writing"):
        collect_garbage(workspace)
    assert collect_garbage(workspace).objects == 1


def test_who_wants_to_write_waits_for_the_collection(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "tmp")
    began: list[float] = []

    def write() -> None:
        with scratch.working():
            began.append(time.monotonic())

    with scratch.alone() as alone:
        assert alone
        with scratch.alone() as second:
            assert not second
        thread = threading.Thread(target=write)
        thread.start()
        time.sleep(0.1)
        assert not began
        ended = time.monotonic()
    thread.join()
    assert began[0] >= ended


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_killed_collection_keeps_nobody_waiting(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom saccade.store.io.atomic import Scratch\n"
        "with Scratch(Path(sys.argv[1])).alone() as alone:\n    print(alone, flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "tmp")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        scratch = Scratch(tmp_path / "tmp")
        with scratch.alone() as alone:
            assert not alone
        process.kill()
        process.wait()
    with scratch.working():
        pass
    with scratch.alone() as alone:
        assert alone


def test_nothing_is_removed_where_a_version_cannot_be_read(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [item(workspace, "a")], mode="create")
    stray = workspace.objects.put_bytes(b"stray")
    folder = workspace.datasets.open("d").snapshot.folder
    shutil.rmtree(folder)
    with pytest.raises(WorkspaceError):
        collect_garbage(workspace)
    assert workspace.objects.exists(stray)


def test_files_that_moved_are_found_by_their_content(workspace: Workspace, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new" / "deep"
    old.mkdir()
    new.parent.mkdir()
    workspace.datasets.write("d", SCHEMA, [item(workspace, name, linked=old) for name in "abc"], mode="create")
    assert doctor(workspace) == []
    version = workspace.datasets.open("d")
    refs = {made.key: made["image"] for made in version.items()}
    old.rename(new)
    (new / "b.jpg").rename(new / "other name.png")
    (new / "c.jpg").write_bytes(b"x" * len(content("c")))
    (problem,) = doctor(workspace)
    assert "3 files that are referred to are gone" in problem.what
    with pytest.raises(NotFoundError, match="--relink"):
        version.read_media(refs["a"])
    found = relink_files(workspace, new.parent)
    assert found.found == {str(old / "a.jpg"): str(new / "a.jpg"), str(old / "b.jpg"): str(new / "other name.png")}
    assert found.lost == (str(old / "c.jpg"),)
    assert [version.read_media(refs[name]) for name in "ab"] == [content("a"), content("b")]
    (problem,) = doctor(workspace)
    assert "1 files that are referred to are gone" in problem.what
    old.mkdir()
    (old / "c.jpg").write_bytes(b"y" * len(content("c")))
    assert doctor(workspace) == [], "the size is right"
    (problem,) = doctor(workspace, deep=True)
    assert "1 files that are referred to are changed" in problem.what
    with pytest.raises(MediaError, match="has changed"):
        version.read_media(refs["c"])
    collect_garbage(workspace)
    assert version.read_media(refs["b"]) == content("b"), "what is known of moved files is not garbage"
    shutil.rmtree(new)
    (old / "a.jpg").write_bytes(content("a"))
    assert version.read_media(refs["a"]) == content("a"), "a file that came back is read where it was"
    with pytest.raises(NotFoundError, match="no folder"):
        relink_files(workspace, tmp_path / "nowhere")
    workspace.datasets.remove("d")
    collect_garbage(workspace)
    assert list(workspace.objects.moves()) == []
