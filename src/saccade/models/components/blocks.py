"""Layers shared by encoders, necks and heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["silu", "relu", "hardswish"]
ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
}


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm, activation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, activation: Activation = "silu"
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
            ACTIVATIONS[activation](),
        )


class Bottleneck(nn.Module):
    """Two 3x3 convolutions, with a skip connection if ``residual``."""

    def __init__(self, channels: int, activation: Activation, residual: bool) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            ConvNormAct(channels, channels, 3, activation=activation),
            ConvNormAct(channels, channels, 3, activation=activation),
        )
        self.residual = residual

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.convs(features)
        return features + out if self.residual else out


class CspBlock(nn.Module):
    """Cross-stage partial block: half of the channels pass ``depth`` bottlenecks, and a 1x1 convolution joins all.

    After CSPNet (Wang et al., 2019), with the output of every bottleneck concatenated as in ELAN (Wang et al., 2022).
    """

    def __init__(
        self, inputs: int, outputs: int, depth: int, activation: Activation = "silu", residual: bool = True
    ) -> None:
        super().__init__()
        half = outputs // 2
        self.split = ConvNormAct(inputs, 2 * half, 1, activation=activation)
        self.bottlenecks = nn.ModuleList(Bottleneck(half, activation, residual) for _ in range(depth))
        self.join = ConvNormAct((2 + depth) * half, outputs, 1, activation=activation)

    def forward(self, features: Tensor) -> Tensor:
        branches = list(self.split(features).chunk(2, dim=1))
        for bottleneck in self.bottlenecks:
            branches.append(bottleneck(branches[-1]))
        joined: Tensor = self.join(torch.cat(branches, dim=1))
        return joined
