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
        width = message_dim + time_dim + 2
        self.input_gates, self.memory_gates = (nn.Linear(n, 2 * memory_dim) for n in (width, memory_dim))  # g, z
        self.input_content, self.memory_content = (nn.Linear(n, memory_dim) for n in (width, memory_dim))  # n
        is_code = torch.zeros(message_dim)
        is_code[slice(*codes)] = 1.0
        self.register_buffer("is_code", is_code, persistent=False)
        self._start_as_average(memory_dim, begins_as, spans)

    @torch.no_grad()
    def _start_as_average(self, dim: int, begins_as: tuple[int, int], spans: tuple[float, float]) -> None:
        for part in (self.input_gates, self.memory_gates, *self.content):
            part.weight.mul_(SMALL)
            part.bias.zero_()
        self.input_gates.weight[dim:, -1] = torch.linspace(*spans, dim)[torch.randperm(dim)]
        self.input_content.weight[:, slice(*begins_as)] += torch.eye(dim)

    @property
    def content(self) -> tuple[nn.Linear, nn.Linear]:
        """W_n and U_n: what a step brings, as against how much of it is kept."""
        return self.input_content, self.memory_content

    def forward(self, m: Tensor, total: Tensor, count: Tensor, gap: Tensor, steps: Tensor) -> Tensor:
        """m (B, d), total = r.sum (B, r), count, gap [s], steps (B,) -> (B, d)."""
        number = count.clamp(min=1.0).unsqueeze(-1)
        mean = total * (self.is_code * number.rsqrt() + (1.0 - self.is_code) / number)
        x = torch.cat([mean, self.phi(gap), torch.stack([torch.log1p(count), torch.log1p(steps)], dim=-1)], dim=-1)
        reset, keep = torch.sigmoid(self.input_gates(x) + self.memory_gates(m)).chunk(2, dim=-1)
        new = torch.tanh(self.input_content(x) + reset * self.memory_content(m))
        stepped = (1.0 - keep) * new + keep * m
        return torch.where(count.unsqueeze(-1) > 0, stepped, m)
