"""Repeat consumption: what the user's own history with an item adds to its score."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.modules.standardise import Standardise


class PairNetwork(nn.Module):
    """pair(u, i, t) = W_3 silu(W_2 silu(W_1 [ f_ui || q_pair(h_u) || h_u . v_i ] + b_1) + b_2) + b_3

    f_ui are counts, recency and gaps of the pair, the user's habits and the item's popularity, standardised; only items
    of the user's own history get this addition. It sees h_u . v_i, so that it can take back what similarity says where
    the user's own habits know better.
    """

    def __init__(self, features: int, pair_dim: int, hidden: int) -> None:
        super().__init__()
        self.standardise = Standardise(features)
        self.layers = nn.Sequential(
            nn.Linear(features + pair_dim + 1, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, features: Tensor, query: Tensor) -> Tensor:
        """features (M, F_pair), query (M, q + 1), [ q_pair || h . v ] of the pair -> (M,)."""
        score: Tensor = self.layers(torch.cat([self.standardise(features), query], dim=-1)).squeeze(-1)
        return score
