"""One architecture with injected parts; the presets of the family are its compositions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.family.attention import attend
from model.family.batches import Batch
from model.family.state import NOBODY, GraphState


class Static(nn.Module):
    """What is known of a node without any event: nothing, but for the subclasses."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, nodes: Tensor) -> Tensor:
        """x (B, d) of nodes (B,)."""
        return torch.zeros(len(nodes), self.dim)

    def beside(self, memory: Tensor, nodes: Tensor) -> Tensor:
        """(B, d) what attention sees of a node: its memory, and x where there is one."""
        return memory


class StaticIds(Static):
    """x_v = g_v id_v;  g_v = 0 for a node that training has not seen. known (V,)."""

    known: Tensor

    def __init__(self, known: Tensor, dim: int) -> None:
        super().__init__(dim)
        self.ids = nn.Parameter(torch.randn(len(known), dim) * 0.1)
        self.register_buffer("known", known.float().unsqueeze(1))

    def forward(self, nodes: Tensor) -> Tensor:
        x: Tensor = self.known[nodes] * functional.embedding(nodes, self.ids)
        return x

    def beside(self, memory: Tensor, nodes: Tensor) -> Tensor:
        beside: Tensor = memory + self(nodes)
        return beside


class StaticNodes(StaticIds):
    """x_v = g_v id_v + W text_v;  text_v = 0 for users. text (V, f)."""

    text: Tensor

    def __init__(self, known: Tensor, text: Tensor, dim: int) -> None:
        super().__init__(known, dim)
        self.from_text = nn.Linear(text.shape[1], dim, bias=False)
        self.register_buffer("text", text)

    def forward(self, nodes: Tensor) -> Tensor:
        x: Tensor = super().forward(nodes) + self.from_text(self.text[nodes])
        return x


Content = Callable[["TemporalNetwork", GraphState, Batch], Tensor]
"""(2 E, d) of the users and then the items of a batch, from the state before it."""


class TemporalNetwork(nn.Module):
    """memory = updater(message, hidden);  z = attention over neighbours, layer by layer;  score = user head . item head

    carries: what the updater starts from; gives: what a node gives into the message of the other one. users: their
    number, items are the nodes after them. depth: layers of attention (users, items).
    """

    def __init__(
        self,
        users: int,
        *,
        static: Static,
        message: nn.Module,
        updater: nn.Module,
        carries: Content,
        gives: Content,
        layers: Sequence[nn.Module],
        depth: tuple[int, int],
        user_head: nn.Module,
        item_head: nn.Module,
        told: Tensor,
    ) -> None:
        super().__init__()
        self.n_users, self.depth = users, depth
        self.static, self.message, self.updater, self.layers = static, message, updater, nn.ModuleList(layers)
        self.user_head, self.item_head = user_head, item_head
        self._carries, self._gives = carries, gives
        self._told = told  # (V, f) what a user is told by having an item

    def empty_state(self, dim: int, neighbours: int, start: int) -> GraphState:
        """The state before the stream, which begins at `start` [s]."""
        return GraphState.empty(len(self._told), dim, neighbours, start, self._told.shape[1])

    def embed_users(self, state: GraphState, users: Tensor, at: Tensor) -> Tensor:
        """h (B, d') of user nodes, each at its own time [s]."""
        h: Tensor = self.user_head(Read(self, state, users, at, self.depth[0]))
        return h

    def embed_items(self, state: GraphState, items: Tensor, at: Tensor) -> Tensor:
        """v (B, d') of item nodes."""
        v: Tensor = self.item_head(Read(self, state, items, at, self.depth[1]))
        return v

    def embed(
        self, state: GraphState, users: Tensor, user_at: Tensor, items: Tensor, item_at: Tensor
    ) -> tuple[Tensor, Tensor]:
        """h and v; in one pass where both sides are read alike."""
        if self.user_head is not self.item_head or self.depth[0] != self.depth[1]:
            return self.embed_users(state, users, user_at), self.embed_items(state, items, item_at)
        both = self.embed_users(state, torch.cat([users, items]), torch.cat([user_at, item_at]))
        return both[: len(users)], both[len(users) :]

    def memory(self, state: GraphState, nodes: Tensor) -> Tensor:
        """(B, d) the last step of the updater made again, which gives `state.memory` under the weights of then."""
        stepped = self.updater(self.message(state, nodes), state.carried[nodes], nodes < self.n_users)
        return torch.where((state.other[nodes] != NOBODY).unsqueeze(1), stepped, state.memory[nodes])

    def layer(self, state: GraphState, nodes: Tensor, at: Tensor, depth: int, memory: Tensor) -> Tensor:
        """z of `depth` layers from the nodes' own memory (B, d); that of neighbours stands as stored. -> (B, d)"""
        if depth == 0:
            return self.static.beside(memory, nodes)
        own = self.layer(state, nodes, at, depth - 1, memory)

        def values(near: Tensor, then: Tensor) -> Tensor:
            return self.layer(state, near, then, depth - 1, state.memory.index_select(0, near))

        return attend(self.layers[depth - 1], state, nodes, at, own, values)

    @torch.no_grad()
    def process(self, state: GraphState, batch: Batch) -> None:
        """Takes a batch of events into `state`, without dropout."""
        training = self.training
        self.eval()
        carried, given = self._carries(self, state, batch), self._gives(self, state, batch)
        nodes = state.receive(batch, carried, given, self._told[batch.item])
        state.memory[nodes] = self.memory(state, nodes)
        self.train(training)


class Read:
    """What a head may look at, of B nodes each at its own time; made when it is asked for."""

    def __init__(self, network: TemporalNetwork, state: GraphState, nodes: Tensor, at: Tensor, depth: int) -> None:
        self._network, self.state, self.nodes, self._at, self._depth = network, state, nodes, at, depth

    @cached_property
    def memory(self) -> Tensor:
        """(B, d); recomputed where there is a gradient to take."""
        if torch.is_grad_enabled():
            return self._network.memory(self.state, self.nodes)
        return self.state.memory[self.nodes]

    @cached_property
    def embedding(self) -> Tensor:
        """z (B, d)."""
        return self._network.layer(self.state, self.nodes, self._at, self._depth, self.memory)

    @property
    def static(self) -> Tensor:
        """x (B, d)."""
        x: Tensor = self._network.static(self.nodes)
        return x

    @property
    def since(self) -> Tensor:
        """(B,) seconds since the last event."""
        return (self._at - self.state.last[self.nodes]).clamp(min=0).float()

    def latest(self) -> tuple[Tensor, Tensor]:
        """Memory and static half (B, d) of the other node of the last event, zeros before there is one."""
        other = self.state.other[self.nodes]
        there, node = (other != NOBODY).unsqueeze(1), other.clamp(min=0)
        return there * self.state.memory[node], there * self._network.static(node)


def memory(_network: TemporalNetwork, state: GraphState, batch: Batch) -> Tensor:
    """Memory as it stands."""
    return state.memory[batch.both]


def embedding(network: TemporalNetwork, state: GraphState, batch: Batch) -> Tensor:
    """The temporal embedding that scores."""
    return torch.cat(network.embed(state, batch.user, batch.time, batch.item, batch.time))
