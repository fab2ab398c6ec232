"""A pipeline on real images: after one image is relabelled, only what depends on it runs again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support.command import Command
from tests.support.tiny_workspace import RECIPE

PIPELINE = """
name: cells
vars: {source: null}
steps:
  cells: {use: import, with: {source: "${source}", dataset: cells}}
  few: {use: sample, from: cells, with: {count: 10}}
  tiles: {use: tile, from: few, with: {size: 320, overlap: 40}}
  shares: {use: split, from: tiles, with: {shares: {train: 0.6, val: 0.2, test: 0.2}}}
  pixels: {use: pixel_statistics, from: shares}
  model: {use: train, from: {data: shares, pixels: pixels}, with: {recipe: recipe.yaml, set: ["train.epochs=1"]}}
  found: {use: predict, from: {data: shares, model: model}, with: {min_score: 0.05}}
  whole: {use: untile, from: {data: found, whole: few}, with: {objects: predicted}}
  measured: {use: evaluate, from: found, with: {split: test}}
  shown: {use: render, from: whole}
"""


def run(command: Command, file: Path, source: Path) -> dict[str, dict[str, Any]]:
    """Run the pipeline and return its steps by name."""
    ran = command("run", file, "--var", f"source={source}", "--json")
    assert ran.code == 0, ran.out + ran.err
    events = [json.loads(line) for line in ran.out.splitlines()]
    return {event["step"]: event for event in events if event["event"] == "step"}


@pytest.mark.slow
def test_pipeline_on_blood_cells(command: Command, shared_data: Path, tmp_path: Path) -> None:
    source = shutil.copytree(shared_data / "bccd", tmp_path / "bccd")
    file = tmp_path / "cells.yaml"
    file.write_text(PIPELINE)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    first = run(command, file, source)
    assert {step["action"] for step in first.values()} == {"run"}
    assert first["tiles"]["items"] == 10 * 6
    assert first["measured"]["value"]["items"] > 0
    assert 0 <= first["measured"]["value"]["ap50"] <= 1
    assert first["shown"]["items"] == 10
    measured, model = first["pixels"]["value"], command.json("models", "show", "ships")
    assert model["manifest"]["model"]["input"]["mean"] == pytest.approx(measured["mean"])
    assert model["manifest"]["model"]["input"]["std"] == pytest.approx(measured["std"])
    assert measured["images"] < 10 * 6, "of the training split alone"
    assert {step["action"] for step in run(command, file, source).values()} == {"skip"}

    tiles = command.json("datasets", "query", "ships-training", "split == 'train' and len(objects) > 0")
    key = (tiles["keys"] if isinstance(tiles, dict) else tiles)[0]
    image = key.rsplit("_", 2)[0]
    labels = source / "Annotations" / f"{image}.xml"
    text = labels.read_text()
    labels.write_text(text.replace("<name>RBC</name>", "<name>WBC</name>"))
    assert labels.read_text() != text

    again = run(command, file, source)
    assert {name: step["action"] for name, step in again.items()} == {
        "cells": "run",
        "few": "skip",
        "tiles": "partial",
        "shares": "skip",
        "pixels": "skip",
        "model": "run",
        "found": "run",
        "whole": again["whole"]["action"],
        "measured": again["measured"]["action"],
        "shown": again["shown"]["action"],
    }
    assert again["tiles"]["computed"] == 1
    assert again["found"]["computed"] == 10 * 6, "there is another model"
    assert again["whole"]["computed"] <= 10
    assert again["tiles"]["reasons"] == ["input 'data': column objects changed"]
    assert "input 'data': column objects changed" in again["model"]["reasons"]
    assert again["found"]["reasons"] == ["input 'model': the value changed"]
    assert [version["model"] for version in command.json("models", "list")] == ["ships@2"]
    assert command.json("datasets", "log", "cells")[0]["changed"] == 1
