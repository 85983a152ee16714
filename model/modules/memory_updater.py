"""Memory updater: the one step that a closed moment (user) or tick (item) makes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.modules.time_encoding import TimeEncoding


class MemoryUpdater(nn.Module):
    """commit(r) = r.m if r.count = 0, else LN(GRU(x, hidden = r.m)) with

    x = W_x [ r.sum / r.count || phi(r.gap) || log1p(r.count) || r.first ]
    g = sigmoid(W_g x + U_g m), z = sigmoid(W_z x + U_z m), n = tanh(W_n x + g * (U_n m)), GRU = (1 - z) n + z m

    The sum holds one-hot event types, so the event-type embedding is a block of W_x.
    """

    def __init__(self, memory_dim: int, message_dim: int, time_dim: int) -> None:
        super().__init__()
        self.phi = TimeEncoding(time_dim)
        self.input = nn.Linear(message_dim + time_dim + 2, memory_dim)  # W_x
        self.from_input = nn.Linear(memory_dim, 3 * memory_dim)  # W_g, W_z, W_n
        self.from_memory = nn.Linear(memory_dim, 3 * memory_dim)  # U_g, U_z, U_n
        self.norm = nn.LayerNorm(memory_dim)

    def forward(self, m: Tensor, total: Tensor, count: Tensor, gap: Tensor, first: Tensor) -> Tensor:
        """m (B, d), total = r.sum (B, r), count, gap [s], first (B,) -> (B, d)."""
        mean = total / count.clamp(min=1.0).unsqueeze(-1)
        x = self.input(torch.cat([mean, self.phi(gap), torch.stack([torch.log1p(count), first], dim=-1)], dim=-1))
        x_reset, x_keep, x_new = self.from_input(x).chunk(3, dim=-1)
        m_reset, m_keep, m_new = self.from_memory(m).chunk(3, dim=-1)
        reset = torch.sigmoid(x_reset + m_reset)
        keep = torch.sigmoid(x_keep + m_keep)
        new = torch.tanh(x_new + reset * m_new)
        stepped = self.norm((1.0 - keep) * new + keep * m)
        return torch.where(count.unsqueeze(-1) > 0, stepped, m)
