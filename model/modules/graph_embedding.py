"""Graph embedding z^G: memory, neighbours and projection joined."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GraphEmbedding(nn.Module):
    """z^G_u = W [ m_u || z_u || h^p_u ], three times (B, d) -> (B, d)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.join = nn.Linear(3 * dim, dim)
        with torch.no_grad():
            self.join.weight.mul_(0.1)
            self.join.weight[:, dim : 2 * dim].copy_(torch.eye(dim))

    def forward(self, memory: Tensor, neighbours: Tensor, projected: Tensor) -> Tensor:
        graph: Tensor = self.join(torch.cat([memory, neighbours, projected], dim=-1))
        return graph
