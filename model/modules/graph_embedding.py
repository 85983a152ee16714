"""Graph embedding z^G: memory, neighbours, projection and history joined."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GraphEmbedding(nn.Module):
    """z^G_u = W [ m_u || z_u || h^p_u || p_u ], three times (B, d) and (B, heads d) -> (B, d).

    It starts as z_u + p_u1 + [ s || s ] with s the first half of m_u, which begins as an average of the static halves
    x of what the user took: that is compared with x_i, and with c_i, which begins as an average of s over who took
    item i.
    """

    def __init__(self, dim: int, heads: int = 0) -> None:
        super().__init__()
        self.join = nn.Linear((3 + heads) * dim, dim)
        with torch.no_grad():
            self.join.weight.mul_(0.1)
            self.join.weight[:, dim : 2 * dim] += torch.eye(dim)
            if heads:
                self.join.weight[:, 3 * dim : 4 * dim] += torch.eye(dim)
            self.join.weight[:, : dim // 2] += torch.eye(dim // 2).repeat(2, 1)

    def forward(self, *parts: Tensor) -> Tensor:
        """Memory, neighbours, projection and, where there is one, history; in this order."""
        graph: Tensor = self.join(torch.cat(parts, dim=-1))
        return graph
