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

    Users are read with every event applied so far: those of a batch not yet full are processed for the reading and
    taken back. Items are all read at once, as of the last full batch, so that none is fresher than another.
    """

    def __init__(self, network: TemporalNetwork, stream: Stream, setting: FamilySetting) -> None:
        self._network, self._stream, self._least = network, stream, setting.batch_events
        self._state = network.empty_state(setting.dim, setting.neighbours, stream.start)
        self._time = stream.start  # of the last full batch
        self._open: Batch | None = None  # whole timestamps since, fewer than `least` events
        self._undo: tuple[Tensor, list[Tensor]] | None = None
        self._items: Tensor | None = None  # (N, d'), None when a batch has moved them

    def apply(self, events: Dataset, /) -> None:
        self._take_back()
        waiting = Batch.of(events) if self._open is None else Batch.join([self._open, Batch.of(events)])
        self._open = None
        for rows in whole_timestamps(waiting.time.numpy(), self._least):
            batch = waiting.take(rows)
            if len(batch) < self._least:
                self._open = batch
            else:
                self._network.process(self._state, batch)
                self._time, self._items = int(batch.time[-1]), None

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        """(B, N) for B users, each at its own moment [s]."""
        with torch.no_grad():
            if self._items is None:
                self._take_back()
                self._items = self._all_items()
            self._look_ahead()
            h = self._network.embed_users(self._state, torch.from_numpy(users), torch.from_numpy(at))
            scores: Score = (h @ self._items.T).numpy()
        return scores

    def _all_items(self) -> Tensor:
        nodes = torch.arange(self._stream.n_users, self._stream.nodes)
        at = torch.full((ITEMS_AT_ONCE,), self._time)
        parts = torch.split(nodes, ITEMS_AT_ONCE)
        return torch.cat([self._network.embed_items(self._state, part, at[: len(part)]) for part in parts])

    def _look_ahead(self) -> None:
        """Processes the open batch for reading."""
        if self._open is not None and self._undo is None:
            nodes = torch.unique(self._open.both)
            self._undo = nodes, self._state.rows(nodes)
            self._network.process(self._state, self._open)

    def _take_back(self) -> None:
        if self._undo is not None:
            self._state.put(*self._undo)
            self._undo = None
