"""GAT (Velickovic et al., ICLR 2018) on the user-item graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.baselines.bipartite import Edges
from model.baselines.graph import GraphFit, GraphNetwork, GraphSetting, last_layer

HEADS = 2
SLOPE = 0.2


class GraphAttention(nn.Module):
    """x'_u = sum_{i in N(u) + u} a_ui W x_i + b,  a_ui = softmax_i leaky( s . W x_i + t . W x_u ), for each head

    A share `dropout` of the a_ui is left out in training.
    """

    def __init__(self, dim: int, dropout: float, activation: nn.Module) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim, bias=False)
        self.source = nn.Parameter(torch.randn(HEADS, dim // HEADS) * dim**-0.5)  # s
        self.target = nn.Parameter(torch.randn(HEADS, dim // HEADS) * dim**-0.5)  # t
        self.bias = nn.Parameter(torch.zeros(dim))
        self.dropout, self.activation = dropout, activation
        with torch.no_grad():  # near the plain mean, which is a good place to start from
            self.linear.weight.copy_(torch.eye(dim) + 0.1 * self.linear.weight)

    def forward(self, own: Tensor, others: Tensor, edges: Edges) -> Tensor:
        """own (D, d), others (S, d) -> (D, d)."""
        mine = self.linear(own).unflatten(1, (HEADS, -1))  # (D, heads, d_head)
        theirs = self.linear(others).unflatten(1, (HEADS, -1))
        asks = (mine * self.target).sum(-1)  # (D, heads)
        loop = functional.leaky_relu((mine * self.source).sum(-1) + asks, SLOPE)
        logits = functional.leaky_relu((theirs * self.source).sum(-1)[edges.source] + asks[edges.destination], SLOPE)
        loop_weight, weight = _softmax(loop, logits, edges.destination)
        loop_weight = functional.dropout(loop_weight, self.dropout, self.training)
        weight = functional.dropout(weight, self.dropout, self.training)
        heads = [edges.sum(theirs[:, head].contiguous(), weight[:, head].contiguous()) for head in range(HEADS)]
        attended = loop_weight.unsqueeze(-1) * mine + torch.stack(heads, dim=1)
        convolved: Tensor = self.activation(attended.flatten(1) + self.bias)
        return convolved


def _softmax(loop: Tensor, logits: Tensor, destination: Tensor) -> tuple[Tensor, Tensor]:
    """Over the edges into each destination and its self-loop. loop (D, heads), logits (E, heads)."""
    place = destination.unsqueeze(1).expand_as(logits)
    most = loop.detach().scatter_reduce(0, place, logits.detach(), "amax")
    loop, logits = (loop - most).exp(), (logits - most[destination]).exp()
    total = loop.index_add(0, destination, logits)
    return loop / total, logits / total[destination]


def network(setting: GraphSetting, users: int, items: int) -> GraphNetwork:
    last = setting.layers - 1
    layers = [
        GraphAttention(setting.dim, setting.dropout, nn.ELU() if layer < last else nn.Identity())
        for layer in range(setting.layers)
    ]
    return GraphNetwork(users, items, setting.dim, layers, last_layer)


gat = GraphFit(network)
