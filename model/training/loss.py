"""Softmax loss over the items that a user could have taken, for both tasks."""

from __future__ import annotations

import torch
from torch import Tensor

EXCLUDED = -1e9
"""Score of what is no candidate; finite, so that its gradient is 0 and not NaN."""


def softmax_loss(scores: Tensor, row: Tensor, column: Tensor, weight: Tensor) -> Tensor:
    """- sum_e w_e log softmax(scores[row_e])[column_e]

    scores (B, K), EXCLUDED for what is no candidate; row, column, weight (E,). Every event of a basket is a positive
    of its own; the others of the basket stay in its denominator, as they do in the evaluator's ranking.
    """
    return -(torch.log_softmax(scores, dim=1)[row, column] * weight).sum()
