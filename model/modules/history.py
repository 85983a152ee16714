"""The whole history of a user as a few vectors: item-to-item in its gather form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.modules.layers import mlp
from model.modules.standardise import Standardise

STEEPEST = 8.0
"""Log weights are held within this much of 0, so that their exponentials stay finite."""


class HistoryPooling(nn.Module):
    """p_uk = sum_j a_jk v_j / (1 + sum_j a_jk),  a_j = exp(MLP(f_uj)),  k = 1 .. heads

    The sums go over all pairs (u, j) of the user; f_uj are the features of the pair, standardised: how often, how long
    ago, how regular. W p_u . v_i then scores an item by those the user has had. It starts with equal weights.
    """

    def __init__(self, features: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.standardise = Standardise(features)
        self.layers = mlp(features, hidden, heads, gain=0.1)

    def forward(self, features: Tensor, v: Tensor, row: Tensor, users: Tensor) -> Tensor:
        """features (M, F_pair), v (M, d) and row (M,) of all pairs, users (B, ...) for their number -> (B, heads d)."""
        a = self.layers(self.standardise(features)).clamp(-STEEPEST, STEEPEST).exp()  # (M, heads)
        weighted = a.unsqueeze(-1) * torch.cat([v, torch.ones_like(v[:, :1])], dim=1).unsqueeze(1)  # (M, heads, d + 1)
        total = torch.zeros(users.shape[0], *weighted.shape[1:]).index_add(0, row, weighted)
        return (total[..., :-1] / (1.0 + total[..., -1:])).flatten(1)
