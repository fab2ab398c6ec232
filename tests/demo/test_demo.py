"""The demo: chooses size and epochs, says so, and repeats a training with the same choice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from saccade.cli.console import LineProgress
from saccade.demo.demo import run_demo
from saccade.demo.plan import MAX_EPOCHS, MIN_EPOCHS
from saccade.models.artifact import WEIGHTS_FILE
from saccade.store.workspace import Workspace
from saccade.training.recipe import Recipe, load_recipe


def run(folder: Path, epochs: int | None = None) -> tuple[str, Recipe, bytes]:
    """Run the demo; return its log, its recipe and the weights."""
    torch.set_num_threads(1)
    lines: list[str] = []
    run_demo(folder, scenes=10, images=1, epochs=epochs, size=64, log=lines.append)
    with Workspace.open(folder) as workspace:
        weights = workspace.models.open("ships").read_file(WEIGHTS_FILE)
    return "\n".join(lines), load_recipe(folder / "ships.yaml"), weights


@pytest.mark.slow
def test_the_choice_is_told_and_can_be_repeated(tmp_path: Path) -> None:
    log, recipe, weights = run(tmp_path / "measured")
    assert recipe.model.input.size == (64, 64)
    assert MIN_EPOCHS <= recipe.train.epochs <= MAX_EPOCHS
    told = re.search(r"will take about .*64 x 64 pixels.*--size 64 --epochs (\d+)", log)
    assert told is not None
    assert int(told[1]) == recipe.train.epochs
    log, repeated, repeated_weights = run(tmp_path / "fixed", recipe.train.epochs)
    assert "will take" not in log
    assert repeated == recipe
    assert repeated_weights == weights


def test_progress_without_a_terminal_is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress(interval=0)
    progress.start("Training", 1200)
    progress.advance(1000, "epoch 1/2")
    progress.finish()
    progress.start("Reading")
    progress.advance()
    rare = LineProgress(interval=1000)
    rare.start("Training")
    rare.advance()
    assert capsys.readouterr().err == "      Training 1,000/1,200  epoch 1/2\n      Reading 1\n"
