"""The running average of weights, which is what is evaluated and saved."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from model.presets import Network

Many = tuple[Tensor, ...] | list[Tensor]


def average_of(network: Network, keep: float) -> AveragedModel:
    """a <- a + (1 - k) (w - a) after each step, k = min(keep, (1 + n) / (10 + n)) at the n-th: short at first, so that
    the weights at the start are soon forgotten. Buffers are copied. Starts as a copy of `network`."""

    def step(averages: Many, weights: Many, n: Tensor | int) -> None:
        kept = min(keep, (1.0 + float(n)) / (10.0 + float(n)))
        torch._foreach_lerp_(averages, weights, 1.0 - kept)

    averaged = AveragedModel(network, multi_avg_fn=step)
    averaged.module.eval()
    return averaged
