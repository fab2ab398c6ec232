"""Builds the optimiser of a recipe."""

from __future__ import annotations

import torch
from torch import nn

from saccade.core.errors import RecipeError
from saccade.training.recipe import OptimizerSpec


def build_optimizer(spec: OptimizerSpec, model: nn.Module) -> torch.optim.Optimizer:
    """Build an optimiser over all trainable parameters, without weight decay on biases and normalisation.

    Raises:
        RecipeError: The optimiser does not take ``spec.args``.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # Biases and parameters of normalisation are the ones with a single dimension.
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": spec.weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    try:
        optimizer: torch.optim.Optimizer = getattr(torch.optim, spec.type)(groups, lr=spec.lr, **spec.args)
    except TypeError as error:
        raise RecipeError(f"'train.optimizer.args' does not fit {spec.type}: {error}.") from None
    return optimizer
