"""A training that goes on where an earlier one was killed."""

from __future__ import annotations

import json

import torch
from tests.support.tiny_workspace import recipe

from saccade.app.ml import train
from saccade.core.errors import NotFoundError
from saccade.store.workspace import Workspace

SETTINGS = ("train.epochs=6", "augment=[{type: mosaic}, {type: affine}, {type: color}]", "train.validate_every=2")


def task(location: str, settings: str = "[]") -> None:
    """Train, resuming where there is something to resume."""
    torch.set_num_threads(1)
    wanted = recipe(*SETTINGS, *json.loads(settings))
    with Workspace.open(location) as workspace:
        try:
            train.train(workspace, wanted, resume=True, tensorboard=False)
        except NotFoundError:
            train.train(workspace, wanted, tensorboard=False)
