"""NGCF (Wang et al., SIGIR 2019): convolution with products of the two sides."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.baselines.bipartite import Edges
from model.baselines.graph import GraphFit, GraphNetwork, GraphSetting, all_layers

SLOPE = 0.2


class CollaborativeConvolution(nn.Module):
    """x'_u = normalise leaky( W_1 (x_u + s_u) + W_2 (s_u * x_u) ),  s_u = sum_{i in N(u)} x_i / sqrt(|N(u)| |N(i)|)

    As published: sum_i (W_1 x_i + W_2 (x_i * x_u)) / sqrt(...) with the sum drawn inside; a bias in both linear maps.
    A share `dropout` of the edges is left out in training.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.same, self.product = nn.Linear(dim, dim), nn.Linear(dim, dim)  # W_1, W_2
        self.dropout = dropout
        with torch.no_grad():  # near the plain smoothing, which is a good place to start from
            self.same.weight.copy_(torch.eye(dim) + 0.1 * self.same.weight)

    def forward(self, own: Tensor, others: Tensor, edges: Edges) -> Tensor:
        """own (D, d), others (S, d) -> (D, d)."""
        near = edges.sum(others, functional.dropout(edges.symmetric(), self.dropout, self.training))
        return functional.normalize(
            functional.leaky_relu(self.same(own + near) + self.product(near * own), SLOPE), dim=1
        )


def network(setting: GraphSetting, users: int, items: int) -> GraphNetwork:
    layers = [CollaborativeConvolution(setting.dim, setting.dropout) for _ in range(setting.layers)]
    return GraphNetwork(users, items, setting.dim, layers, all_layers)


ngcf = GraphFit(network)
