"""Jobs that run in real worker processes."""

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

from saccade.app.datasets.bulk_edit import bulk_edit
from saccade.app.datasets.classes import edit_classes
from saccade.app.ingest.uploads import create_upload, get_upload
from saccade.app.jobs.registry import enqueue
from saccade.app.jobs.run_job import job_dir
from saccade.app.jobs.supervisor import WorkerSupervisor
from saccade.app.jobs.worker import Worker
from saccade.core.class_edits import RenameClass
from saccade.core.errors import InvalidValueError, NotFoundError, QueryError
from saccade.core.progress import NullProgress
from saccade.core.reader import Item
from saccade.core.records.jobs import Job
from saccade.core.roles import Role
from saccade.core.schema import Column, Kind, Schema
from saccade.runtime.process import is_alive, is_memory_exhausted
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
LONG = 1200


@contextmanager
def working(workspace: Workspace, memory: int | None = None) -> Iterator[None]:
    """Run a worker in a thread; its jobs run in processes."""
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
    with Workspace.create(tmp_path / "home") as opened:
        yield opened


def many(pictures: Path, folder: Path, copies: int) -> Path:
    """Create a source with so many images that an import takes a while."""
    folder.mkdir()
    for path in (pictures / "images").iterdir():
        data = path.read_bytes()
        for copy in range(copies):
            (folder / f"{path.stem}-{copy}.jpg").write_bytes(data + copy.to_bytes(4, "big"))
    return folder


def test_inspect_import_and_export(workspace: Workspace, pictures: Path) -> None:
    with working(workspace):
        looked = ended(workspace, enqueue(workspace, "inspect-source", {"source": {"folder": str(pictures)}}))
        assert looked.state == "finished", looked.error
        assert looked.result["format"] == "coco"
        assert (job_dir(workspace, looked.id) / "files" / looked.result["preview"][0]["file"]).exists()
        params = {"source": {"folder": str(pictures)}, "dataset": "d", "split": {"shares": {"train": 1, "val": 1}}}
        job = ended(workspace, enqueue(workspace, "import", params))
        assert (job.state, job.result["dataset"]) == ("finished", "d@1")
        assert workspace.runs.list("import")[0].outputs == ("d@1",)
        done = ended(workspace, enqueue(workspace, "export", {"dataset": "d", "format": "yolo", "where": "key != 'x'"}))
        assert done.state == "finished", done.error
        assert (job_dir(workspace, done.id) / "files" / done.result["file"]).stat().st_size > 1000
        parameters = {"dataset": "d", "format": "yolo", "where": "nothing"}
        with pytest.raises(QueryError, match="not a column"):
            enqueue(workspace, "export", parameters)
        wrong = ended(workspace, workspace.jobs.add("export", "Export d", parameters))
        assert (wrong.state, "nothing" in wrong.error) == ("failed", True)
    assert "Importing" in (job_dir(workspace, job.id) / "log.txt").read_text()


def test_train_evaluate_and_predict(workspace_copy: Path) -> None:
    from saccade.app.ml.recipe_template import suggest_recipe

    with Workspace.open(workspace_copy) as workspace, working(workspace):
        model, dataset = workspace.models.list()[0].ref, workspace.datasets.list()[0].name
        params = {"model": model, "dataset": dataset}
        measured = ended(workspace, enqueue(workspace, "evaluate", params))
        assert measured.state == "finished", measured.error
        assert (job_dir(workspace, measured.id) / "files" / "report.html").exists()
        predicted = ended(workspace, enqueue(workspace, "predict", params | {"into": "found", "min_score": 0.01}))
        assert predicted.state == "finished", predicted.error
        assert workspace.datasets.exists("found")
        recipe = suggest_recipe(workspace.datasets.open(dataset))
        recipe = recipe.replace("epochs: 15", "epochs: 1").replace("[416, 416]", "[64, 64]")
        trained = ended(workspace, enqueue(workspace, "train", {"recipe": recipe}))
        assert trained.state == "finished", trained.error
        assert workspace.models.open(trained.result["model"]).run_id == trained.result["run"]


@pytest.mark.parametrize("interrupts", [signal.default_int_handler, signal.SIG_IGN], ids=["heard", "ignored"])
def test_cancel_running_job(workspace: Workspace, pictures: Path, tmp_path: Path, interrupts: Any) -> None:
    """Also if the worker was started in the background of a shell, which makes it ignore SIGINT."""
    source = many(pictures, tmp_path / "many", LONG)
    with working(workspace), as_begun_with(interrupts):
        job = enqueue(workspace, "import", {"source": {"folder": str(source)}, "dataset": "d"})
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


