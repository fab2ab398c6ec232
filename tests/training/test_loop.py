"""The training loop: exact resume, saved weights, stop reasons, hooks, schedules, checks."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.shape_models import classifier, detector, reader
from tests.support.tiny_workspace import RECIPE

from saccade.core.errors import SaccadeError
from saccade.store.workspace import Workspace
from saccade.training.checks import run_checks
from saccade.training.hooks import Hook, LineHook, MetricsLogHook, TensorBoardHook
from saccade.training.job import build_training
from saccade.training.loop import FitResult
from saccade.training.optimizer import build_optimizer
from saccade.training.recipe import OptimizerSpec, Recipe, ScheduleSpec
from saccade.training.run_files import BEST_FILE, CHECKPOINT_FILE, LAST_FILE
from saccade.training.schedule import learning_rate, momentum


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def run(
    recipe: Recipe, folder: Path, *, stop_at: int | None = None, resume: bool = False, hooks: Any = ()
) -> FitResult:
    """Train on drawn shapes; stop after ``stop_at`` steps, as Ctrl-C would."""
    folder.mkdir(exist_ok=True)
    job = build_training(recipe, reader())
    counter = Counter()

    def stop() -> bool:
        return stop_at is not None and counter.steps >= stop_at

    return job.run(folder, inputs=["shapes@1"], hooks=[counter, *hooks], resume=resume, should_stop=stop)


class Counter(Hook):
    def __init__(self) -> None:
        self.steps = 0

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        self.steps += 1


def history_without_times(result: FitResult) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name != "seconds"} for record in result.state.history]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("make", [detector, classifier])
@pytest.mark.parametrize(
    "settings", [(), ("train.optimizer.type=SGD", "train.schedule.type=one_cycle", "train.ema=null")]
)
def test_a_resumed_training_is_bit_identical(make: Any, settings: tuple[str, ...], tmp_path: Path) -> None:
    recipe = make(*settings)
    uninterrupted = run(recipe, tmp_path / "uninterrupted")
    assert (uninterrupted.reason, uninterrupted.state.step) == ("epochs", 6)
    for stop_at in (1, 3):
        folder = tmp_path / f"stopped{stop_at}"
        first = run(recipe, folder, stop_at=stop_at)
        assert (first.reason, first.state.step) == ("stopped", stop_at)
        last = run(recipe, folder, resume=True)
        assert last.state.step == 6
        for name in (LAST_FILE, BEST_FILE):
            assert digest(folder / name) == digest(tmp_path / "uninterrupted" / name)
        assert history_without_times(last) == history_without_times(uninterrupted)


@pytest.mark.slow
def test_the_seed_determines_the_weights(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(detector(f"train.seed={seed}", "train.epochs=1"), tmp_path / name)
    assert (
        digest(tmp_path / "a" / LAST_FILE) == digest(tmp_path / "b" / LAST_FILE) != digest(tmp_path / "c" / LAST_FILE)
    )


def test_gradient_accumulation(tmp_path: Path) -> None:
    outcome = run(detector("train.accumulate=2", "train.epochs=1"), tmp_path)
    assert all(np.isfinite(value) for value in outcome.state.history[0]["losses"].values())


@pytest.mark.parametrize("precision", ["fp32", "bf16", "auto"])
def test_precisions(precision: str, tmp_path: Path) -> None:
    outcome = run(detector(f"train.precision={precision}", "train.epochs=1"), tmp_path)
    assert all(np.isfinite(value) for value in outcome.state.history[0]["losses"].values())


@pytest.mark.slow
def test_the_loss_falls(tmp_path: Path) -> None:
    outcome = run(
        detector("augment=[]", "train.epochs=25", "train.optimizer.lr=0.01", "train.validate_every=25"), tmp_path
    )
    totals = [sum(record["losses"].values()) for record in outcome.state.history]
    assert totals[-1] < 0.6 * totals[0]


@pytest.mark.slow
def test_early_stop(tmp_path: Path) -> None:
    outcome = run(
        detector("train.epochs=40", "train.optimizer.lr=0.000001", "train.early_stop={patience: 2, min_delta: 0.5}"),
        tmp_path,
    )
    assert outcome.reason == "early_stop"
    assert outcome.state.history[-1]["epoch"] == 3


class Slow(Hook):
    """Makes each step take a while, so that times can be compared with it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.times: list[float] = []

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        time.sleep(self.seconds)
        self.times.append(time.monotonic())


