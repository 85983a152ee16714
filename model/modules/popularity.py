"""Popularity in time, as a few dimensions that widen the dot product."""

from __future__ import annotations

from torch import Tensor, nn

from model.modules.standardise import Standardise


class PopularityNetwork(nn.Module):
    """P(i, t) = W_3 silu(W_2 silu(W_1 f + b_1) + b_2), f = decayed counts, trends and age of an item on log
    scales, standardised."""

    def __init__(self, features: int, popularity_dim: int, hidden: int) -> None:
        super().__init__()
        self.standardise = Standardise(features)
        self.layers = nn.Sequential(
            nn.Linear(features, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, popularity_dim, bias=False),  # a constant for all items would cancel in the softmax
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, F_pop) -> (N, P)."""
        widening: Tensor = self.layers(self.standardise(features))
        return widening
