"""The optimiser of a recipe."""

from __future__ import annotations

import torch
from torch import nn

from saccade.core.errors import RecipeError
from saccade.training.recipe import OptimizerSpec


def build_optimizer(spec: OptimizerSpec, model: nn.Module) -> torch.optim.Optimizer:
    """An optimiser over all parameters; biases and normalisation (one-dimensional ones) are not decayed."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    try:
        optimizer: torch.optim.Optimizer = getattr(torch.optim, spec.type)(groups, lr=spec.lr, **spec.args)
    except TypeError as error:
        raise RecipeError(f"'train.optimizer.args' does not fit {spec.type}: {error}.") from None
    return optimizer
