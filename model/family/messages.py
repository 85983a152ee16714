"""Messages: what the updater of a node takes in, made of parts from the node's last batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.family.attention import GraphAttention
from model.family.state import GraphState
from model.modules.time_encoding import TimeEncoding


class Part(nn.Module):
    """(state, nodes (B,)) -> (B, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


class Message(nn.Module):
    """[ part || part || ... ], (B, width)."""

    def __init__(self, *parts: Part) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.width = sum(part.width for part in parts)

    def forward(self, state: GraphState, nodes: Tensor) -> Tensor:
        return torch.cat([part(state, nodes) for part in self.parts], dim=1)


class Own(Part):
    """The node's own memory before its last batch."""

    def forward(self, state: GraphState, nodes: Tensor) -> Tensor:
        return state.carried[nodes]


class Other(Part):
    """What the other node of the last event gave."""

    def forward(self, state: GraphState, nodes: Tensor) -> Tensor:
        return state.given[nodes]


class AttendedOther(Part):
    """What the other node gave, when `attention` made it: its values, with the gradient of making it again from the
    state of today."""

    def __init__(self, width: int, attention: GraphAttention) -> None:
        super().__init__(width)
        self.attention = attention

    def forward(self, state: GraphState, nodes: Tensor) -> Tensor:
        given = state.given[nodes]
        if not torch.is_grad_enabled():
            return given
        again = self.attention(state, state.other[nodes].clamp(min=0), state.last[nodes])
        lent: Tensor = given + again - again.detach()
        return lent


class EventType(Part):
    """e, one-hot."""

    def forward(self, state: GraphState, nodes: Tensor) -> Tensor:
        return functional.one_hot(state.kind[nodes], self.width).float()


class EncodedGap(Part):
    """phi(gap)."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.phi = TimeEncoding(width)

    def forward(self, state: GraphState, nodes: Tensor) -> Tensor:
        encoded: Tensor = self.phi(state.gap[nodes])
        return encoded


class LogGap(Part):
    """(log1p(gap) - mean) / sigma: JODIE's gap as one number, on a scale that any stream has."""

    def __init__(self, mean: float, sigma: float) -> None:
        super().__init__(1)
        self.mean, self.sigma = mean, sigma

    def forward(self, state: GraphState, nodes: Tensor) -> Tensor:
        return ((torch.log1p(state.gap[nodes]) - self.mean) / self.sigma).unsqueeze(1)
