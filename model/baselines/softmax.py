"""Softmax loss of the learned baselines: full up to 50,000 items, sampled above."""

from __future__ import annotations

import math

import torch
from torch import Tensor

FULL_SOFTMAX = 50_000
"""Items up to which every item is in the denominator."""
DRAWS = 8_192
"""Items drawn evenly for the denominator of a step above that."""


def softmax_loss(h: Tensor, items: Tensor, row: Tensor, positive: Tensor, full: int = FULL_SOFTMAX) -> Tensor:
    """mean_e - log( exp(h . v_e) / sum_i exp(h . v_i) )

    h (R, d), items v (K, d); row (E,) and positive (E,) say whose positive each event is and which item. Above `full`
    items the sum runs over the positive and an even draw without replacement of the K, scaled up to all of them.
    """
    if len(items) <= full:
        return -torch.log_softmax(h @ items.T, dim=1)[row, positive].mean()
    drawn = torch.randperm(len(items))[:DRAWS]
    others = torch.logsumexp(h @ items[drawn].T, dim=1) + math.log(len(items) / len(drawn))  # (R,)
    own = (h[row] * items[positive]).sum(dim=1)
    return (torch.logaddexp(others[row], own) - own).mean()
