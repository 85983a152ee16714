"""Losses over the items that a user could have taken, for both tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import softplus

EXCLUDED = -1e9
"""Score of what is no candidate; finite, so that its gradient is 0 and not NaN."""


def softmax_loss(scores: Tensor, row: Tensor, column: Tensor, weight: Tensor) -> Tensor:
    """- sum_e w_e log softmax(scores[row_e])[column_e]

    scores (B, K), EXCLUDED for what is no candidate; row, column, weight (E,). Every event of a basket is a positive
    of its own; the others of the basket stay in its denominator, as they do in the evaluator's ranking.
    """
    return -(torch.log_softmax(scores, dim=1)[row, column] * weight).sum()


def bpr_loss(scores: Tensor, row: Tensor, column: Tensor, weight: Tensor) -> Tensor:
    """- sum_e w_e mean_k log sigmoid(scores[row_e, column_e] - scores[row_e, k]) over all candidates k

    The arguments of `softmax_loss`. It is BPR's expectation over negatives drawn alike, without drawing.
    """
    candidates = (scores > EXCLUDED / 2).sum(dim=1)[row]
    behind = softplus(scores[row] - scores[row, column].unsqueeze(1)).sum(dim=1)
    return (behind / candidates * weight).sum()


Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

LOSSES: Mapping[str, Loss] = {"softmax": softmax_loss, "bpr": bpr_loss}
