"""LightGCN (He et al., SIGIR 2020): embeddings smoothed along the graph, nothing else."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from model.baselines.bipartite import Edges
from model.baselines.graph import GraphFit, GraphNetwork, GraphSetting, mean_of_layers


class LightConvolution(nn.Module):
    """x'_u = sum_{i in N(u)} x_i / sqrt(|N(u)| |N(i)|); a share `dropout` of the edges is left out in training."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, own: Tensor, others: Tensor, edges: Edges) -> Tensor:
        """own (D, d), others (S, d) -> (D, d)."""
        return edges.sum(others, functional.dropout(edges.symmetric(), self.dropout, self.training))


def network(setting: GraphSetting, users: int, items: int) -> GraphNetwork:
    layers = [LightConvolution(setting.dropout) for _ in range(setting.layers)]
    return GraphNetwork(users, items, setting.dim, layers, mean_of_layers)


lightgcn = GraphFit(network)