def test_max_minutes_holds_within_one_step(tmp_path: Path) -> None:
    """The first epoch would take eight seconds."""
    folder = tmp_path / "run"
    folder.mkdir()
    job = build_training(detector("train.epochs=40", "train.batch_size=1", "train.max_minutes=0.04"), reader())
    slow = Slow(1.0)
    outcome = job.run(folder, inputs=["shapes@1"], hooks=[slow])
    assert outcome.reason == "max_minutes"
    assert outcome.state.step < 8
    assert outcome.state.finished
    assert (folder / LAST_FILE).exists()
    # Neither a step nor a validation was begun after the limit.
    assert slow.times[-1] - slow.times[0] < 0.04 * 60


def test_max_minutes_keeps_time_for_the_last_validation(tmp_path: Path) -> None:
    job = build_training(detector("train.epochs=400", "train.batch_size=1", "train.max_minutes=0.1"), reader())
    slow = Slow(0.3)
    outcome = job.run(tmp_path, inputs=["shapes@1"], hooks=[slow])
    assert outcome.reason == "max_minutes"
    assert "metrics" in outcome.state.history[-1]
    assert outcome.state.history[-1]["step"] == outcome.state.step
    assert outcome.state.seconds < 0.1 * 60 + 0.3


class Interrupter(Hook):
    """Raises KeyboardInterrupt, as the progress of a cancelled job does."""

    def __init__(self, at_step: int | None = None, at_image: int | None = None) -> None:
        self.at_step = at_step
        self.at_image = at_image
        self.images = 0

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        if step == self.at_step:
            raise KeyboardInterrupt

    def on_validation_image(self) -> None:
        self.images += 1
        if self.images == self.at_image:
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("interrupter", [{"at_step": 3}, {"at_step": 4}, {"at_image": 6}])
def test_a_cancelled_training_keeps_its_weights(interrupter: dict[str, int], tmp_path: Path) -> None:
    """Also in the middle of a validation, which a resumed training repeats."""
    uninterrupted = run(detector(), tmp_path / "uninterrupted")
    folder = tmp_path / "cancelled"
    outcome = run(detector(), folder, hooks=[Interrupter(**interrupter)])
    assert outcome.reason == "stopped"
    assert (folder / BEST_FILE).exists()
    resumed = run(detector(), folder, resume=True)
    assert (resumed.reason, resumed.state.step) == ("epochs", 6)
    assert history_without_times(resumed) == history_without_times(uninterrupted)
    for name in (LAST_FILE, BEST_FILE):
        assert digest(folder / name) == digest(tmp_path / "uninterrupted" / name)


def test_lines_of_a_training(tmp_path: Path) -> None:
    """A line for each epoch, and one at least for each interval."""
    recipe = detector("train.epochs=2", "train.max_minutes=30")
    lines: list[str] = []
    run(recipe, tmp_path / "epochs", hooks=[LineHook(lines.append, recipe.train)])
    assert [line.split("  ")[:2] for line in lines] == [["step 2/4", "epoch 1/2"], ["step 4/4", "epoch 2/2"]]
    assert all("loss " in line and "ap " in line and line.endswith(" left") for line in lines)
    lines.clear()
    run(recipe, tmp_path / "always", hooks=[LineHook(lines.append, recipe.train, interval=0)])
    assert sum("validating" in line for line in lines) == 2 * 4
    assert [line.split("  ")[0] for line in lines if "validating" not in line] == [
        "step 1/4",
        "step 2/4",
        "step 2/4",
        "step 3/4",
        "step 4/4",
        "step 4/4",
    ]


@pytest.mark.slow
def test_another_training_does_not_resume_from_a_checkpoint(tmp_path: Path) -> None:
    run(detector(), tmp_path, stop_at=1)
    with pytest.raises(SaccadeError, match="another recipe"):
        run(detector("train.optimizer.lr=0.5"), tmp_path, resume=True)
    assert run(detector("train.epochs=4", "train.workers=3"), tmp_path, resume=True).state.step == 8


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run(detector(), tmp_path, stop_at=1)
    (tmp_path / CHECKPOINT_FILE).write_bytes((tmp_path / CHECKPOINT_FILE).read_bytes()[:100])
    with pytest.raises(SaccadeError, match="cannot be read"):
        run(detector(), tmp_path, resume=True)


