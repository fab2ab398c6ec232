"""Jobs that are done by real workers in real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from saccade.app.datasets.bulk_edit import change_items
from saccade.app.datasets.classes import change_classes
from saccade.app.ingest.uploads import find_upload, new_upload
from saccade.app.jobs.registry import leave
from saccade.app.jobs.run_job import folder_of
from saccade.app.jobs.worker import Worker, Workers
from saccade.core.class_edits import RenameClass
from saccade.core.errors import InvalidValueError, NotFoundError, QueryError
from saccade.core.progress import Silent
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, Kind, Schema
from saccade.store.io.process import is_alive, is_full
from saccade.store.jobs.jobs import Job
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
LONG = 1200


@contextmanager
def working(workspace: Workspace, memory: int | None = None) -> Iterator[None]:
    """A worker in a thread; what it does it does in processes of their own."""
    worker = Worker(workspace, memory=memory)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()


def until(look: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


def ended(workspace: Workspace, job: Job) -> Job:
    until(lambda: workspace.jobs.get(job.id).state in ("finished", "failed", "cancelled"))
    return workspace.jobs.get(job.id)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "home") as made:
        yield made


def many(pictures: Path, folder: Path, copies: int) -> Path:
    """So many pictures that an import takes a while."""
    folder.mkdir()
    for path in (pictures / "images").iterdir():
        data = path.read_bytes()
        for copy in range(copies):
            (folder / f"{path.stem}-{copy}.jpg").write_bytes(data + copy.to_bytes(4, "big"))
    return folder


def test_looking_importing_and_exporting(workspace: Workspace, pictures: Path) -> None:
    with working(workspace):
        looked = ended(workspace, leave(workspace, "look", {"source": {"folder": str(pictures)}}))
        assert looked.state == "finished", looked.error
        assert looked.result["format"] == "coco"
        assert (folder_of(workspace, looked.id) / "files" / looked.result["preview"][0]["file"]).exists()
        given = {"source": {"folder": str(pictures)}, "dataset": "d", "split": {"shares": {"train": 1, "val": 1}}}
        job = ended(workspace, leave(workspace, "import", given))
        assert (job.state, job.result["dataset"]) == ("finished", "d@1")
        assert workspace.runs.list("import")[0].outputs == ("d@1",)
        done = ended(workspace, leave(workspace, "export", {"dataset": "d", "format": "yolo", "where": "key != 'x'"}))
        assert done.state == "finished", done.error
        assert (folder_of(workspace, done.id) / "files" / done.result["file"]).stat().st_size > 1000
        parameters = {"dataset": "d", "format": "yolo", "where": "nothing"}
        with pytest.raises(QueryError, match="not a column"):
            leave(workspace, "export", parameters)
        wrong = ended(workspace, workspace.jobs.add("export", "Export d", parameters))
        assert (wrong.state, "nothing" in wrong.error) == ("failed", True)
    assert "Importing" in (folder_of(workspace, job.id) / "log.txt").read_text()


def test_training_measuring_and_predicting(workspace_copy: Path) -> None:
    from saccade.app.ml.recipe_template import recipe_for

    with Workspace.open(workspace_copy) as workspace, working(workspace):
        model, dataset = workspace.models.list()[0].ref, workspace.datasets.list()[0].name
        given = {"model": model, "dataset": dataset}
        measured = ended(workspace, leave(workspace, "evaluate", given))
        assert measured.state == "finished", measured.error
        assert (folder_of(workspace, measured.id) / "files" / "report.html").exists()
        found = ended(workspace, leave(workspace, "predict", given | {"into": "found", "min_score": 0.01}))
        assert found.state == "finished", found.error
        assert workspace.datasets.exists("found")
        recipe = recipe_for(workspace.datasets.open(dataset))
        recipe = recipe.replace("epochs: 15", "epochs: 1").replace("[416, 416]", "[64, 64]")
        trained = ended(workspace, leave(workspace, "train", {"recipe": recipe}))
        assert trained.state == "finished", trained.error
        assert workspace.models.open(trained.result["model"]).run_id == trained.result["run"]


@pytest.mark.parametrize("interrupts", [signal.default_int_handler, signal.SIG_IGN], ids=["heard", "ignored"])
def test_cancelling_what_runs(workspace: Workspace, pictures: Path, tmp_path: Path, interrupts: Any) -> None:
    """Also where the worker was begun in the background of a shell, which makes it ignore interrupts."""
    source = many(pictures, tmp_path / "many", LONG)
    with working(workspace), as_begun_with(interrupts):
        job = leave(workspace, "import", {"source": {"folder": str(source)}, "dataset": "d"})
        until(lambda: bool(workspace.jobs.get(job.id).progress.get("done")))
        workspace.jobs.cancel(job.id)
        assert ended(workspace, job).state == "cancelled"
    assert workspace.datasets.list() == []


@contextmanager
def as_begun_with(interrupts: Any) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, interrupts)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_killed_process_is_followed_by_another(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    source = many(pictures, tmp_path / "many", LONG)
    with working(workspace):
        job = leave(workspace, "import", {"source": {"folder": str(source)}, "dataset": "d"})
        until(lambda: bool(workspace.jobs.get(job.id).progress.get("done")))
        found = subprocess.run(["pgrep", "-f", f"jobs.doing .* {job.id}"], capture_output=True, text=True, check=True)
        os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
        done = ended(workspace, job)
    assert (done.state, done.attempts, done.result["items"]) == ("finished", 2, 10 * LONG)
    assert "SIGKILL" in (folder_of(workspace, job.id) / "log.txt").read_text()


def test_what_was_finished_before_the_death_is_found(workspace: Workspace, pictures: Path) -> None:
    """A worker that died between the import and saying so: the next one says so, and imports nothing again."""
    from saccade.app.ingest.importing import import_dataset

    job = leave(workspace, "import", {"source": {"folder": str(pictures)}, "dataset": "d"})
    workspace.runs.job = job.id
    import_dataset(workspace, pictures, "d")
    workspace.runs.job = None
    with working(workspace):
        done = ended(workspace, job)
    assert (done.state, done.result["dataset"]) == ("finished", "d@1")
    assert len(workspace.datasets.log("d")) == 1


def test_changes_of_a_dataset_may_be_left_to_the_workers(workspace: Workspace) -> None:
    schema = Schema((Column("label", Kind.LABEL), Column("note", Kind.TEXT)))
    items = [Item(f"{at}", {"label": "car" if at % 2 else "bus", "note": ""}) for at in range(10)]
    workspace.datasets.write("d", schema, items, mode="create")
    person = workspace.people.add("a@example.org", Role.OWNER, "Ann", "a password of mine").id
    acts = [{"act": "rename", "name": "car", "to": "lorry"}, {"act": "add", "name": "tram"}]
    with working(workspace):
        renamed = ended(workspace, leave(workspace, "classes", {"dataset": "d", "acts": acts, "follows": 1}, person))
        assert renamed.state == "finished", renamed.error
        counts = {"added": 0, "removed": 0, "changed": 5}
        assert renamed.result == {"dataset": "d@2", "number": 2, "items": 10, **counts}
        late = ended(workspace, leave(workspace, "classes", {"dataset": "d", "acts": acts, "follows": 1}, person))
        assert (late.state, late.result["code"]) == ("failed", "moved")
        workspace.datasets.branch("d", "side", "1")
        query = {"dataset": "d", "branch": "side", "act": "tag", "value": "big", "where": 'label == "bus"'}
        tagged = ended(workspace, leave(workspace, "change", query, person))
        assert (tagged.result["dataset"], tagged.result["changed"]) == ("d@3", 5), tagged.error
        gone = ended(workspace, leave(workspace, "change", {"dataset": "d", "act": "delete", "keys": ["0"]}, person))
        assert (gone.result["dataset"], gone.result["removed"]) == ("d@4", 1), gone.error
        choice = {"key": "0", "column": None, "object": None, "class": None, "take": "theirs"}
        given = {"dataset": "d@side", "choices": [choice], "message": "both"}
        merged = ended(workspace, leave(workspace, "merge", given, person))
        assert (merged.result["dataset"], merged.result["items"]) == ("d@5", 10), merged.error
        again = ended(workspace, leave(workspace, "merge", given, person))
        assert (again.result["dataset"], again.result["changed"]) == ("d@5", 0), "there is nothing left to merge"
    version = workspace.datasets.open("d")
    assert version.get("0")["tags"] == ("big",)
    assert version.get("1")["label"] == "lorry"
    assert {info.author for info in workspace.datasets.log("d")[:-1]} == {"Ann"}
    assert {run.state for run in workspace.runs.list("merge")} == {"finished"}


def test_a_change_is_made_once_whoever_dies(workspace: Workspace) -> None:
    """Its worker died when the version was there and the job had not said so."""
    workspace.datasets.write("d", Schema((Column("note", Kind.TEXT),)), [Item("a", {"note": ""})], mode="create")
    job = leave(workspace, "change", {"dataset": "d", "act": "tag", "value": "x", "keys": ["a"], "follows": 1})
    workspace.runs.job = job.id
    run = workspace.runs.start("change", "d", {})
    change_items(workspace, "d", ["a"], "tag", "x", run_id=run.id)
    workspace.runs.job = None
    with working(workspace):
        done = ended(workspace, job)
    assert (done.state, done.result["dataset"], done.result["changed"]) == ("finished", "d@2", 1)
    assert len(workspace.datasets.log("d")) == 2


class _Unwanted(Silent):
    """Progress that is cancelled after so many steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, count: int = 1, note: str = "") -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_change_that_is_cancelled_leaves_what_was(workspace: Workspace, after: int) -> None:
    schema = Schema((Column("label", Kind.LABEL),))
    items = [Item(f"{at}", {"label": "car"}) for at in range(2500)]
    workspace.datasets.write("d", schema, items, mode="create")
    workspace.datasets.branch("d", "side", "1")
    for branch, key in (("main", "a"), ("side", "b")):
        new = [Item(f"{key}{at}", {"label": "bus"}) for at in range(2500)]
        workspace.datasets.write("d", schema, new, mode="append", branch=branch)
    rename = [RenameClass(name="car", to="lorry")]
    acts: list[Callable[[], object]] = [
        lambda: change_classes(workspace, "d", rename, progress=_Unwanted(after)),
        lambda: workspace.datasets.merge("d@side", progress=_Unwanted(after)),
        lambda: change_items(workspace, "d", items_of("d"), "tag", "x", progress=_Unwanted(min(after, 2))),
    ]

    def items_of(name: str) -> list[str]:
        return workspace.datasets.open(name).keys()

    for act in acts:
        with pytest.raises(KeyboardInterrupt):
            act()
        assert [info.number for info in workspace.datasets.log("d")] == [3, 2, 1]
    assert [one for one in doctor(workspace, repair=True) if one.level == "error"] == []
    assert change_classes(workspace, "d", rename).info.changed == 2500
    assert workspace.datasets.merge("d@side").added == 2500


