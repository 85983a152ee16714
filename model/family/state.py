"""What nodes carry between batches: memory, the raw message it was made from, and temporal neighbours.

A batch's events move memory at its end, all from the state before it; of several messages to a node the last one
counts, as in the published TGN. Users and items are nodes of one numbering.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from model.family.batches import Batch

NOBODY = -1


@dataclass(eq=False)
class GraphState:
    """V nodes, d wide, n neighbours. Without gradient; a row belongs to a node.

    memory = updater(message(carried, given, kind, gap), hidden = carried), the last three from the node's last batch:
    carried is what its updater started from, given what the other node of its last event gave, gap [s] since the
    batch before. So training can repeat that step with gradient. last: time of the last event.
    """

    memory: Tensor  # (V, d)
    carried: Tensor  # (V, d)
    given: Tensor  # (V, d)
    other: Tensor  # (V,) node, NOBODY before the first event
    kind: Tensor  # (V,)
    gap: Tensor  # (V,)
    last: Tensor  # (V,) int64
    gap_stats: Tensor  # (V, 2) sum and number of log gaps between batches
    near: Tensor  # (V, n) nodes in no order, NOBODY where there are fewer
    near_time: Tensor  # (V, n) int64
    near_kind: Tensor  # (V, n)
    events: Tensor  # (V,)
    told: Tensor  # (V, f)

    @classmethod
    def empty(cls, nodes: int, dim: int, neighbours: int, start: int, told: int) -> GraphState:
        """start: time [s] of the stream's first event, since when every node has been waiting."""

        def whole(*shape: int, fill: int = 0) -> Tensor:
            return torch.full((nodes, *shape), fill)

        return cls(
            memory=torch.zeros(nodes, dim),
            carried=torch.zeros(nodes, dim),
            given=torch.zeros(nodes, dim),
            other=whole(fill=NOBODY),
            kind=whole(),
            gap=torch.zeros(nodes),
            last=whole(fill=start),
            gap_stats=torch.zeros(nodes, 2),
            near=whole(neighbours, fill=NOBODY),
            near_time=whole(neighbours),
            near_kind=whole(neighbours),
            events=whole(),
            told=torch.zeros(nodes, told),
        )

    def rows(self, nodes: Tensor) -> list[Tensor]:
        """Copies of the rows of some nodes, for `put`."""
        return [getattr(self, field.name)[nodes] for field in fields(self)]

    def put(self, nodes: Tensor, rows: list[Tensor]) -> None:
        for field, values in zip(fields(self), rows, strict=True):
            getattr(self, field.name)[nodes] = values

    def receive(self, batch: Batch, carried: Tensor, given: Tensor, told: Tensor) -> Tensor:
        """Takes in a batch but for `memory`, which is due anew for the nodes that it returns (M,).

        carried, given: (2 E, d) of the users and then the items of the batch, from the state before it; told (E, f).
        """
        node, other = batch.both, torch.cat([batch.item, batch.user])
        time, kind = batch.time.repeat(2), batch.kind.repeat(2)
        node, order = torch.sort(node, stable=True)
        nodes: Tensor
        nodes, count = torch.unique_consecutive(node, return_counts=True)
        end = count.cumsum(0)
        last = order[end - 1]  # of each node's events in the batch
        self._remember(nodes, last, time, kind, other)
        self.carried[nodes] = carried[last]
        self.given[nodes] = given[(last + len(batch)) % (2 * len(batch))]
        rank = torch.arange(len(node)) - torch.repeat_interleave(end - count, count)
        self._meet(node, order, rank, torch.repeat_interleave(count, count), (other, time, kind))
        self.events[nodes] += count
        self.told.index_add_(0, batch.user, told)
        return nodes

    def _remember(self, nodes: Tensor, last: Tensor, time: Tensor, kind: Tensor, other: Tensor) -> None:
        gap = (time[last] - self.last[nodes]).clamp(min=0).float()
        again = (self.other[nodes] != NOBODY) & (gap > 0)
        self.gap_stats[nodes] += torch.stack([torch.log1p(gap) * again, again.float()], dim=1)
        self.gap[nodes] = gap
        self.last[nodes] = time[last]
        self.kind[nodes] = kind[last]
        self.other[nodes] = other[last]

    def _meet(self, node: Tensor, order: Tensor, rank: Tensor, count: Tensor, event: tuple[Tensor, ...]) -> None:
        """Writes the last n events of each node into its ring."""
        width = self.near.shape[1]
        kept = rank >= count - width
        node, order, rank = node[kept], order[kept], rank[kept]
        slot = (self.events[node] + rank) % width
        for table, values in zip((self.near, self.near_time, self.near_kind), event, strict=True):
            table[node, slot] = values[order]
