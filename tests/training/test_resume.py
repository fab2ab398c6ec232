"""Resuming: extended, finished and killed trainings, damaged checkpoints; EMA, micro-batches, files of a training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.support.shape_models import classifier, detector, reader
from tests.support.tiny_workspace import recipe as ships

from saccade.app.ml.train import train
from saccade.core.errors import RecipeError, SaccadeError
from saccade.core.schema import ImageRef
from saccade.store.workspace import Workspace
from saccade.training import loader
from saccade.training.hooks import Hook, MetricsLogHook
from saccade.training.job import TrainingJob, build_training
from saccade.training.loop import FitResult
from saccade.training.recipe import Recipe
from saccade.training.run_files import BEST_FILE, CHECKPOINT_FILE, LAST_FILE

Tensors = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def run(recipe: Recipe, folder: Path, *hooks: Hook, resume: bool = False, train: int = 8) -> FitResult:
    folder.mkdir(exist_ok=True)
    return build_training(recipe, reader(train=train)).run(folder, inputs=["shapes@1"], hooks=hooks, resume=resume)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_finished_training_can_be_extended(tmp_path: Path) -> None:
    """With a constant learning rate it equals a training that was this long from the start."""
    fixed = ("train.schedule={type: constant, warmup: 0}", "train.checkpoint_every=4")
    uninterrupted = run(detector("train.epochs=4", *fixed), tmp_path / "uninterrupted")
    assert run(detector("train.epochs=1", *fixed), tmp_path / "extended").state.finished
    extended = run(detector("train.epochs=4", *fixed), tmp_path / "extended", resume=True)
    assert (extended.reason, extended.state.step) == ("epochs", uninterrupted.state.step) == ("epochs", 8)
    for name in (LAST_FILE, BEST_FILE):
        assert digest(tmp_path / "extended" / name) == digest(tmp_path / "uninterrupted" / name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "longer", "reason"),
    [
        ("train.early_stop={patience: 1, min_delta: 9}", "train.early_stop=null", "early_stop"),
        ("train.max_minutes=0.0001", "train.max_minutes=null", "max_minutes"),
        ("train.epochs=2", "train.epochs=3", "epochs"),
    ],
)
def test_a_finished_training_resumes_only_if_extended(setting: str, longer: str, reason: str, tmp_path: Path) -> None:
    """A process killed after the last checkpoint, before its result was registered, ends with the same weights."""
    first = run(detector(setting), tmp_path)
    before = digest(tmp_path / LAST_FILE)
    (tmp_path / LAST_FILE).unlink()
    resumed = run(detector(setting), tmp_path, resume=True)
    assert (resumed.reason, resumed.state) == (reason, first.state)
    assert digest(tmp_path / LAST_FILE) == before
    assert run(detector(longer), tmp_path, resume=True).state.step > first.state.step


class Killed(Exception):
    """Ends a training as a kill would: immediately, without a checkpoint."""


class Killer(Hook):
    def __init__(self, at: int) -> None:
        self.at = at

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        if step == self.at:
            raise Killed


@pytest.mark.slow
def test_repeated_epochs_are_logged_once(tmp_path: Path) -> None:
    recipe = detector("train.epochs=4", "train.checkpoint_every=2")
    with pytest.raises(Killed):
        run(recipe, tmp_path, MetricsLogHook(tmp_path), Killer(at=7))
    log = tmp_path / "metrics.jsonl"
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [1, 2, 3]
    with log.open("a") as file:
        file.write('{"epoch": 4, "st')
    run(recipe, tmp_path, MetricsLogHook(tmp_path), resume=True)
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [1, 2, 3, 4]


def rewrite_checkpoint(path: Path, change: Callable[[Tensors, dict[str, str]], None]) -> None:
    """Change the tensors or the header of a checkpoint."""
    with safe_open(path, framework="pt") as file:
        header = dict(file.metadata())
    tensors = load_file(path)
    change(tensors, header)
    save_file(tensors, path, metadata=header)


def missing_header(tensors: Tensors, header: dict[str, str]) -> None:
    header.clear()


def invalid_json(tensors: Tensors, header: dict[str, str]) -> None:
    header["state"] = "{"


def unknown_state(tensors: Tensors, header: dict[str, str]) -> None:
    header["state"] = json.dumps({"pace": 3})


def missing_tensor(tensors: Tensors, header: dict[str, str]) -> None:
    del tensors[min(name for name in tensors if name.startswith("model/"))]


@pytest.mark.parametrize("change", [missing_header, invalid_json, unknown_state, missing_tensor])
def test_an_invalid_checkpoint_is_refused(change: Callable[[Tensors, dict[str, str]], None], tmp_path: Path) -> None:
    run(classifier("train.epochs=1"), tmp_path)
    rewrite_checkpoint(tmp_path / CHECKPOINT_FILE, change)
    with pytest.raises(SaccadeError, match=r"(?s)checkpoint.*without --resume"):
        run(classifier("train.epochs=2"), tmp_path, resume=True)


@pytest.mark.slow
def test_runs_with_unknown_settings_are_skipped(workspace_copy: Path) -> None:
    with Workspace.open(workspace_copy) as workspace:
        unreadable = workspace.runs.start("train", "ships", {"name": "ships", "no_longer": 1}, ["harbour@1"])
        (unreadable.folder / CHECKPOINT_FILE).write_bytes(b"")
        workspace.runs.finish(unreadable.id, "failed", error="killed")
        (before,) = workspace.models.versions("ships")
        result = train(workspace, ships(), resume=True, tensorboard=False)
        assert result.model is not None
        assert result.model.read_file("weights.safetensors") == before.read_file("weights.safetensors")


def test_resume_of_a_finished_training(workspace_copy: Path) -> None:
    with Workspace.open(workspace_copy) as workspace:
        first = workspace.runs.latest("train", "ships")
        assert first is not None
        again = train(workspace, ships(), resume=True, tensorboard=False)
        assert (again.was_complete, again.run.id) == (True, first.id)
        assert [version.ref for version in workspace.models.versions("ships")] == ["ships@1"]
        assert len(workspace.runs.list("train")) == 1
        with pytest.raises(RecipeError, match=r"has done 2 epochs, and 'train\.epochs' is 1"):
            train(workspace, ships("train.epochs=1"), resume=True, tensorboard=False)
        longer = train(workspace, ships("train.epochs=3"), resume=True, tensorboard=False)
        assert longer.run.inputs == ("harbour@1", "model:ships@1")
        assert longer.model is not None
        assert longer.model.manifest["training"]["parent_run"] == first.id
        # A continued training can be continued, and has nothing left to do.
        assert train(workspace, ships("train.epochs=3"), resume=True, tensorboard=False).run.id == longer.run.id
        workspace.models.remove("ships@2")
        assert not train(workspace, ships("train.epochs=3"), resume=True, tensorboard=False).was_complete


def test_the_folder_has_only_safetensors_files(tmp_path: Path) -> None:
    run(classifier("train.epochs=1"), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([BEST_FILE, CHECKPOINT_FILE, LAST_FILE])
    for path in tmp_path.iterdir():
        assert all(value.numel() for value in load_file(path).values())


class Recorder(Hook):
    """Records all weights after each step."""

    def __init__(self, job: TrainingJob) -> None:
        self.model = job.model
        self.states = [self._state()]

    def _state(self) -> Tensors:
        return {name: value.clone() for name, value in self.model.state_dict().items()}

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        self.states.append(self._state())


@pytest.mark.slow
def test_ema_weights_follow_their_formula(tmp_path: Path) -> None:
    """The EMA after step s is d * previous + (1 - d) * weights, with d = min(decay, 1 - s^(-2/3))."""
    job = build_training(detector("train.ema=0.6", "train.epochs=4"), reader())
    recorder = Recorder(job)
    job.run(tmp_path, inputs=["shapes@1"], hooks=[recorder])
    expected = {name: value for name, value in recorder.states[0].items() if value.is_floating_point()}
    for step, weights in enumerate(recorder.states[1:], 1):
        decay = min(0.6, 1 - step ** (-2 / 3))
        expected = {name: decay * value + (1 - decay) * weights[name] for name, value in expected.items()}
    actual = load_file(tmp_path / LAST_FILE)
    torch.testing.assert_close({name: actual[name] for name in expected}, expected, atol=1e-6, rtol=1e-5)


def test_the_best_weights_are_those_of_the_best_validation(tmp_path: Path) -> None:
    job = build_training(classifier("train.epochs=5", "train.optimizer.lr=0.02"), reader())
    state = job.run(tmp_path, inputs=["shapes@1"]).state
    scores = {record["step"]: next(iter(record["metrics"].values())) for record in state.history}
    assert state.best == max(scores.values()) == scores[state.best_step]
    job.model.load_state_dict(load_file(tmp_path / BEST_FILE))
    metrics = job.validate(job.model, lambda: False)
    assert metrics is not None
    assert next(iter(metrics.values())) == pytest.approx(state.best)


def test_equal_accuracies_are_decided_by_the_log_loss(tmp_path: Path) -> None:
    # Without objects all labels are the same, so that the accuracy does not change while the loss falls.
    job = build_training(classifier("train.epochs=4", "train.optimizer.lr=0.01"), reader(objects=0))
    state = job.run(tmp_path, inputs=["shapes@1"]).state
    metrics = {record["step"]: record["metrics"] for record in state.history}
    tied = {step: values["log_loss"] for step, values in metrics.items() if values["accuracy"] == state.best}
    assert min(tied, key=tied.__getitem__) > min(tied)
    assert tied[state.best_step] == min(tied.values())
    job.model.load_state_dict(load_file(tmp_path / BEST_FILE))
    best = job.validate(job.model, lambda: False)
    assert best is not None
    assert best["log_loss"] == pytest.approx(min(tied.values()))


def test_accumulated_gradients_equal_those_of_the_batch(tmp_path: Path) -> None:
    """Four copies of one image in micro-batches of 2 have the gradient of all four together."""
    settings = (
        "augment=[]",
        "train.epochs=1",
        "train.ema=null",
        "train.clip_norm=null",
        "model.heads.label.dropout=0",
        "train.optimizer={type: SGD, lr: 0.1}",
        "train.schedule.warmup=0",
    )
    weights_by_run: list[Tensors] = []
    for accumulate in (1, 3):
        run(classifier(f"train.accumulate={accumulate}", *settings), tmp_path / str(accumulate), train=1)
        weights = load_file(tmp_path / str(accumulate) / LAST_FILE)
        weights_by_run.append(
            {name: value for name, value in weights.items() if value.is_floating_point() and "running" not in name}
        )
    torch.testing.assert_close(*weights_by_run, atol=1e-5, rtol=1e-4)


def test_images_beyond_the_cache_are_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[ImageRef] = []
    source = reader()
    read = source.read_media

    def counted(ref: ImageRef) -> bytes:
        reads.append(ref)
        return read(ref)

    monkeypatch.setattr(source, "read_media", counted)
    cached = build_training(classifier(), source).loader
    expected = [cached.batch(step).images for step in range(4)]
    assert len(reads) == 8
    monkeypatch.setattr(loader, "MAX_CACHE_BYTES", 1)
    uncached = build_training(classifier(), source).loader
    assert all(torch.equal(uncached.batch(step).images, images) for step, images in enumerate(expected))
    assert len(reads) == 8 + 15, "the first image is cached, the others are read in both epochs"


@pytest.mark.parametrize(
    "recipe", [detector("model.input.size=[101, 77]"), classifier("model.input.size=[51, 45]")], ids=lambda r: r.name
)
def test_a_training_with_an_odd_input_size_resumes_exactly(recipe: Recipe, tmp_path: Path) -> None:
    whole = run(recipe, tmp_path / "whole")
    with pytest.raises(Killed):
        run(recipe, tmp_path / "killed", Killer(at=3))
    resumed = run(recipe, tmp_path / "killed", resume=True)
    assert resumed.state.step == whole.state.step == 6
    assert digest(tmp_path / "killed" / LAST_FILE) == digest(tmp_path / "whole" / LAST_FILE)
