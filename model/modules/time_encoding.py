"""Time encoding phi."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SLOWEST, FASTEST = 0.1, 4.0
"""Frequencies over log time, radians per e-fold: a year is under a third of the slowest wave, and the fastest one
tells gaps apart that differ by a factor of about two."""


class TimeEncoding(nn.Module):
    """phi(x) = [cos(w_k x'), sin(w_k x')]_k / sqrt(d_T / 2),  x' = log1p(x / tau),  tau = 1 s, w fixed geometric.

    Gaps in seconds (...,) -> (..., d_T), vectors of length 1. Nothing is learned.
    """

    frequencies: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim % 2:
            raise ValueError(f"time_dim {dim} must be even: it holds a cosine and a sine of each frequency")
        half = dim // 2
        steps = torch.arange(half) / max(half - 1, 1)
        self.register_buffer("frequencies", SLOWEST * (FASTEST / SLOWEST) ** steps, persistent=False)
        self._scale = half**-0.5

    def forward(self, gap: Tensor) -> Tensor:
        angle = torch.log1p(gap).unsqueeze(-1) * self.frequencies  # (..., d_T / 2)
        return torch.cat([angle.cos(), angle.sin()], dim=-1).mul(self._scale)
