"""What an ablation puts in the place of the memory updater: memory that never moves."""

from __future__ import annotations

from torch import Tensor, nn


class Still(nn.Module):
    """commit(r) = r.m"""

    def forward(self, m: Tensor, total: Tensor, count: Tensor, gap: Tensor, first: Tensor) -> Tensor:
        """Takes what `MemoryUpdater` takes and gives m (B, d) back."""
        return m
