"""Graph attention over a user's temporal neighbours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.modules.attention import Attention
from model.modules.layers import mlp
from model.modules.time_encoding import TimeEncoding


class NeighbourAttention(nn.Module):
    """z_u = MLP[ MHA( q = [ m_u || phi(0) ], K = V = stack_k [ v_k || phi(t - t_k) || e_k ] ) || m_u ]

    m_u is the committed memory, e_k a learned embedding of the neighbour's event type.
    """

    def __init__(self, dim: int, time_dim: int, type_count: int, heads: int, dropout: float) -> None:
        super().__init__()
        type_dim = 8
        self.phi = TimeEncoding(time_dim)
        self.event_type = nn.Embedding(type_count, type_dim)
        self.attention = Attention(dim + time_dim, dim + time_dim + type_dim, dim, heads)
        self.output = mlp(2 * dim, 2 * dim, dim, dropout, gain=0.1)
        with torch.no_grad():
            self.attention.value.weight.copy_(torch.eye(dim, dim + time_dim + type_dim))
            self.attention.output.weight.copy_(torch.eye(dim))

    def forward(self, memory: Tensor, v: Tensor, kind: Tensor, gap: Tensor, mask: Tensor) -> Tensor:
        """memory (B, d), v (B, n, d), kind (B, n) type codes, gap (B, n) [s], mask (B, n) -> (B, d)."""
        query = torch.cat([memory, self.phi(torch.zeros_like(memory[:, 0]))], dim=-1)
        keys = torch.cat([v, self.phi(gap), self.event_type(kind)], dim=-1)
        near = self.attention(query, keys, mask)
        z: Tensor = near + self.output(torch.cat([near, memory], dim=-1))
        return z
