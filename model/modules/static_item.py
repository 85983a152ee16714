"""The static part of an item."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StaticItem(nn.Module):
    """x_i = LN(W_s text_i)

    W_s has no bias: an item without text (the zero vector) gets LN's own bias, the mean item. Nothing is learned of a
    single item: what distinguishes items of one text is memory.
    """

    def __init__(self, text_dim: int, static_dim: int) -> None:
        super().__init__()
        self.text = nn.Linear(text_dim, static_dim, bias=False)
        self.norm = nn.LayerNorm(static_dim)

    @torch.no_grad()
    def measure(self, text: Tensor) -> None:
        """Starts W_s as the leading directions in which texts (N, d_t) differ; fewer than s leave the rest."""
        mean = text.mean(dim=0)
        if len(text) < 2 or not mean.any():
            return
        mean = mean / mean.norm()
        others = text - (text @ mean).unsqueeze(1) * mean  # what all have in common would be the same for every item
        directions = torch.linalg.svd(others, full_matrices=False).Vh[: len(self.text.weight)]
        self.text.weight[: len(directions)] = directions * len(directions) ** 0.5

    def forward(self, text: Tensor) -> Tensor:
        """text (B, d_t) -> (B, s)."""
        static: Tensor = self.norm(self.text(text))
        return static
