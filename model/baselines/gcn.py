"""GCN (Kipf and Welling, ICLR 2017) on the user-item graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.baselines.bipartite import Edges
from model.baselines.graph import GraphFit, GraphNetwork, GraphSetting, last_layer


class GraphConvolution(nn.Module):
    """x'_u = activation( W ( x_u / n_u + sum_{i in N(u)} x_i / sqrt(n_u n_i) ) + b ),  n_u = |N(u)| + 1

    A share `dropout` of the edges is left out in training.
    """

    def __init__(self, dim: int, dropout: float, activation: nn.Module) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.dropout, self.activation = dropout, activation
        with torch.no_grad():  # near the plain smoothing, which is a good place to start from
            self.linear.weight.copy_(torch.eye(dim) + 0.1 * self.linear.weight)

    def forward(self, own: Tensor, others: Tensor, edges: Edges) -> Tensor:
        """own (D, d), others (S, d) -> (D, d)."""
        weight = functional.dropout(edges.symmetric(loops=1), self.dropout, self.training)
        smoothed = own / (edges.degree + 1).unsqueeze(1) + edges.sum(others, weight)
        convolved: Tensor = self.activation(self.linear(smoothed))
        return convolved


def network(setting: GraphSetting, users: int, items: int) -> GraphNetwork:
    last = setting.layers - 1
    layers = [
        GraphConvolution(setting.dim, setting.dropout, nn.ReLU() if layer < last else nn.Identity())
        for layer in range(setting.layers)
    ]
    return GraphNetwork(users, items, setting.dim, layers, last_layer)


gcn = GraphFit(network)
