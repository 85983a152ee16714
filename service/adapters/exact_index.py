"""The item index that searches every item: one float32 matrix [v || P], rows written in place, search in numpy.

It agrees with `model.process.state.State` row for row (test): what training and evaluation score by is what is served.
Not safe for use while another thread writes: the caller applies entries between requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from model.process.apply import visible_items
from model.process.decay import decay
from model.process.popularity import popularity_features
from model.process.records import NEVER, Float, Int, Records, counters_of, layout, new_items
from model.process.score import score_all
from model.process.temporal_model import TemporalModel
from model.spec import DAY
from service.core.attributes import Attributes, Mask
from service.core.motion import Motion
from service.core.types import FeedEntry, Position
from service.ports import FeedLost

_SMALLEST = 1_024  # rows that are there from the start


class ExactIndex:
    """`ItemIndex`."""

    def __init__(self, model: TemporalModel) -> None:
        self._model = model
        self._spec = model.spec
        half_lives = np.asarray(self._spec.popularity_half_lives)
        self._week = int(np.argmin(np.abs(half_lives - 7 * DAY)))
        self._clear(_SMALLEST, Position())

    def _clear(self, capacity: int, position: Position) -> None:
        self._ids: list[str] = []
        self._places: dict[str, int] = {}
        self._matrix = np.zeros((capacity, self._spec.dim + self._spec.popularity_dim), dtype=np.float32)
        self._counters: Records = np.zeros(capacity, dtype=layout(self._spec).counters)
        self._available = np.zeros(capacity, dtype=np.bool_)
        self._norms = np.zeros(capacity, dtype=np.float32)
        self._motion = Motion(capacity)
        self._attributes = Attributes()
        self._position = position
        self._loaded_at = position.offset
        self._next_change = -NEVER

    @property
    def position(self) -> Position:
        return self._position

    @property
    def ids(self) -> Sequence[str]:
        return self._ids

    @property
    def vectors(self) -> Float:
        return _read_only(self._matrix[: len(self._ids), : self._spec.dim])

    @property
    def counters(self) -> Records:
        return _read_only(self._counters[: len(self._ids)])

    @property
    def attributes(self) -> Attributes:
        return self._attributes

    @property
    def available(self) -> Mask:
        return _read_only(self._available[: len(self._ids)])

    @property
    def velocity(self) -> Float:
        return self._motion.velocity(len(self._ids), self._position.log_time)

    def find(self, item_id: str) -> int | None:
        return self._places.get(item_id)

    def load(
        self, ids: Sequence[str], items: Records, position: Position, attributes: Attributes | None = None
    ) -> None:
        """Replaces everything by item records (N,) and their attributes as read from the state; they may be newer than
        `position`."""
        if len(ids) != len(items):
            raise ValueError(f"{len(ids)} item ids, but {len(items)} item records")
        self._clear(max(_SMALLEST, len(ids)), position)
        self._attributes = attributes or self._attributes
        self._register(ids)
        everything = np.arange(len(ids))
        self._matrix[everything, : self._spec.dim] = visible = visible_items(items, position.tick, self._model)
        self._norms[everything] = np.linalg.norm(visible, axis=1)
        self._counters[everything] = counters_of(items, self._spec)
        self._refresh(everything)

    def apply(self, entry: FeedEntry) -> None:
        """Takes over a feed entry; what an item already has from a newer offset stays.

        Vectors carry no offset of their own: those older than what was loaded are in it already. Raises FeedLost for
        an entry that names items this index was never told of.
        """
        first = entry.position.item_count - len(entry.new_items)
        if first > len(self._ids):
            raise FeedLost(f"an entry adds items from index {first} on, but only {len(self._ids)} are known")
        self._add(entry.new_items[len(self._ids) - first :])
        touched = self._count(entry)
        if entry.position.offset >= self._loaded_at:
            self._show(entry)
            touched = np.union1d(touched, self._describe(entry)) if entry.documents else touched
        newer = entry.position.offset >= self._position.offset
        self._position = replace(
            self._position,
            offset=entry.position.offset if newer else self._position.offset,
            tick=entry.position.tick if newer else self._position.tick,
        )
        self._move(max(self._position.log_time, entry.position.log_time), touched)

    def advance(self, log_time: int) -> None:
        """Moves the time that popularity's decay and availability are judged by (never back)."""
        if log_time > self._position.log_time:
            self._move(log_time, np.empty(0, dtype=np.int64))

    def top_k(
        self,
        query: Float,
        k: int,
        additions: tuple[Int, Float],
        exclude: Int,
        allowed: Mask | None = None,
        bonus: Float | None = None,
    ) -> tuple[Int, Float]:
        """The k available items with the highest query . item + addition + bonus, best first. Unknown indexes are
        passed over.

        query: (d + P,); additions: (M,) distinct indexes and (M,) scores; exclude: indexes; allowed: (N,); bonus: (N,).
        """
        count = len(self._ids)
        scores = self._matrix[:count] @ query.astype(np.float32, copy=False)
        index, addition = additions
        known = index < count
        scores[index[known]] += addition[known]
        if bonus is not None:
            scores += bonus
        return self._best(scores, k, exclude, allowed)

    def score_many(self, queries: Float, additions: tuple[Int, Int, Float]) -> Float:
        """(B, N) scores of all items for B queries (B, d + P), in one matrix pass. additions: (query, index, score)."""
        count = len(self._ids)
        query, index, addition = additions
        known = index < count
        matrix = self._matrix[:count]
        return score_all(queries.astype(np.float32, copy=False), matrix, query[known], index[known], addition[known])

    def best(self, scores: Float, k: int, exclude: Int, allowed: Mask | None = None) -> tuple[Int, Float]:
        """The k available items with the highest of `scores` (N,), best first."""
        return self._best(scores.astype(np.float32), k, exclude, allowed)

    def nearest(self, vector: Float, k: int, exclude: Int, allowed: Mask | None = None) -> tuple[Int, Float]:
        """The k available items whose vectors point most nearly in the direction of `vector` (d,): (index, cosine)."""
        count = len(self._ids)
        norms = np.maximum(self._norms[:count] * np.float32(np.linalg.norm(vector)), np.finfo(np.float32).tiny)
        cosines: Float = self._matrix[:count, : self._spec.dim] @ vector.astype(np.float32, copy=False) / norms
        return self._best(cosines, k, exclude, allowed)

    def popular(self, k: int, exclude: Int) -> tuple[Int, Float]:
        """The k available items with the highest 7-day-half-life counts, at floor(log_time / pop_step)."""
        return self._best(self.popularity(), k, exclude)

    def popularity(self) -> Float:
        """(N,) counts with a half-life of 7 days, at floor(log_time / pop_step)."""
        counters = self._counters[: len(self._ids)]
        step = self._spec.pop_step
        elapsed = self._position.log_time // step * step - counters["pop_time"]
        elapsed[counters["first_event"] == NEVER] = 0
        half_life = self._spec.popularity_half_lives[self._week]
        counts: Float = counters["popularity"][:, self._week] * decay(elapsed, (half_life,))[:, 0]
        return counts

    def _best(self, scores: Float, k: int, exclude: Int, allowed: Mask | None = None) -> tuple[Int, Float]:
        """The k highest of `scores` (N,), which it spoils; equal ones in order of index."""
        count = len(scores)
        scores[exclude[exclude < count]] = -np.inf
        scores[~self._available[:count]] = -np.inf
        if allowed is not None:
            scores[~allowed] = -np.inf
        k = min(k, count)
        if k <= 0:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        least = np.partition(scores, count - k)[count - k]
        candidates = np.flatnonzero((scores >= least) & (scores > -np.inf))
        best = candidates[np.argsort(-scores[candidates], kind="stable")[:k]]
        return best, scores[best]

    def _add(self, ids: Sequence[str]) -> None:
        """Registers items that did nothing yet."""
        first, count = len(self._ids), len(self._ids) + len(ids)
        self._reserve(count)
        self._register(ids)
        blank = new_items(len(ids), self._spec, self._model.initial_item)
        self._counters[first:count] = counters_of(blank, self._spec)

    def _register(self, ids: Sequence[str]) -> None:
        self._places.update(zip(ids, range(len(self._ids), len(self._ids) + len(ids)), strict=True))
        self._ids.extend(ids)
        self._position = replace(self._position, item_count=len(self._ids))
        self._attributes.grow(len(self._ids))

    def _reserve(self, count: int) -> None:
        """Makes room for `count` items by doubling; arrays handed out before stay as they are."""
        capacity = len(self._matrix)
        if count <= capacity:
            return
        more = max(count, 2 * capacity) - capacity
        self._matrix = np.concatenate([self._matrix, np.zeros((more, self._matrix.shape[1]), dtype=np.float32)])
        self._counters = np.concatenate([self._counters, np.zeros(more, dtype=self._counters.dtype)])
        self._available = np.concatenate([self._available, np.zeros(more, dtype=np.bool_)])
        self._norms = np.concatenate([self._norms, np.zeros(more, dtype=np.float32)])
        self._motion.grow(capacity + more)

    def _show(self, entry: FeedEntry) -> None:
        """Takes over vectors, and how far they moved; a new item's first one is no movement."""
        index = entry.vector_index.astype(np.int64)
        shown = self._norms[index] > 0.0
        distance = np.linalg.norm(entry.vectors - self._matrix[index, : self._spec.dim], axis=1)
        self._motion.add(index[shown], distance[shown], max(self._position.log_time, entry.position.log_time))
        self._matrix[index, : self._spec.dim] = entry.vectors
        self._norms[index] = np.linalg.norm(entry.vectors, axis=1)

    def _describe(self, entry: FeedEntry) -> Int:
        """Takes over what lists filter by; returns the indexes."""
        for index, document in entry.documents.items():
            self._attributes.put(index, document)
        return np.fromiter(entry.documents, dtype=np.int64, count=len(entry.documents))

    def _count(self, entry: FeedEntry) -> Int:
        """Takes over the counters that are not older than an item's own; returns the indexes of those."""
        newer = entry.counters["offset"] >= self._counters["offset"][entry.counter_index]
        index = entry.counter_index[newer].astype(np.int64)
        self._counters[index] = entry.counters[newer]
        return index

    def _move(self, log_time: int, touched: Int) -> None:
        """Moves the time and refreshes what it changes: popularity of all items at a new step, else of `touched`."""
        step = self._spec.pop_step
        stepped = log_time // step != self._position.log_time // step
        self._position = replace(self._position, log_time=log_time)
        everything = stepped or log_time >= self._next_change
        self._refresh(np.arange(len(self._ids)) if everything else touched)

    def _refresh(self, index: Int) -> None:
        """Popularity and availability of the items at `index`, at the log's time."""
        if not len(index):
            return
        counters, log_time = self._counters[index], self._position.log_time
        features = popularity_features(counters, log_time, self._spec)
        self._matrix[index, self._spec.dim :] = self._model.popularity(features)
        released = (counters["first_event"] != NEVER) | (counters["available_from"] <= log_time)
        until = self._attributes.until[index]
        self._available[index] = released & (until > log_time) & ~self._attributes.hidden[index]
        kept = self._next_change if len(index) < len(self._ids) else -NEVER
        waiting, ending = counters["available_from"][~released], until[until > log_time]
        self._next_change = int(min(kept, waiting.min(initial=-NEVER), ending.min(initial=-NEVER)))


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
