"""The small network that several equations call MLP."""

from __future__ import annotations

import torch
from torch import nn


def mlp(width_in: int, hidden: int, width_out: int, dropout: float = 0.0, gain: float = 1.0) -> nn.Sequential:
    """MLP(x) = W_2 dropout(silu(W_1 x + b_1)) + b_2, (..., width_in) -> (..., width_out).

    gain: factor on the initial W_2; a small one starts the network near its bias.
    """
    last = nn.Linear(hidden, width_out)
    with torch.no_grad():
        last.weight.mul_(gain)
    return nn.Sequential(nn.Linear(width_in, hidden), nn.SiLU(), nn.Dropout(dropout), last)
