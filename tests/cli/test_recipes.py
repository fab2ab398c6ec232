"""``saccade recipes``: list, show and copy the example recipes, and create a recipe for a dataset."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.command import Command

from saccade.models.factory import build_model
from saccade.training.example_recipes import list_example_recipes
from saccade.training.recipe import load_recipe


def test_every_example_can_be_copied_and_builds_a_model(command: Command, tmp_path: Path) -> None:
    listed = command.json("recipes", "list")
    assert [row["name"] for row in listed] == [recipe.name for recipe in list_example_recipes()]
    assert {"blood-cells", "classifier", "ships"} <= {row["name"] for row in listed}
    for row in listed:
        file = tmp_path / "copies" / f"{row['name']}.yaml"
        assert command.json("recipes", "copy", row["name"], file) == {"file": str(file)}
        shown = command("recipes", "show", row["name"])
        assert (shown.code, shown.out) == (0, file.read_text("utf-8"))
        recipe = load_recipe(file)
        assert recipe.description == row["description"]
        assert build_model(recipe.model, dict.fromkeys(recipe.model.heads, 3)).heads


def test_a_copy_replaces_a_file_only_if_told_so(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copied = command("recipes", "copy", "blood-cells")
    assert copied.text == "Created blood-cells.yaml. Train with it: saccade train blood-cells.yaml"
    file = tmp_path / "blood-cells.yaml"
    file.write_text("mine")
    failed = command.fails("recipes", "copy", "blood-cells", code="conflict")
    assert "--overwrite" in failed.text
    assert file.read_text() == "mine"
    command.json("recipes", "copy", "blood-cells", "--overwrite", "--dataset", "other@gold")
    assert load_recipe(file).data.dataset == "other@gold"


def test_misspelt_examples_are_corrected(command: Command) -> None:
    assert "Did you mean blood-cells?" in command.fails("recipes", "copy", "blood-cell", code="not-found").text


def test_a_recipe_for_a_dataset(trained_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written = trained_command.json("recipes", "suggest", "harbour")
    recipe = load_recipe(tmp_path / written["file"])
    assert (written["file"], recipe.data.dataset) == (f"{recipe.name}.yaml", "harbour")
    assert trained_command("train", written["file"], "--check").code == 0
    assert "--overwrite" in trained_command.fails("recipes", "suggest", "harbour", code="conflict").text