def test_a_non_finite_loss_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SaccadeError, match=r"train\.optimizer\.lr"):
        run(detector("train.optimizer.lr=1e30", "train.optimizer.type=SGD", "train.schedule.warmup=0"), tmp_path)


def test_hooks_are_called_in_order(tmp_path: Path) -> None:
    calls: list[str] = []

    class RecordingHook(Hook):
        def on_start(self, step: int, total: int) -> None:
            calls.append(f"start {step}/{total}")

        def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
            calls.append(f"step {step}")

        def on_epoch(self, epoch: int, step: int, record: Mapping[str, Any]) -> None:
            calls.append(f"epoch {epoch}")

        def on_end(self) -> None:
            calls.append("end")

    run(
        detector("train.epochs=2"),
        tmp_path,
        hooks=[RecordingHook(), MetricsLogHook(tmp_path), TensorBoardHook(tmp_path, every=1)],
    )
    assert calls == ["start 0/4", "step 1", "step 2", "epoch 1", "step 3", "step 4", "epoch 2", "end"]
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_on_end_is_called_after_an_error(tmp_path: Path) -> None:
    ended = []

    class Faulty(Hook):
        def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
            raise ZeroDivisionError

        def on_end(self) -> None:
            ended.append(True)

    with pytest.raises(ZeroDivisionError):
        run(detector(), tmp_path, hooks=[Faulty()])
    assert ended == [True]


@pytest.mark.parametrize("kind", ["cosine", "one_cycle", "constant"])
def test_learning_rates(kind: str) -> None:
    spec = ScheduleSpec.model_validate({"type": kind, "warmup": 0.1, "final": 0.05})
    rates = [learning_rate(spec, 0.01, step, 200) for step in range(200)]
    top = int(np.argmax(rates))
    assert 15 <= top <= 25
    assert max(rates) == pytest.approx(0.01, rel=0.01)
    assert all(before <= after for before, after in pairwise(rates[: top + 1]))
    assert all(before >= after for before, after in pairwise(rates[top:]))
    assert rates[-1] == pytest.approx(0.01 if kind == "constant" else 0.0005, rel=0.05)
    assert (momentum(spec, 0.9, top, 200) < momentum(spec, 0.9, 0, 200)) == (kind == "one_cycle")


def test_biases_and_normalisation_are_not_decayed() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    decayed, free = build_optimizer(OptimizerSpec(weight_decay=0.1), model).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in (decayed, free)] == [(0.1, 1), (0.0, 3)]


@pytest.mark.slow
def test_checks_pass_for_a_model_that_can_learn(tmp_path: Path) -> None:
    job = build_training(detector("augment=[]", "train.optimizer.lr=0.02"), reader(train=4))
    checks = run_checks(job, tmp_path / "batch.jpg")
    assert [check.name for check in checks if not check.passed] == []
    assert (tmp_path / "batch.jpg").stat().st_size > 1000


@pytest.mark.slow
def test_interrupt_saves_the_weights(workspace_copy: Path, tmp_path: Path) -> None:
    """SIGINT to a real process; the training can be resumed."""
    recipe = tmp_path / "ships.yaml"
    recipe.write_text(RECIPE.replace("name: ships", "name: long").replace("epochs: 2", "epochs: 400"))
    command = [sys.executable, "-m", "saccade", "train", str(recipe), "--workspace", str(workspace_copy), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    runs = workspace_copy / ".saccade" / "runs"
    deadline = time.monotonic() + 120
    while not list(runs.glob("*/metrics.jsonl")) or len(lines_of(runs)) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert (result["state"], result["reason"], result["model"]) == ("stopped", "stopped", "long@1")
    with Workspace.open(workspace_copy) as workspace:
        (run_record,) = workspace.runs.list(name="long")
        assert (run_record.state, (run_record.folder / CHECKPOINT_FILE).exists()) == ("stopped", True)
    done = len(lines_of(runs))
    command[5:5] = ["--resume", "--set", f"train.epochs={done + 2}"]
    result = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert (result["state"], result["model"]) == ("finished", "long@2")
    assert [json.loads(line)["epoch"] for line in lines_of(runs)] == list(range(1, done + 3))


def lines_of(runs: Path) -> list[str]:
    return max((path.read_text().splitlines() for path in runs.glob("*/metrics.jsonl")), key=len)