def test_too_much_memory_ends_a_job_and_nothing_else(workspace: Workspace, pictures: Path) -> None:
    with working(workspace, memory=1 << 20):
        job = ended(workspace, leave(workspace, "import", {"source": {"folder": str(pictures)}, "dataset": "d"}))
    assert job.state == "failed"
    assert workspace.datasets.list() == []


FILLING = """
from saccade.store.io.process import limit_memory
limit_memory({limit})
held = []
try:
    for _ in range(256):
        held.append(bytearray(1 << 18))
except MemoryError:
    pass
print("done", flush=True)
input()
"""


@pytest.mark.parametrize(("limit", "full"), [(32 << 20, True), (1 << 30, False), (None, False)])
def test_whose_memory_is_used_up_is_seen(limit: int | None, full: bool) -> None:
    """Where nothing is left a process may go on, a thousand times slower, and never end."""
    command = [sys.executable, "-c", FILLING.format(limit=limit)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        assert is_full(process.pid, 1 << 20) == full
        process.kill()
    assert not is_full(process.pid, 1 << 20), "it is not there any more"


def test_workers_come_back_and_end_with_the_server(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    workers = Workers(workspace, 1)
    workers.start()
    try:
        until(lambda: bool(workers._processes))
        first = workers._processes[0]
        first.kill()
        until(lambda: bool(workers._processes) and workers._processes[0] is not first)
        job = leave(workspace, "import", {"source": {"folder": str(pictures)}, "dataset": "d"})
        assert ended(workspace, job).state == "finished"
        source = many(pictures, tmp_path / "many", LONG)
        long = leave(workspace, "import", {"source": {"folder": str(source)}, "dataset": "long"})
        until(lambda: bool(workspace.jobs.get(long.id).progress.get("done")))
    finally:
        workers.close()
    left = workspace.jobs.get(long.id)
    assert left.state in ("queued", "finished"), "it waits for the next worker"
    with working(workspace):
        assert ended(workspace, long).state == "finished"


def test_the_process_of_a_job_ends_with_its_worker(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    source = many(pictures, tmp_path / "many", LONG)
    command = [sys.executable, "-m", "saccade", "worker", "--workspace", str(workspace.location.parent)]
    worker = subprocess.Popen(command)
    job = leave(workspace, "import", {"source": {"folder": str(source)}, "dataset": "d"})
    until(lambda: bool(workspace.jobs.get(job.id).progress.get("done")))
    worker.kill()
    worker.wait()
    until(lambda: subprocess.run(["pgrep", "-f", f"jobs.doing .* {job.id}"], check=False).returncode != 0, 20)
    with working(workspace):
        done = ended(workspace, job)
    assert (done.state, done.attempts) == ("finished", 2)


def test_what_can_be_seen_at_once_is_refused_at_once(workspace: Workspace, pictures: Path) -> None:
    for kind, given, error in (
        ("bake", {}, NotFoundError),
        ("import", {"source": {}, "dataset": "d"}, InvalidValueError),
        ("import", {"source": {"url": "file:///etc/passwd"}, "dataset": "d"}, InvalidValueError),
        ("import", {"source": {"url": "s3://bucket/x"}, "dataset": "d"}, InvalidValueError),
        ("import", {"source": {"folder": "/x", "url": "http://x.org"}, "dataset": "d"}, InvalidValueError),
        ("import", {"source": {"folder": str(pictures)}, "dataset": "../d"}, InvalidValueError),
        ("import", {"source": {"url": "http://x.org/a.zip"}, "dataset": "d", "link": True}, InvalidValueError),
        ("export", {"dataset": "d", "format": "coco"}, NotFoundError),
        ("train", {"recipe": "name: x\ndata: {dataset: none}\nmodel: {}"}, Exception),
        ("train", {"recipe": "!!python/object/apply:os.system ['true']"}, Exception),
    ):
        with pytest.raises(error):
            leave(workspace, kind, given)
    assert workspace.jobs.list() == []


def test_nobody_is_left_over(workspace: Workspace) -> None:
    upload = new_upload(workspace, "somebody")
    with pytest.raises(NotFoundError):
        find_upload(workspace, upload.id, "somebody else")
    shutil.rmtree(workspace.left)
    with pytest.raises(NotFoundError):
        find_upload(workspace, upload.id, "somebody")
    assert is_alive("nowhere~1~1") is None


def test_a_worker_that_is_told_to_end_says_nothing(workspace: Workspace, pictures: Path) -> None:
    """It still reads what it was begun with, which Python does not let go of at its end."""
    command = [sys.executable, "-m", "saccade", "worker", "--workspace", str(workspace.location), "--until-input-ends"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        ended(workspace, leave(workspace, "look", {"source": {"folder": str(pictures)}}))  # it is up
        process.send_signal(signal.SIGTERM)
        errors = process.stderr.read()  # while its input is still open
    assert (process.returncode, errors) == (0, "")
