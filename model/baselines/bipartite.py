"""The user-item graph as two sets of directed edges, and sums along them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Edges:
    """E edges from S sources to D destinations, ordered by destination.

    source, destination (E,) row numbers; degree (D,) edges of each destination; source_degree (S,) edges that each
    source has in the graph of training, where S is a side of it: a user read later brings edges, an item keeps its own.
    """

    source: Tensor
    destination: Tensor
    degree: Tensor
    source_degree: Tensor

    @classmethod
    def of(cls, destination: Tensor, source: Tensor, destinations: int, source_degree: Tensor) -> Edges:
        """From pairs in any order, each pair once."""
        order = torch.argsort(destination, stable=True)
        degree = torch.bincount(destination, minlength=destinations)
        return cls(source[order], destination[order], degree, source_degree)

    @cached_property
    def offsets(self) -> Tensor:
        """(D + 1,) where the edges of each destination begin."""
        return functional.pad(self.degree.cumsum(0), (1, 0))

    @cached_property
    def backward_order(self) -> Tensor:
        """(E,) the edges ordered by source."""
        return torch.argsort(self.source, stable=True)

    @cached_property
    def backward_offsets(self) -> Tensor:
        return functional.pad(torch.bincount(self.source, minlength=len(self.source_degree)).cumsum(0), (1, 0))

    def symmetric(self, loops: int = 0) -> Tensor:
        """(E,) 1 / sqrt(degree of destination * degree of source), each degree with `loops` self-loops."""
        here = (self.degree + loops).float().rsqrt()[self.destination]
        return here * (self.source_degree + loops).float().rsqrt()[self.source]

    def sum(self, x: Tensor, weight: Tensor) -> Tensor:
        """out_d = sum over the edges e into d of weight_e x_source(e);  x (S, d), weight (E,) -> (D, d)."""
        out: Tensor = _WeightedSum.apply(x, weight, self)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return out


class _WeightedSum(torch.autograd.Function):
    """The gradient is the same sum along the edges turned round: 12 times faster than that of `embedding_bag`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, edges: Edges) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.edges = edges
        return _bags(x, edges.source, edges.offsets, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        edges, of_x, of_weight = ctx.edges, None, None
        if ctx.needs_input_grad[0]:
            order = edges.backward_order
            of_x = _bags(gradient.contiguous(), edges.destination[order], edges.backward_offsets, weight[order])
        if ctx.needs_input_grad[1]:
            of_weight = (x[edges.source] * gradient[edges.destination]).sum(dim=1)
        return of_x, of_weight, None


def _bags(x: Tensor, rows: Tensor, offsets: Tensor, weight: Tensor) -> Tensor:
    return functional.embedding_bag(rows, x, offsets, mode="sum", per_sample_weights=weight, include_last_offset=True)
