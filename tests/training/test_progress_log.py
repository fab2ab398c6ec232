"""The progress of a training: what a hook writes, and what a reader gets while it writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.shape_models import detector, reader
from tests.support.tiny_workspace import recipe as ships

from saccade.app.ml.train import train
from saccade.app.ml.training_runs import RunLog, is_resumable, read_log
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.store.workspace import Workspace
from saccade.training.hooks import Hook
from saccade.training.job import build_training
from saccade.training.progress_log import MAX_POINTS, ProgressLogHook, TrainingProgress, read_progress
from saccade.training.run_files import CHECKPOINT_FILE, PROGRESS_FILE


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def create_hook(folder: Path, *, epochs: int, steps_per_epoch: int) -> ProgressLogHook:
    return ProgressLogHook(
        folder, epochs=epochs, steps_per_epoch=steps_per_epoch, images_per_step=4, validation_images=6
    )


class Killed(Exception):
    """Ends a training as a kill would: immediately, without a checkpoint."""


class Observer(Hook):
    """Reads the progress after each step, as a server does beside a training."""

    def __init__(self, folder: Path, kill_at: int | None = None) -> None:
        self.folder = folder
        self.kill_at = kill_at
        self.readings: list[TrainingProgress] = [read_progress(folder)]

    def on_start(self, step: int, total: int) -> None:
        self._read()

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        self._read()
        if step == self.kill_at:
            raise Killed

    def on_epoch(self, epoch: int, step: int, record: Mapping[str, object]) -> None:
        self._read()

    def _read(self) -> None:
        self.readings.append(read_progress(self.folder, self.readings[-1].cursor))


def test_a_training_is_followed_step_by_step(tmp_path: Path) -> None:
    job = build_training(detector(), reader())
    observer = Observer(tmp_path)
    hook = create_hook(tmp_path, epochs=3, steps_per_epoch=job.loader.steps_per_epoch)
    job.run(tmp_path, inputs=["shapes@1"], hooks=[hook, observer])
    phases = [(reading.phase, reading.step, reading.epoch) for reading in observer.readings]
    assert phases == [
        ("starting", 0, 0),
        ("starting", 0, 1),
        ("training", 1, 1),
        ("validating", 2, 1),
        ("training", 2, 2),
        ("training", 3, 2),
        ("validating", 4, 2),
        ("training", 4, 3),
        ("training", 5, 3),
        ("validating", 6, 3),
        ("training", 6, 3),
    ]
    assert [reading.is_reset for reading in observer.readings] == [True, True] + [False] * 9
    points = [point for reading in observer.readings for point in reading.points]
    assert [point.step for point in points] == [1, 2, 3, 4, 5, 6]
    assert all(point.losses and point.learning_rate > 0 for point in points)
    running = observer.readings[5]
    assert running.images_per_second is not None
    assert running.images_per_second > 0
    assert running.seconds_left is not None
    complete = read_progress(tmp_path)
    assert (complete.phase, complete.step, complete.steps, complete.seconds_left) == ("ended", 6, 6, None)
    assert list(complete.points) == points


def test_a_killed_training_keeps_its_curve_and_a_resumed_one_replaces_it(tmp_path: Path) -> None:
    recipe = detector("train.epochs=4", "train.checkpoint_every=2")
    job = build_training(recipe, reader())
    hook = create_hook(tmp_path, epochs=4, steps_per_epoch=job.loader.steps_per_epoch)
    with pytest.raises(Killed):
        job.run(tmp_path, inputs=["shapes@1"], hooks=[hook, Observer(tmp_path, kill_at=7)])
    with (tmp_path / PROGRESS_FILE).open("ab") as file:
        file.write(b'{"event": "steps", "step": 8, "lo')  # killed while writing
    killed = read_progress(tmp_path)
    assert [point.step for point in killed.points] == [1, 2, 3, 4, 5, 6, 7]
    job = build_training(recipe, reader())
    hook = create_hook(tmp_path, epochs=4, steps_per_epoch=job.loader.steps_per_epoch)
    job.run(tmp_path, inputs=["shapes@1"], hooks=[hook], resume=True)
    resumed = read_progress(tmp_path, killed.cursor)
    assert resumed.is_reset, "the points after the checkpoint were trained again"
    assert [point.step for point in resumed.points] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [point.losses for point in resumed.points[:4]] == [point.losses for point in killed.points[:4]]


@given(total=st.integers(1, 8_000), split_at=st.integers(0, 8_000))
def test_the_lines_of_long_trainings_are_bounded(
    total: int, split_at: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("long")
    hook = create_hook(folder, epochs=1, steps_per_epoch=total)
    hook.on_start(0, total)
    first = read_progress(folder)
    middle = first
    for step in range(1, total + 1):
        hook.on_step(step, {"loss": float(step)}, 0.1)
        if step == split_at:
            middle = read_progress(folder, first.cursor)
    hook.on_end()
    assert len((folder / PROGRESS_FILE).read_bytes().splitlines()) <= 5000 + 10
    complete = read_progress(folder)
    assert len(complete.points) <= MAX_POINTS
    assert complete.points[-1].step == complete.step == total
    mean = sum(range(1, total + 1)) / total
    if total <= MAX_POINTS:
        assert sum(point.losses["loss"] for point in complete.points) / total == pytest.approx(mean)
        later = read_progress(folder, middle.cursor)
        seen = [] if middle is first else list(middle.points)
        assert [point.step for point in [*seen, *later.points]] == list(range(1, total + 1))


@pytest.mark.parametrize("cursor", ["x", "-", "abc", "a-1x", "1-\u0661", "-5", "a-99999999999999999"])
def test_invalid_cursors_are_refused(cursor: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="cursor"):
        read_progress(tmp_path, cursor)


def test_a_cursor_of_another_file_gives_everything(tmp_path: Path) -> None:
    hook = create_hook(tmp_path, epochs=1, steps_per_epoch=9)
    hook.on_start(0, 9)
    hook.on_step(1, {"loss": 1.0}, 0.1)
    attempt = read_progress(tmp_path).cursor.partition("-")[0]
    for cursor in ("ffff-20", f"{attempt}-0", f"{attempt}-900000"):
        progress = read_progress(tmp_path, cursor)
        assert progress.is_reset
        assert [point.step for point in progress.points] == [1]
    (tmp_path / PROGRESS_FILE).write_text(json.dumps({"event": "steps", "step": 1}) + "\n")
    assert read_progress(tmp_path).phase == "starting"


def test_the_log_has_times_and_whole_lines(workspace_copy: Path) -> None:
    with Workspace.open(workspace_copy) as workspace:
        run = workspace.runs.start("train", "ships", {}, ["harbour@1"])
        assert read_log(run) == ""
        log = RunLog(run.folder)
        log.write("first line\nand more")
        log.write("second line")
        first, continued, last = read_log(run).splitlines()
        assert (first[20:], continued, last[20:]) == ("first line", "  and more", "second line")
        assert read_log(run, 45).splitlines() == [continued, last]


@pytest.mark.slow
def test_a_training_is_logged_and_resumed_by_its_run(workspace_copy: Path) -> None:
    class Stopper(Hook):
        def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
            raise KeyboardInterrupt

    with Workspace.open(workspace_copy) as workspace:
        recipe = ships("train.epochs=3")
        stopped = train(workspace, recipe, hooks=[Stopper()], tensorboard=False).run
        assert stopped.state == "stopped"
        assert is_resumable(stopped)
        newer = train(workspace, recipe, hooks=[Stopper()], tensorboard=False).run
        workspace.runs.job_id = "job-of-the-resumption"
        resumed = train(workspace, recipe, resume_run=stopped.id, tensorboard=False).run
        assert (resumed.id, resumed.state, resumed.job) == (stopped.id, "finished", "job-of-the-resumption")
        assert not is_resumable(resumed)
        text = read_log(resumed)
        assert text.count("Training ships on harbour@1: ") == 2
        assert "Stopped after 1 steps" in text
        assert "Finished (epochs)" in text
        progress = read_progress(resumed.folder)
        assert [point.step for point in progress.points] == list(range(1, progress.steps + 1))
        (newer.folder / CHECKPOINT_FILE).unlink()
        with pytest.raises(NotFoundError, match="first checkpoint"):
            train(workspace, recipe, resume_run=newer.id)
        running = workspace.runs.start("train", "ships", {}, ["harbour@1"])
        with pytest.raises(ConflictError, match="is running"):
            train(workspace, recipe, resume_run=running.id)
