"""The task of the training crash test."""

from __future__ import annotations

import json

import torch
from tests.support.tiny_workspace import recipe

from saccade.app.ml import train
from saccade.core.errors import NotFoundError
from saccade.store.workspace import Workspace

SETTINGS = ("train.epochs=6", "augment=[{type: mosaic}, {type: affine}, {type: color}]", "train.validate_every=2")


def task(location: str, settings: str = "[]") -> None:
    """Resume the interrupted training, or start one."""
    torch.set_num_threads(1)
    training_recipe = recipe(*SETTINGS, *json.loads(settings))
    with Workspace.open(location) as workspace:
        try:
            train.train(workspace, training_recipe, resume=True, tensorboard=False)
        except NotFoundError:
            train.train(workspace, training_recipe, tensorboard=False)
