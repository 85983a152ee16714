"""Multi-head attention with one query a row, MHA in the equations of neighbours and fusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MASKED = -1e9


class Attention(nn.Module):
    """MHA(q, K = V) = W_o concat_heads( a V_head ),  a = mask * softmax(q_head . K_head / sqrt(d_head) + masked).

    Masked keys get -1e9 before the softmax, not -inf, and 0 after it: a row without any key gives W_o's bias, not NaN.
    """

    def __init__(self, query_dim: int, key_dim: int, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"width {dim} is not a multiple of {heads} heads")
        self.heads, self.head_dim = heads, dim // heads
        self.query = nn.Linear(query_dim, dim)
        self.key = nn.Linear(key_dim, dim)
        self.value = nn.Linear(key_dim, dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """query (B, d_q), keys (B, n, d_k), mask (B, n) of 0 and 1 -> (B, d)."""
        q = self.query(query).unflatten(-1, (self.heads, self.head_dim))  # (B, heads, d_head)
        k = self.key(keys).unflatten(-1, (self.heads, self.head_dim))  # (B, n, heads, d_head)
        v = self.value(keys).unflatten(-1, (self.heads, self.head_dim))
        logits = (k * q.unsqueeze(1)).sum(-1) * self.head_dim**-0.5  # (B, n, heads)
        shown = mask.unsqueeze(-1)
        weights = torch.softmax(logits + (1.0 - shown) * MASKED, dim=1) * shown
        output: Tensor = self.output((weights.unsqueeze(-1) * v).sum(1).flatten(-2))
        return output
