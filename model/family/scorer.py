"""Causal scores of a preset: all candidates, from nothing but what came before."""

from __future__ import annotations

import torch
from torch import Tensor

from model.data.dataset import Dataset, Int64Array
from model.family.batches import Batch, whole_timestamps
from model.family.network import TemporalNetwork
from model.family.presets import FamilySetting
from model.family.stream import Stream
from model.metrics import Score

ITEMS_AT_ONCE = 2_048


class FamilyScorer:
    """A state that moves by batches, as in training. Where `apply` is cut between timestamps changes nothing.

    A user is read with every event of the user's own, those of a batch not yet full being processed for the reading
    and taken back; all else stands as of the last full batch, so that no item is fresher than another. Questions wait
    until a batch is full.
    """

    def __init__(self, network: TemporalNetwork, stream: Stream, setting: FamilySetting) -> None:
        self._network, self._stream, self._least = network, stream, setting.batch_events
        self._state = network.empty_state(setting.dim, setting.neighbours, stream.start)
        self._ahead = self._state.copy()  # where open events are tried out; else the same
        self._time = stream.start  # of the last full batch
        self._open = Batch.join([])  # whole timestamps since, fewer than `least` events
        self._items: Tensor | None = None  # (N, d'), None when a batch has moved them
        self._asked: list[tuple[Tensor, Tensor, Tensor]] = []  # since the last full batch; see `_read`
        self._scores: list[Tensor] = []  # of what was asked before

    def apply(self, events: Dataset, /) -> None:
        waiting = self._open = Batch.join([self._open, Batch.of(events)])
        for rows in whole_timestamps(waiting.time.numpy(), self._least):
            batch = waiting.take(rows)
            if len(batch) >= self._least:
                self._answer()
                self._network.process(self._state, batch)
                self._align(batch)
                self._time, self._items = int(batch.time[-1]), None
                self._open = waiting.take(slice(rows.stop, None))

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        """(B, N) for B users, each at its own moment [s]."""
        scores: Score = self._read(*self._question(users, at)).numpy()
        return scores

    def ask(self, users: Int64Array, at: Int64Array, /) -> None:
        self._asked.append(self._question(users, at))

    def answers(self) -> Score:
        self._answer()
        scores: Score = torch.cat(self._scores).numpy()
        self._scores = []
        return scores

    def _question(self, users: Int64Array, at: Int64Array) -> tuple[Tensor, Tensor, Tensor]:
        return torch.from_numpy(users), torch.from_numpy(at), torch.full((len(users),), len(self._open))

    def _answer(self) -> None:
        if self._asked:
            self._scores.append(self._read(*map(torch.cat, zip(*self._asked, strict=True))))
            self._asked = []

    @torch.no_grad()
    def _read(self, users: Tensor, at: Tensor, seen: Tensor) -> Tensor:
        """(R, N) for R users, who may come several times; seen: (R,) open events that were before each reading."""
        if self._items is None:
            self._items = self._all_items()
        events = torch.arange(len(self._open))
        own = (self._open.user == users.unsqueeze(1)) & (events < seen.unsqueeze(1))  # (R, open events)
        count, left = own.sum(dim=1), torch.arange(len(users))
        scores = torch.empty(len(users), len(self._items))
        while len(left):  # each user as of one moment, the first ones first
            fewest = torch.full((self._stream.n_users,), len(events) + 1)
            fewest = fewest.scatter_reduce(0, users[left], count[left], "amin")
            now = count[left] == fewest[users[left]]
            here, left = left[now], left[~now]
            h = self._embed_after(self._open.take(own[here].any(dim=0)), users[here], at[here])
            scores[here] = h @ self._items.T
        return scores

    def _embed_after(self, events: Batch, users: Tensor, at: Tensor) -> Tensor:
        """h (B, d') after some open events of these users."""
        if not len(events):
            return self._network.embed_users(self._state, users, at)
        self._network.process(self._ahead, events)
        h = self._network.embed_users(self._ahead, users, at, around=self._state)
        self._align(events)
        return h

    def _align(self, events: Batch) -> None:
        nodes = torch.unique(events.both)
        self._ahead.put(nodes, self._state.rows(nodes))

    def _all_items(self) -> Tensor:
        nodes = torch.arange(self._stream.n_users, self._stream.nodes)
        at = torch.full((ITEMS_AT_ONCE,), self._time)
        parts = torch.split(nodes, ITEMS_AT_ONCE)
        return torch.cat([self._network.embed_items(self._state, part, at[: len(part)]) for part in parts])
