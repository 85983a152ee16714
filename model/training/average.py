"""The running average of weights, which is what is evaluated and saved."""

from __future__ import annotations

from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from model.presets import Network


def average_of(network: Network, keep: float) -> AveragedModel:
    """a <- a + (1 - k) (w - a) after each step, k = min(keep, (1 + n) / (10 + n)) at the n-th: short at first, so that
    the weights at the start are soon forgotten. Buffers are copied. Starts as a copy of `network`."""

    def step(average: Tensor, weight: Tensor, n: Tensor | int) -> Tensor:
        kept = min(keep, (1.0 + float(n)) / (10.0 + float(n)))
        return average.lerp(weight, 1.0 - kept)

    averaged = AveragedModel(network, avg_fn=step)
    averaged.module.eval()
    return averaged
