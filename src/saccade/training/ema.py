"""Exponential moving average of the weights of a model."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from saccade.models.factory import VisionModel

_WARMUP_POWER = 2 / 3


class ModelEma(nn.Module):
    """A copy of a model whose parameters and buffers follow the model's by an exponential moving average.

    In the first steps the decay is lower, so that the average soon forgets the initial weights.

    Source: ``ModelEmaV3`` of timm with ``use_warmup`` (Wightman, 2019; the warm-up by Crowson). timm itself is not
    imported: it imports torchvision and the compiler of torch, which takes twice as long as importing torch.

    Args:
        model: The model to follow.
        decay: Upper limit of the decay, from 0 to 1.
    """

    def __init__(self, model: VisionModel, decay: float) -> None:
        super().__init__()
        self.module = deepcopy(model)
        self.module.eval()
        self.decay = decay

    def decay_at(self, step: int) -> float:
        """Return the decay of a step, counted from 1; 0 in the first, which copies the weights."""
        return 0.0 if step <= 1 else min(self.decay, 1 - step**-_WARMUP_POWER)

    @torch.no_grad()
    def update(self, model: VisionModel, step: int) -> None:
        """Move the average towards the weights of the model.

        Args:
            model: The model that was trained.
            step: The number of finished steps, from 1.
        """
        averages: list[Tensor] = []
        weights: list[Tensor] = []
        current = model.state_dict()
        for name, average in self.module.state_dict().items():
            if average.is_floating_point():
                averages.append(average)
                weights.append(current[name])
            else:  # such as the number of batches that a normalisation has seen
                average.copy_(current[name])
        torch._foreach_lerp_(averages, weights, 1 - self.decay_at(step))
