"""Profile fusion: the temporal embedding h that scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.modules.attention import Attention
from model.modules.distillation import Distillation
from model.modules.layers import mlp


class ProfileFusion(nn.Module):
    """h_u = MLP[ z^G_u || MHA(q = z^G_u, K = V = the 4 distilled facet tokens) ]

    The last layer starts small, so that counts lead at first and h earns what it adds. scale: what h takes of z^G at
    first.
    """

    def __init__(self, dim: int, keep: int, heads: int, dropout: float, scale: float = 0.3) -> None:
        super().__init__()
        self.distil = Distillation(keep)
        self.attention = Attention(dim, dim, dim, heads)
        self.scale = nn.Parameter(torch.full((dim,), scale))
        self.output = mlp(2 * dim, 2 * dim, dim, dropout, gain=0.1)

    def forward(self, graph: Tensor, tokens: Tensor) -> Tensor:
        """graph (B, d), tokens (B, 4, d) -> (B, d)."""
        distilled = self.distil(tokens, graph)
        profile = self.attention(graph, distilled, torch.ones_like(distilled[..., 0]))
        h: Tensor = self.scale * graph + self.output(torch.cat([graph, profile], dim=-1))
        return h