def test_killed_process_is_retried(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    source = many(pictures, tmp_path / "many", LONG)
    with working(workspace):
        job = enqueue(workspace, "import", {"source": {"folder": str(source)}, "dataset": "d"})
        until(lambda: bool(workspace.jobs.get(job.id).progress.get("done")))
        pgrep = subprocess.run(["pgrep", "-f", f"jobs.run_job .* {job.id}"], capture_output=True, text=True, check=True)
        os.kill(int(pgrep.stdout.split()[0]), signal.SIGKILL)
        done = ended(workspace, job)
    assert (done.state, done.attempts, done.result["items"]) == ("finished", 2, 10 * LONG)
    assert "SIGKILL" in (job_dir(workspace, job.id) / "log.txt").read_text()


def test_import_is_not_repeated_after_a_crash(workspace: Workspace, pictures: Path) -> None:
    """If a worker died between the import and recording it, the next one records it without importing again."""
    from saccade.app.ingest.importing import import_dataset

    job = enqueue(workspace, "import", {"source": {"folder": str(pictures)}, "dataset": "d"})
    workspace.runs.job_id = job.id
    import_dataset(workspace, pictures, "d")
    workspace.runs.job_id = None
    with working(workspace):
        done = ended(workspace, job)
    assert (done.state, done.result["dataset"]) == ("finished", "d@1")
    assert len(workspace.datasets.log("d")) == 1


def test_edit_jobs(workspace: Workspace) -> None:
    schema = Schema((Column("label", Kind.LABEL), Column("note", Kind.TEXT)))
    items = [Item(f"{at}", {"label": "car" if at % 2 else "bus", "note": ""}) for at in range(10)]
    workspace.datasets.write("d", schema, items, mode="create")
    person = workspace.users.add("a@example.org", Role.OWNER, "Ann", "a password of mine").id
    edits = [{"action": "rename", "name": "car", "new_name": "lorry"}, {"action": "add", "name": "tram"}]
    with working(workspace):
        renamed = ended(
            workspace,
            enqueue(workspace, "edit-classes", {"dataset": "d", "edits": edits, "expected_version": 1}, person),
        )
        assert renamed.state == "finished", renamed.error
        counts = {"added": 0, "removed": 0, "changed": 5}
        assert renamed.result == {"dataset": "d@2", "number": 2, "items": 10, **counts}
        late = ended(
            workspace,
            enqueue(workspace, "edit-classes", {"dataset": "d", "edits": edits, "expected_version": 1}, person),
        )
        assert (late.state, late.result["code"]) == ("failed", "stale-version")
        workspace.datasets.branch("d", "side", "1")
        query = {"dataset": "d@side", "action": "tag", "target": "big", "where": 'label == "bus"'}
        tagged = ended(workspace, enqueue(workspace, "edit-items", query, person))
        assert (tagged.result["dataset"], tagged.result["changed"]) == ("d@3", 5), tagged.error
        gone = ended(
            workspace, enqueue(workspace, "edit-items", {"dataset": "d", "action": "delete", "keys": ["0"]}, person)
        )
        assert (gone.result["dataset"], gone.result["removed"]) == ("d@4", 1), gone.error
        choice = {"key": "0", "column": None, "object": None, "class": None, "resolution": "theirs"}
        params = {"dataset": "d@side", "choices": [choice], "message": "both"}
        merged = ended(workspace, enqueue(workspace, "merge", params, person))
        assert (merged.result["dataset"], merged.result["items"]) == ("d@5", 10), merged.error
        again = ended(workspace, enqueue(workspace, "merge", params, person))
        assert (again.result["dataset"], again.result["changed"]) == ("d@5", 0), "there is nothing left to merge"
    version = workspace.datasets.open("d")
    assert version.get("0")["tags"] == ("big",)
    assert version.get("1")["label"] == "lorry"
    assert {info.author for info in workspace.datasets.log("d")[:-1]} == {"Ann"}
    assert {run.state for run in workspace.runs.list("merge")} == {"finished"}


def test_edit_is_not_repeated_after_a_crash(workspace: Workspace) -> None:
    """The worker died after creating the version and before recording it."""
    workspace.datasets.write("d", Schema((Column("note", Kind.TEXT),)), [Item("a", {"note": ""})], mode="create")
    job = enqueue(
        workspace, "edit-items", {"dataset": "d", "action": "tag", "target": "x", "keys": ["a"], "expected_version": 1}
    )
    workspace.runs.job_id = job.id
    run = workspace.runs.start("edit-items", "d", {})
    bulk_edit(workspace, "d", ["a"], "tag", "x", run_id=run.id)
    workspace.runs.job_id = None
    with working(workspace):
        done = ended(workspace, job)
    assert (done.state, done.result["dataset"], done.result["changed"]) == ("finished", "d@2", 1)
    assert len(workspace.datasets.log("d")) == 2


class _Unwanted(NullProgress):
    """Progress that raises KeyboardInterrupt after some steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, count: int = 1, message: str = "") -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_cancelled_edit_changes_nothing(workspace: Workspace, after: int) -> None:
    schema = Schema((Column("label", Kind.LABEL),))
    items = [Item(f"{at}", {"label": "car"}) for at in range(2500)]
    workspace.datasets.write("d", schema, items, mode="create")
    workspace.datasets.branch("d", "side", "1")
    for branch, key in (("main", "a"), ("side", "b")):
        new = [Item(f"{key}{at}", {"label": "bus"}) for at in range(2500)]
        workspace.datasets.write("d", schema, new, mode="append", branch=branch)
    rename = [RenameClass(name="car", new_name="lorry")]
    acts: list[Callable[[], object]] = [
        lambda: edit_classes(workspace, "d", rename, progress=_Unwanted(after)),
        lambda: workspace.datasets.merge("d@side", progress=_Unwanted(after)),
        lambda: bulk_edit(workspace, "d", items_of("d"), "tag", "x", progress=_Unwanted(min(after, 2))),
    ]

    def items_of(name: str) -> list[str]:
        return workspace.datasets.open(name).keys()

    for act in acts:
        with pytest.raises(KeyboardInterrupt):
            act()
        assert [info.number for info in workspace.datasets.log("d")] == [3, 2, 1]
    assert [issue for issue in doctor(workspace, repair=True) if issue.level == "error"] == []
    assert edit_classes(workspace, "d", rename).info.changed == 2500
    assert workspace.datasets.merge("d@side").added == 2500


def test_memory_limit_fails_only_the_job(workspace: Workspace, pictures: Path) -> None:
    with working(workspace, memory=1 << 20):
        job = ended(workspace, enqueue(workspace, "import", {"source": {"folder": str(pictures)}, "dataset": "d"}))
    assert job.state == "failed"
    assert workspace.datasets.list() == []


FILLING = """
from saccade.runtime.process import limit_memory
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
def test_memory_exhaustion_is_detected(limit: int | None, full: bool) -> None:
    """A process without free memory may continue a thousand times slower and never end."""
    command = [sys.executable, "-c", FILLING.format(limit=limit)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        assert is_memory_exhausted(process.pid, 1 << 20) == full
        process.kill()
    assert not is_memory_exhausted(process.pid, 1 << 20), "it is not there any more"


def test_supervisor_restarts_and_stops_workers(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    workers = WorkerSupervisor(workspace, 1)
    workers.start()
    try:
        until(lambda: bool(workers._processes))
        first = workers._processes[0]
        first.kill()
        until(lambda: bool(workers._processes) and workers._processes[0] is not first)
        job = enqueue(workspace, "import", {"source": {"folder": str(pictures)}, "dataset": "d"})
        assert ended(workspace, job).state == "finished"
        source = many(pictures, tmp_path / "many", LONG)
        long = enqueue(workspace, "import", {"source": {"folder": str(source)}, "dataset": "long"})
        until(lambda: bool(workspace.jobs.get(long.id).progress.get("done")))
    finally:
        workers.close()
    left = workspace.jobs.get(long.id)
    assert left.state in ("queued", "finished"), "it waits for the next worker"
    with working(workspace):
        assert ended(workspace, long).state == "finished"


def test_job_process_ends_with_its_worker(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    source = many(pictures, tmp_path / "many", LONG)
    command = [sys.executable, "-m", "saccade", "worker", "--workspace", str(workspace.location.parent)]
    worker = subprocess.Popen(command)
    job = enqueue(workspace, "import", {"source": {"folder": str(source)}, "dataset": "d"})
    until(lambda: bool(workspace.jobs.get(job.id).progress.get("done")))
    worker.kill()
    worker.wait()
    until(lambda: subprocess.run(["pgrep", "-f", f"jobs.run_job .* {job.id}"], check=False).returncode != 0, 20)
    with working(workspace):
        done = ended(workspace, job)
    assert (done.state, done.attempts) == ("finished", 2)


def test_enqueue_rejects_invalid_jobs(workspace: Workspace, pictures: Path) -> None:
    for kind, params, error in (
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
            enqueue(workspace, kind, params)
    assert workspace.jobs.list() == []


def test_uploads_of_other_users_and_deleted_uploads_are_not_found(workspace: Workspace) -> None:
    upload = create_upload(workspace, "user")
    with pytest.raises(NotFoundError):
        get_upload(workspace, upload.id, "another-user")
    shutil.rmtree(workspace.jobs_dir)
    with pytest.raises(NotFoundError):
        get_upload(workspace, upload.id, "user")
    assert is_alive("nowhere~1~1") is None


def test_worker_stops_without_output(workspace: Workspace, pictures: Path) -> None:
    """Regression: the thread that reads standard input must not produce an error at exit."""
    command = [
        sys.executable,
        "-m",
        "saccade",
        "worker",
        "--workspace",
        str(workspace.location),
        "--exit-on-stdin-close",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        ended(workspace, enqueue(workspace, "inspect-source", {"source": {"folder": str(pictures)}}))  # it is up
        process.send_signal(signal.SIGTERM)
        errors = process.stderr.read()  # while its input is still open
    assert (process.returncode, errors) == (0, "")
