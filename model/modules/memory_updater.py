"""Memory updater: the one step that a closed moment (user) or tick (item) makes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.modules.time_encoding import TimeEncoding

LONGEST = 32.0
"""Steps that the slowest dimension of a new updater averages over; the fastest one keeps half of what it held."""
SMALL = 0.1
"""Factor on the usual initial weights, so that an updater starts as the running average and learns to differ."""


class MemoryUpdater(nn.Module):
    """commit(r) = r.m if r.count = 0, else LN(GRU(x, hidden = r.m)) with

    x = [ r.sum / r.count || phi(r.gap) || log1p(r.count) || r.first ]
    g = sigmoid(W_g x + U_g m), z = sigmoid(W_z x + U_z m), n = tanh(W_n x + g * (U_n m)), GRU = (1 - z) n + z m

    The sum holds one-hot event types, so the event-type embedding is a block of each W.

    A new updater is a running average of the other side's vectors over 2 to 32 steps, one span a dimension, that
    begins with its first step: what a user takes, and who takes an item, count from the start, and the gradient, which
    reaches back a few steps only, has but to refine it.
    """

    def __init__(self, memory_dim: int, message_dim: int, time_dim: int) -> None:
        super().__init__()
        self.phi = TimeEncoding(time_dim)
        self.from_input = nn.Linear(message_dim + time_dim + 2, 3 * memory_dim)  # W_g, W_z, W_n
        self.from_memory = nn.Linear(memory_dim, 3 * memory_dim)  # U_g, U_z, U_n
        self.norm = nn.LayerNorm(memory_dim)
        self._start_as_average(memory_dim)

    @torch.no_grad()
    def _start_as_average(self, dim: int) -> None:
        spans = 2.0 * (LONGEST / 2.0) ** torch.linspace(0.0, 1.0, dim)[torch.randperm(dim)]
        for part in (self.from_input, self.from_memory):
            part.weight.mul_(SMALL)
            part.bias.zero_()
        self.from_input.bias[dim : 2 * dim] = torch.log(spans - 1.0)  # z = 1 - 1 / span
        self.from_input.weight[dim : 2 * dim, -1] = -2.0 * torch.log(spans) - 2.0  # the first step: z near 0
        self.from_input.weight[2 * dim :, :dim] += torch.eye(dim)

    def forward(self, m: Tensor, total: Tensor, count: Tensor, gap: Tensor, first: Tensor) -> Tensor:
        """m (B, d), total = r.sum (B, r), count, gap [s], first (B,) -> (B, d)."""
        mean = total / count.clamp(min=1.0).unsqueeze(-1)
        x = torch.cat([mean, self.phi(gap), torch.stack([torch.log1p(count), first], dim=-1)], dim=-1)
        x_reset, x_keep, x_new = self.from_input(x).chunk(3, dim=-1)
        m_reset, m_keep, m_new = self.from_memory(m).chunk(3, dim=-1)
        reset = torch.sigmoid(x_reset + m_reset)
        keep = torch.sigmoid(x_keep + m_keep)
        new = torch.tanh(x_new + reset * m_new)
        stepped = self.norm((1.0 - keep) * new + keep * m)
        return torch.where(count.unsqueeze(-1) > 0, stepped, m)
