"""What a user's counters say of the weights on popularity and repeat consumption."""

from __future__ import annotations

from torch import Tensor, nn

from model.modules.layers import mlp
from model.modules.standardise import Standardise


class HabitWeights(nn.Module):
    """[ w_pop || q_pair ] += W_2 silu(W_1 f_u + b_1) + b_2

    f_u counts moments, events, repeats and how late the user is: whether they repeat themselves or follow the crowd is
    known before any learned vector is.
    """

    def __init__(self, features: int, popularity_dim: int, pair_dim: int, hidden: int) -> None:
        super().__init__()
        self._widths = [popularity_dim, pair_dim]
        self.standardise = Standardise(features)
        self.layers = mlp(features, hidden, popularity_dim + pair_dim, gain=0.1)

    def forward(self, habits: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F_user) -> additions to w_pop (B, P) and to q_pair (B, q)."""
        w_pop, q_pair = self.layers(self.standardise(habits)).split(self._widths, dim=-1)
        return w_pop, q_pair
