"""The moving average of weights, with timm's as the oracle; and what a training does not import."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import torch
from timm.utils.model_ema import ModelEmaV3
from torch import nn

from saccade.training.ema import ModelEma


def test_average_equals_timm() -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    average, expected = ModelEma(model, 0.9), ModelEmaV3(model, decay=0.9, use_warmup=True)
    for step in range(1, 60):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        model(torch.randn(2, 3, 8, 8))
        average.update(model, step)
        expected.update(model, step=step)
        for name, tensor in expected.state_dict().items():
            assert average.state_dict()[name].equal(tensor), (name, step)


def test_training_starts_without_libraries_that_take_longer_than_torch() -> None:
    """The small detector needs neither timm nor torchvision, whose imports take seconds in each process."""
    code = (
        "import sys; import saccade.app.ml.train, saccade.app.ml.predict, saccade.app.ml.evaluate;"
        "import torch; from saccade.models.nms import batched_nms;"
        "batched_nms(torch.rand(1, 4), torch.rand(1), torch.zeros(1), 0.5);"
        "print([name for name in ('timm', 'torchvision', 'torch._dynamo', 'transformers') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
