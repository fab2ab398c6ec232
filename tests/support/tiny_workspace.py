"""A small workspace with real pictures and a model trained on them for a moment, made once for many tests."""

from __future__ import annotations

from pathlib import Path

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.app.ml.train import train
from saccade.demo.synthetic import write_dataset
from saccade.store.workspace import Workspace
from saccade.training.recipe import Recipe, parse_recipe

RECIPE = """\
name: ships
data: {dataset: harbour}
model:
  input: {size: [96, 96]}
  encoder: {type: csp, widths: [8, 16, 24, 32], depths: [1, 1, 1, 1]}
  neck: {type: fpn, channels: 16}
  heads:
    objects: {type: dense_boxes, channels: 16}
augment:
  - {type: flip, horizontal: 0.5}
train:
  epochs: 2
  batch_size: 4
  precision: fp32
  workers: 1
"""


def write_pictures(folder: Path, scenes: int = 10) -> Path:
    """One small harbour picture of each scene, as COCO."""
    write_dataset(folder, scenes, 1, size_wh=(320, 320))
    return folder


def recipe(*overrides: str) -> Recipe:
    """The small recipe, changed."""
    import yaml

    return parse_recipe(yaml.safe_load(RECIPE), overrides)


def make_workspace(location: Path, pictures: Path) -> None:
    """A workspace with the dataset ``harbour`` and the model ``ships``."""
    with Workspace.create(location) as workspace:
        shares = {"train": 0.6, "val": 0.2, "test": 0.2}
        import_dataset(workspace, pictures, "harbour", split=SplitRequest(shares))
        train(workspace, recipe(), tensorboard=False)
