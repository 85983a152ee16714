"""Profile facets as tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.modules.layers import mlp


class FacetTokens(nn.Module):
    """p^f = none + has_f * gate * MLP(text embedding of facet f), four tokens of width d

    `none` is the learned "no profile" token and `gate` (d,) starts at 0. So while no profile has been trained on, a
    facet changes nothing at all: every token is `none`, the path behind it is trained as it will be served, and
    switching profiles on cannot harm. Training with profiles opens the gate. A share `dropout` of the facets is hidden
    in training, so that serving without some of them, or all, works.
    """

    def __init__(self, facet_dim: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.text = mlp(facet_dim, dim, dim)
        self.none = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.gate = nn.Parameter(torch.zeros(dim))
        self.hide = nn.Dropout(dropout)

    def forward(self, facets: Tensor, has: Tensor) -> Tensor:
        """facets (B, 4, d_f), has (B, 4) -> (B, 4, d)."""
        shown = (self.hide(has) > 0.0).to(facets.dtype).unsqueeze(-1)
        tokens: Tensor = self.none + shown * self.gate * self.text(facets)
        return tokens
