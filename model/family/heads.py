"""Heads: the vectors that are multiplied, of a user or an item read at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.family.network import Read
from model.modules.facets import FacetTokens
from model.modules.fusion import ProfileFusion
from model.modules.graph_embedding import GraphEmbedding
from model.modules.projection import EarlyLateProjection
from model.spec import FACETS


class Embedding(nn.Module):
    """h = z."""

    def forward(self, read: Read) -> Tensor:
        return read.embedding


class DriftingUser(nn.Module):
    """h_u = W [ (1 + w gap) m_u || x_u || m_j || x_j ],  j the user's last item: JODIE's predicted next item

    gap = (log1p(t - t'_u) - mean) / sigma.
    """

    def __init__(self, dim: int, mean: float, sigma: float) -> None:
        super().__init__()
        self.mean, self.sigma = mean, sigma
        self.drift = nn.Parameter(torch.randn(dim) * 0.1)  # w
        self.predict = nn.Linear(4 * dim, 2 * dim)

    def forward(self, read: Read) -> Tensor:
        gap = ((torch.log1p(read.since) - self.mean) / self.sigma).unsqueeze(1)
        projected = read.memory * (1.0 + gap * self.drift)
        h: Tensor = self.predict(torch.cat([projected, read.static, *read.latest()], dim=1))
        return h


class StaticAndMemory(nn.Module):
    """v_i = [ m_i || x_i ]."""

    def forward(self, read: Read) -> Tensor:
        return torch.cat([read.memory, read.static], dim=1)


class StaticAndDynamic(nn.Module):
    """v = W [ x || dynamic ] with `dynamic` from another head."""

    def __init__(self, dim: int, dynamic: nn.Module) -> None:
        super().__init__()
        self.dynamic, self.join = dynamic, nn.Linear(2 * dim, dim)
        with torch.no_grad():  # at first the sum of both
            self.join.weight.copy_(torch.eye(dim).repeat(1, 2) + 0.1 * self.join.weight)

    def forward(self, read: Read) -> Tensor:
        v: Tensor = self.join(torch.cat([read.static, self.dynamic(read)], dim=1))
        return v


class ProjectedGraph(nn.Module):
    """z^G_u = W [ m_u || z_u || h^p_u ] with the early/late projection h^p."""

    def __init__(self, dim: int, projection: EarlyLateProjection) -> None:
        super().__init__()
        self.projection, self.graph = projection, GraphEmbedding(dim)

    def forward(self, read: Read) -> Tensor:
        projected = self.projection(read.memory, read.since, read.state.gap_stats[read.nodes])
        z: Tensor = self.graph(read.memory, read.embedding, projected)
        return z


class Profiled(nn.Module):
    """Profile fusion of z^G and the facet tokens.

    Without a language model at hand the facet `interest` is extractive, the mean text embedding of the items that the
    user had; the other three are missing, as they all are where items have no text.
    """

    def __init__(self, graph: ProjectedGraph, tokens: FacetTokens, fusion: ProfileFusion) -> None:
        super().__init__()
        self.graph, self.tokens, self.fusion = graph, tokens, fusion

    def forward(self, read: Read) -> Tensor:
        told = read.state.told[read.nodes]
        facets = told.new_zeros(len(told), len(FACETS), told.shape[1])
        facets[:, FACETS.index("interest")] = told / read.state.events[read.nodes].clamp(min=1).unsqueeze(1)
        has = (facets != 0).any(dim=2).float()
        h: Tensor = self.fusion(self.graph(read), self.tokens(facets, has))
        return h
