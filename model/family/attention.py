"""Attention over temporal neighbours: `model.modules` in a cheaper order of operations, and where its inputs come from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from model.family.state import NOBODY, GraphState
from model.modules.attention import MASKED, Attention
from model.modules.neighbours import NeighbourAttention

Values = Callable[[Tensor, Tensor], Tensor]
"""Nodes (M,) and their times (M,) [s] to vectors (M, d)."""


class FoldedAttention(Attention):
    """The same function of the same weights: with one query a row, W_K goes to the query and W_V behind the sum.

    q_head . (W_K k + b_K) = (W_K' q_head) . k + const,  sum_k a_k (W_V k + b_V) = W_V sum_k a_k k + b_V sum_k a_k

    So keys are read twice and never projected: n times fewer multiplications.
    """

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """query (B, d_q), keys (B, n, d_k), mask (B, n) of 0 and 1 -> (B, d)."""
        q = self.query(query).unflatten(-1, (self.heads, self.head_dim)) * self.head_dim**-0.5
        to_keys = self.key.weight.unflatten(0, (self.heads, self.head_dim))  # (heads, d_head, d_k)
        asked = torch.einsum("bhe,hek->bkh", q, to_keys)
        shown = mask.unsqueeze(-1)
        weights = torch.softmax(torch.bmm(keys, asked) + (1.0 - shown) * MASKED, dim=1) * shown  # (B, n, heads)
        read = torch.bmm(weights.transpose(1, 2), keys)  # (B, heads, d_k)
        to_values = self.value.weight.unflatten(0, (self.heads, self.head_dim))
        value = torch.einsum("bhk,hek->bhe", read, to_values)
        bias = weights.sum(1).unsqueeze(-1) * self.value.bias.view(self.heads, self.head_dim)
        output: Tensor = self.output((value + bias).flatten(-2))
        return output


def neighbour_attention(dim: int, time_dim: int, types: int, heads: int, dropout: float) -> NeighbourAttention:
    layer = NeighbourAttention(dim, time_dim, types, heads, dropout)
    folded = FoldedAttention(dim + time_dim, layer.attention.key.in_features, dim, heads)
    folded.load_state_dict(layer.attention.state_dict())
    layer.attention = folded
    return layer


def attend(layer: nn.Module, state: GraphState, nodes: Tensor, at: Tensor, own: Tensor, values: Values) -> Tensor:
    """z (B, d) of nodes (B,) with vectors `own` (B, d), over their neighbours' `values` as of the same times."""
    near = state.near[nodes]
    gap = (at.unsqueeze(1) - state.near_time[nodes]).clamp(min=0).float()
    v = values(near.clamp(min=0).flatten(), at.repeat_interleave(near.shape[1])).unflatten(0, near.shape)
    z: Tensor = layer(own, v, state.near_kind[nodes], gap, (near != NOBODY).float())
    return z


class GraphAttention(nn.Module):
    """One layer of attention over memory as it stands: what a node gives into DyRep's messages."""

    def __init__(self, layer: NeighbourAttention) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, state: GraphState, nodes: Tensor, at: Tensor) -> Tensor:
        """(B,) -> (B, d)."""
        return attend(self.layer, state, nodes, at, state.memory[nodes], lambda near, _at: state.memory[near])
