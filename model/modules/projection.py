"""Early/late projection: where memory drifts while the user stays away."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LONGEST = 5.0
"""delta is held within this many sigma: a return after years is as late as late gets."""


class EarlyLateProjection(nn.Module):
    """h^p_u = LN( m_u * (1 + W_early min(delta, 0) + W_late max(delta, 0) + b) )

    delta = (log1p(t - t'_u) - mu_u) / sigma,  mu_u = (sum of the user's log gaps + k mu) / (their number + k): the
    user's running mean log gap, shrunk to the training mean mu as if by k more gaps. mu, sigma, k are constants of the
    spec. Early and late have weights of their own, without a jump at delta = 0.
    """

    def __init__(self, dim: int, mean_log_gap: float, sigma_log_gap: float, gap_prior: float) -> None:
        super().__init__()
        self.mean, self.sigma, self.prior = mean_log_gap, sigma_log_gap, gap_prior
        self.early_late = nn.Linear(2, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, memory: Tensor, since: Tensor, gap_stats: Tensor) -> Tensor:
        """memory (B, d), since = t - t'_u (B,) [s], gap_stats (B, 2) sum and number of log gaps -> (B, d)."""
        own_mean = (gap_stats[:, 0] + self.prior * self.mean) / (gap_stats[:, 1] + self.prior)
        delta = ((torch.log1p(since) - own_mean) / self.sigma).clamp(-LONGEST, LONGEST)
        drift = self.early_late(torch.stack([delta.clamp(max=0.0), delta.clamp(min=0.0)], dim=-1))
        projected: Tensor = self.norm(memory * (1.0 + drift))
        return projected
