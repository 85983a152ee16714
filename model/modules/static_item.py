"""The static half of an item."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StaticItem(nn.Module):
    """x_i = LN(W_s text_i) + g_i * id_i ;  g_i = 0 for an item that training has not seen

    W_s has no bias: an item without text (the zero vector) gets LN's own bias, the mean item, and its learned id.
    """

    def __init__(self, text_dim: int, item_dim: int) -> None:
        super().__init__()
        self.text = nn.Linear(text_dim, item_dim, bias=False)
        self.norm = nn.LayerNorm(item_dim)

    @torch.no_grad()
    def measure(self, text: Tensor) -> None:
        """Starts W_s as the leading directions in which texts (N, d_t) differ; fewer than d/2 leave the rest."""
        mean = text.mean(dim=0)
        if len(text) < 2 or not mean.any():
            return
        mean = mean / mean.norm()
        others = text - (text @ mean).unsqueeze(1) * mean  # what all have in common would be the same for every item
        directions = torch.linalg.svd(others, full_matrices=False).Vh[: len(self.text.weight)]
        self.text.weight[: len(directions)] = directions * len(directions) ** 0.5

    def forward(self, text: Tensor, item_id: Tensor, has_id: Tensor) -> Tensor:
        """text (B, d_t), item_id (B, d/2), has_id = g (B,) -> (B, d/2)."""
        static: Tensor = self.norm(self.text(text)) + has_id.unsqueeze(-1) * item_id
        return static
