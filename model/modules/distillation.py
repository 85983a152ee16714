"""Profile distillation: keep of each facet what agrees with the graph embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Distillation(nn.Module):
    """S = p * q / ||q|| (elementwise),  p^ = p * tanh(S) * 1[S among the top r of its row]

    p is a facet token, q the graph embedding. Dimensions tied with the r-th are kept. Nothing is learned.
    """

    def __init__(self, keep: int) -> None:
        super().__init__()
        self.keep = keep

    def forward(self, tokens: Tensor, graph: Tensor) -> Tensor:
        """tokens (B, 4, d), graph (B, d) -> (B, 4, d)."""
        direction = graph / graph.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        agreement = tokens * direction.unsqueeze(1)
        least: Tensor = agreement.topk(self.keep, dim=-1).values[..., -1:]
        distilled: Tensor = tokens * torch.tanh(agreement) * (agreement >= least).to(tokens.dtype)
        return distilled
