"""Memory updater: the one step that a closed moment (user) or tick (item) makes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.modules.time_encoding import TimeEncoding

SMALL = 0.1
"""Factor on the usual initial weights, so that an updater starts as the running average and learns to differ."""


class MemoryUpdater(nn.Module):
    """commit(r) = r.m if r.count = 0, else GRU(x, hidden = r.m) with

    x = [ s * r.sum / r.count || phi(r.gap) || log1p(r.count) || log1p(r.steps) ]
    g = sigmoid(W_g x + U_g m), z = sigmoid(W_z x + U_z m), n = tanh(W_n x + g * (U_n m)), GRU = (1 - z) n + z m

    s is sqrt(r.count) on the codes of a message and 1 elsewhere: a sum of random signs grows with the root of their
    number. The sum holds one-hot event types, so the event-type embedding is a block of each W.

    A new updater is a running average of a part of its messages: z = n^a / (1 + n^a) with n = r.steps + 1 is the exact
    mean for a = 1, and spans about n^a steps below. So what a user takes, and who takes an item, count from the start,
    and the gradient, which reaches back a few steps only, has but to refine it. There is no norm: memory stays within
    -1 and 1, and how far from 0 it is says how much its messages agree.

    begins_as: first and last column of the messages that are averaged, memory_dim of them; spans: a, evenly spread from
    the one to the other, one a dimension; codes: first and last column of the codes.
    """

    def __init__(
        self,
        memory_dim: int,
        message_dim: int,
        time_dim: int,
        *,
        begins_as: tuple[int, int],
        spans: tuple[float, float],
        codes: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.is_code: Tensor
        self.phi = TimeEncoding(time_dim)
        self.from_input = nn.Linear(message_dim + time_dim + 2, 3 * memory_dim)  # W_g, W_z, W_n
        self.from_memory = nn.Linear(memory_dim, 3 * memory_dim)  # U_g, U_z, U_n
        is_code = torch.zeros(message_dim)
        is_code[slice(*codes)] = 1.0
        self.register_buffer("is_code", is_code, persistent=False)
        self._start_as_average(memory_dim, begins_as, spans)

    @torch.no_grad()
    def _start_as_average(self, dim: int, begins_as: tuple[int, int], spans: tuple[float, float]) -> None:
        for part in (self.from_input, self.from_memory):
            part.weight.mul_(SMALL)
            part.bias.zero_()
        self.from_input.weight[dim : 2 * dim, -1] = torch.linspace(*spans, dim)[torch.randperm(dim)]
        self.from_input.weight[2 * dim :, slice(*begins_as)] += torch.eye(dim)

    def forward(self, m: Tensor, total: Tensor, count: Tensor, gap: Tensor, steps: Tensor) -> Tensor:
        """m (B, d), total = r.sum (B, r), count, gap [s], steps (B,) -> (B, d)."""
        number = count.clamp(min=1.0).unsqueeze(-1)
        mean = total * (self.is_code * number.rsqrt() + (1.0 - self.is_code) / number)
        x = torch.cat([mean, self.phi(gap), torch.stack([torch.log1p(count), torch.log1p(steps)], dim=-1)], dim=-1)
        x_reset, x_keep, x_new = self.from_input(x).chunk(3, dim=-1)
        m_reset, m_keep, m_new = self.from_memory(m).chunk(3, dim=-1)
        reset = torch.sigmoid(x_reset + m_reset)
        keep = torch.sigmoid(x_keep + m_keep)
        new = torch.tanh(x_new + reset * m_new)
        stepped = (1.0 - keep) * new + keep * m
        return torch.where(count.unsqueeze(-1) > 0, stepped, m)
