"""What the graph baselines share: the network of layers, its training and its scorer.

All are static: the graph is that of the training events, each pair once. Embeddings of items stand after training; a
user is read by the same layers along the edges of the user's history as it is, so that the scorer on training rows
gives training's own user embeddings, and on later ones their fold-in. A user whom training has not seen starts from
the mean of those it has; an item it has not seen has the last place.

Loss: softmax over all items, each event of a user a positive (not the BPR loss of the papers, which is weaker).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from model.baselines.baseline import Job, Round
from model.baselines.bipartite import Edges
from model.baselines.known_items import KnownItems
from model.baselines.softmax import softmax_loss
from model.baselines.user_events import UserEvents
from model.data.dataset import Dataset, Int32Array, Int64Array
from model.metrics import Score

USERS_A_STEP = 512
STEPS_A_ROUND = 20
ROUNDS = 100
CLIP = 1.0


class GraphSetting(BaseModel):
    """What is searched, and the rest of what a network is built from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: int = 64
    layers: int = 2
    dropout: float = 0.1
    """Share of the edges left out in training."""
    learning_rate: float = 0.01
    weight_decay: float = 0.01


Join = Callable[[Sequence[Tensor]], Tensor]


def mean_of_layers(layers: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(layers)).mean(0)


def all_layers(layers: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(layers), dim=1)


def last_layer(layers: Sequence[Tensor]) -> Tensor:
    return layers[-1]


class GraphNetwork(nn.Module):
    """Learned vectors of users and items, passed through layers along the edges; scores are dot products.

    A layer maps (own (D, d), others (S, d), edges from S to D) to (D, d). `join` makes one vector of all layers' ones.
    """

    def __init__(self, users: int, items: int, dim: int, layers: Sequence[nn.Module], join: Join) -> None:
        super().__init__()
        self.users = nn.Parameter(torch.randn(users, dim) * 0.1)
        self.items = nn.Parameter(torch.randn(items, dim) * 0.1)
        self.layers = nn.ModuleList(layers)
        self.join = join

    def forward(self, to_users: Edges, to_items: Edges) -> tuple[Tensor, list[Tensor]]:
        """Joined vectors of all users (U, d'), and every layer's vectors of all items."""
        users: list[Tensor] = [self.users]
        items: list[Tensor] = [self.items]
        for layer in self.layers:
            both = layer(users[-1], items[-1], to_users), layer(items[-1], users[-1], to_items)
            users.append(both[0])
            items.append(both[1])
        return self.join(users), items

    def fold_in(self, users: Tensor, items: Sequence[Tensor], to_users: Edges) -> Tensor:
        """The same for users (B, d) whose edges may be others: joined vectors (B, d') beside every layer's items."""
        layers = [users]
        for layer, others in zip(self.layers, items[:-1], strict=True):
            layers.append(layer(layers[-1], others, to_users))
        return self.join(layers)


class GraphFit:
    """`Fit` of a graph baseline. build: the network of a setting, for numbers of users and of known items."""

    def __init__(self, build: Callable[[GraphSetting, int, int], GraphNetwork]) -> None:
        self._build = build

    def __call__(self, events: Dataset, job: Job, /) -> Iterator[Round]:
        setting = GraphSetting.model_validate(dict(job.setting))
        torch.manual_seed(job.seed)
        graph = TrainingGraph(events)
        network = self._build(setting, events.n_users, len(graph.known))
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=setting.learning_rate, weight_decay=setting.weight_decay, fused=True
        )
        steps = graph.steps()
        for number in range(1, ROUNDS + 1):
            losses = []
            network.train()
            for _ in range(STEPS_A_ROUND):
                users = next(steps)
                row, positive = graph.positives(users)
                h, items = network(graph.to_users, graph.to_items)
                loss = softmax_loss(h[users], network.join(items), row, positive)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
                optimiser.step()
                optimiser.zero_grad()
                losses.append(loss.item())
                job.progress(len(positive))
            network.eval()
            yield Round(number, partial(GraphScorer, network, graph), float(np.mean(losses)))


class TrainingGraph:
    """The training events as edges, each pair once, and as positives, each event one."""

    def __init__(self, events: Dataset) -> None:
        self.known = KnownItems(events)
        self.n_users = events.n_users
        user = torch.from_numpy(events.user.astype(np.int64))
        item = torch.from_numpy(self.known.columns(events.item))
        pairs = torch.unique(user * len(self.known) + item)
        users, items = pairs // len(self.known), pairs % len(self.known)
        degree = torch.bincount(users, minlength=self.n_users), torch.bincount(items, minlength=len(self.known))
        self.to_users = Edges.of(users, items, self.n_users, degree[1])
        self.to_items = Edges.of(items, users, len(self.known), degree[0])
        self._item = item[torch.argsort(user, stable=True)]
        self._starts = functional.pad(torch.bincount(user, minlength=self.n_users).cumsum(0), (1, 0))

    def steps(self) -> Iterator[Tensor]:
        """(B,) users with events, all of them again and again in random order."""
        there = torch.nonzero(self._starts.diff()).squeeze(1)
        while True:
            yield from torch.split(there[torch.randperm(len(there))], USERS_A_STEP)

    def positives(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """(E,) place in `users` and column of the item, for each of their events."""
        count = self._starts[users + 1] - self._starts[users]
        row = torch.repeat_interleave(torch.arange(len(users)), count)
        within = torch.arange(len(row)) - torch.repeat_interleave(count.cumsum(0) - count, count)
        return row, self._item[self._starts[users][row] + within]

    def live(self, histories: Sequence[Int32Array]) -> Edges:
        """Edges to users who have had these items."""
        items = [np.unique(self.known.columns(history)) for history in histories]
        users = torch.repeat_interleave(torch.arange(len(items)), torch.tensor([len(of) for of in items]))
        return Edges.of(users, torch.from_numpy(np.concatenate(items)), len(items), self.to_users.source_degree)


class GraphScorer:
    """Reads users by their history; knows items by their training."""

    reads_alone = True

    def __init__(self, network: GraphNetwork, graph: TrainingGraph) -> None:
        self._network, self._graph = network, graph
        self._events = UserEvents(graph.n_users)
        with torch.no_grad():
            _, self._items = network(graph.to_users, graph.to_items)
            trained = graph.to_users.degree > 0
            mean = network.users[trained].mean(0)
            self._users = torch.where(trained.unsqueeze(1), network.users, mean)  # (U, d)

    def apply(self, events: Dataset, /) -> None:
        self._events.apply(events)

    def score(self, users: Int64Array, _at: Int64Array, /) -> Score:
        """(B, N) dot products of fold-in embeddings; the moment does not matter."""
        edges = self._graph.live([self._events.of(user)[0] for user in users.tolist()])
        with torch.no_grad():
            h = self._network.fold_in(self._users[torch.from_numpy(users)], self._items, edges)
            return self._graph.known.spread((h @ self._network.join(self._items).T).numpy())
