"""Features brought to mean 0 and spread 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEAST_SPREAD = 0.05
"""Added to the standard deviation: a feature that hardly varies in training must not explode elsewhere."""


class Standardise(nn.Module):
    """f' = (f - mean) / (sigma + 0.05), constants measured once on training data, then part of the weights."""

    mean: Tensor
    spread: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))

    def measure(self, sample: Tensor) -> None:
        """Takes the constants from (M, F) features; fewer than two rows leave them as they are."""
        if len(sample) > 1:
            self.mean.copy_(sample.mean(dim=0))
            self.spread.copy_(sample.std(dim=0) + LEAST_SPREAD)

    def forward(self, features: Tensor) -> Tensor:
        """(..., F) -> (..., F)."""
        return (features - self.mean) / self.spread
