"""The running average of weights, which is what is evaluated and saved."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from model.presets import Network


class RunningAverage:
    """a <- a + (1 - k) (w - a) after each step, k = min(keep, n / (9 + n)) at the n-th from 0: the weights at the start
    are forgotten at once, and what the average reaches back over grows with the steps. Buffers stay.
    """

    def __init__(self, network: Network, keep: float) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)
        self._averages = list[Tensor](self.network.parameters())
        self._weights = list[Tensor](network.parameters())
        self._keep, self._steps = keep, 0

    @torch.no_grad()
    def update(self) -> None:
        kept = min(self._keep, self._steps / (9.0 + self._steps))
        torch._foreach_lerp_(self._averages, self._weights, 1.0 - kept)
        self._steps += 1

    def state(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "steps": self._steps}

    def restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self._steps = state["steps"]
