"""torch-geometric, imported with its own deprecation warnings held back, and the TGN of its example."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from model.family.batches import Batch

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.nn import GATConv, GCNConv, LGConv, TransformerConv
    from torch_geometric.nn.models import LightGCN
    from torch_geometric.nn.models.tgn import (
        IdentityMessage,
        LastAggregator,
        LastNeighborLoader,
        TGNMemory,
        TimeEncoder,
    )

__all__ = ["GATConv", "GCNConv", "LGConv", "LightGCN", "TGNMemory", "TimeEncoder", "TransformerConv", "example_memory"]


def example_memory(nodes: int, types: int, dim: int, time_dim: int) -> TGNMemory:
    return TGNMemory(nodes, types, dim, time_dim, IdentityMessage(types, dim, time_dim), LastAggregator())


class ExampleTgn(nn.Module):
    """The composition of torch-geometric's TGN example, on a stream of typed events: memory, one TransformerConv over
    the last neighbours, a link predictor of two layers, one random item a positive, binary cross-entropy, Adam."""

    def __init__(self, nodes: int, types: int, dim: int, time_dim: int, neighbours: int) -> None:
        super().__init__()
        self.memory = example_memory(nodes, types, dim, time_dim)
        self.convolution = TransformerConv(dim, dim // 2, heads=2, edge_dim=types + time_dim)
        self.source, self.target, self.final = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, 1)
        self._near = LastNeighborLoader(nodes, size=neighbours)
        self._place = torch.empty(nodes, dtype=torch.long)
        self._types = types
        self._time = torch.empty(0, dtype=torch.long)
        self._kind = torch.empty(0, dtype=torch.long)
        self._optimiser = torch.optim.Adam(self.parameters(), lr=1e-4)

    def step(self, batch: Batch, items: Tensor) -> float:
        """items: nodes that negatives are drawn from."""
        drawn = items[torch.randint(len(items), (len(batch),))]
        nodes, edges, events = self._near(torch.cat([batch.user, batch.item, drawn]).unique())
        self._place[nodes] = torch.arange(len(nodes))
        z, last = self.memory(nodes)
        gap = (last[edges[0]] - self._time[events]).to(z.dtype)
        raw = nn.functional.one_hot(self._kind[events], self._types).to(z.dtype)
        z = self.convolution(z, edges, torch.cat([self.memory.time_enc(gap), raw], dim=-1))
        user = self.source(z[self._place[batch.user]])
        positive, negative = (
            self.final((user + self.target(z[self._place[node]])).relu()) for node in (batch.item, drawn)
        )
        loss = nn.functional.softplus(-positive).mean() + nn.functional.softplus(negative).mean()
        now = nn.functional.one_hot(batch.kind, self._types).to(z.dtype)
        self.memory.update_state(batch.user, batch.item, batch.time, now)
        self._near.insert(batch.user, batch.item)
        self._time, self._kind = torch.cat([self._time, batch.time]), torch.cat([self._kind, batch.kind])
        loss.backward()
        self._optimiser.step()
        self._optimiser.zero_grad()
        self.memory.detach()
        return loss.item()
