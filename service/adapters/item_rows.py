"""The rows of an item index in process memory: one float32 matrix [v || P], counters, availability, attributes.

They agree with `model.process.state.State` row for row (test): what training and evaluation score by is what is served.
Not safe for use while another thread writes: the caller applies entries between requests, and finishes chores there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.process.apply import visible_items
from model.process.popularity import decayed_counts, popularity_features
from model.process.records import NEVER, Float, Int, Records, counters_of, layout, new_items
from model.process.temporal_model import TemporalModel
from model.spec import DAY
from service.core.attributes import Attributes, Mask
from service.core.motion import Motion
from service.core.types import FeedEntry, Position
from service.ports import Chore, FeedLost

_NOTHING: Int = np.empty(0, np.int64)
_SMALLEST = 1_024  # rows that are there from the start
_CHUNK = 4_000
"""Items whose popularity one chore computes: few enough to be taken over between two requests."""


class ItemRows:
    """What `ItemIndex` holds. at_once: whether a new step of popularity shows for all items at once (with the events as
    the clock, where lists must not depend on how fast they are asked for), or as chores get to them (live)."""

    def __init__(self, model: TemporalModel, at_once: bool = True) -> None:
        self.model = model
        self.spec = model.spec
        self._at_once = at_once
        half_lives = np.asarray(self.spec.popularity_half_lives)
        self._week = int(np.argmin(np.abs(half_lives - 7 * DAY)))
        self._clear(_SMALLEST, Position())

    def _clear(self, capacity: int, position: Position) -> None:
        self._ids: list[str] = []
        self._places: dict[str, int] = {}
        self._matrix = np.zeros((capacity, self.spec.dim + self.spec.popularity_dim), dtype=np.float32)
        self._counters: Records = np.zeros(capacity, dtype=layout(self.spec).counters)
        self._available = np.zeros(capacity, dtype=np.bool_)
        self._norms = np.zeros(capacity, dtype=np.float32)
        self._counts = np.zeros(capacity, dtype=np.float32)
        self._motion = Motion(capacity)
        self._attributes = Attributes()
        self._position = position
        self._loaded_at = position.offset
        self._next_change = -NEVER
        self._behind = 0

    @property
    def position(self) -> Position:
        return self._position

    @property
    def ids(self) -> Sequence[str]:
        return self._ids

    @property
    def vectors(self) -> Float:
        return _read_only(self._matrix[: len(self._ids), : self.spec.dim])

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
        self._matrix[everything, : self.spec.dim] = visible = visible_items(items, position.tick, self.model)
        self._norms[everything] = _lengths(visible)
        self._counters[everything] = counters_of(items, self.spec)
        self._weigh(everything)
        self._open(everything)
        self._written(everything)

    def apply(self, entry: FeedEntry) -> None:
        """Takes over a feed entry; what an item already has from a newer offset stays.

        Vectors carry no offset of their own: those older than what was loaded are in it already. Raises FeedLost for
        an entry that names items this index was never told of.
        """
        first = entry.position.item_count - len(entry.new_items)
        if first > len(self._ids):
            raise FeedLost(f"an entry adds items from index {first} on, but only {len(self._ids)} are known")
        if new := entry.new_items[len(self._ids) - first :]:
            self._add(new)
        touched, moved = self._count(entry), _NOTHING
        if entry.position.offset >= self._loaded_at:
            moved = self._show(entry)
            touched = np.union1d(touched, self._describe(entry)) if entry.documents else touched
        newer = entry.position.offset >= self._position.offset
        self._position = replace(
            self._position,
            offset=entry.position.offset if newer else self._position.offset,
            tick=entry.position.tick if newer else self._position.tick,
        )
        self._move(max(self._position.log_time, entry.position.log_time), touched, moved)

    def advance(self, log_time: int) -> None:
        """Moves the time that popularity's decay and availability are judged by (never back)."""
        if log_time > self._position.log_time:
            self._move(log_time, _NOTHING, _NOTHING)

    def popularity(self) -> Float:
        """(N,) counts with a half-life of 7 days, at floor(log_time / pop_step)."""
        return _read_only(self._counts[: len(self._ids)])

    def chore(self) -> Chore | None:
        """What may be done beside the requests; None if there is nothing."""
        if self._behind >= len(self._ids):
            return None
        start, stop = self._behind, min(self._behind + _CHUNK, len(self._ids))
        return _Weighing(self, start, self._counters[start:stop].copy(), self._position.log_time)

    def weigh(self, start: int, counters: Records, counts: Float, popularity: Float, log_time: int) -> None:
        """Takes over the counts (B,) and popularity (B, P) that were computed from counters (B,) of the items from
        `start` on, as of `log_time`; what was touched since has newer ones."""
        if start != self._behind or log_time // self.spec.pop_step != self._position.log_time // self.spec.pop_step:
            return
        index = np.arange(start, start + len(counters))
        index = index[self._counters["offset"][index] == counters["offset"]]
        self._matrix[index, self.spec.dim :] = popularity[index - start]
        self._counts[index] = counts[index - start]
        self._written(index)
        self._behind += len(counters)

    @property
    def figures(self) -> Mapping[str, float]:
        """Measured of itself."""
        count = max(1, len(self._ids))
        return {"bytes_per_item": self._bytes() / count}

    def _bytes(self) -> int:
        """Of the arrays, as far as items fill them."""
        columns = (self._matrix, self._counters, self._available, self._norms, self._counts)
        return sum(column[: len(self._ids)].nbytes for column in columns)

    def _written(self, index: Int, moved: int = 0) -> None:
        """Told after the rows or the availability of the items at `index` have changed; moved: how many vectors did."""

    def _add(self, ids: Sequence[str]) -> None:
        """Registers items that did nothing yet."""
        first, count = len(self._ids), len(self._ids) + len(ids)
        self._reserve(count)
        self._register(ids)
        blank = new_items(len(ids), self.spec, self.model.initial_item)
        self._counters[first:count] = counters_of(blank, self.spec)

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
        self._counts = np.concatenate([self._counts, np.zeros(more, dtype=np.float32)])
        self._motion.grow(capacity + more)

    def _show(self, entry: FeedEntry) -> Int:
        """Takes over vectors, and how far they moved; a new item's first one is no movement. Returns the indexes."""
        index = entry.vector_index.astype(np.int64)
        if not len(index):
            return index
        shown = self._norms[index] > 0.0
        distance = _lengths(entry.vectors - self._matrix[index, : self.spec.dim])
        self._motion.add(index[shown], distance[shown], max(self._position.log_time, entry.position.log_time))
        self._matrix[index, : self.spec.dim] = entry.vectors
        self._norms[index] = _lengths(entry.vectors)
        return index

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

    def _move(self, log_time: int, touched: Int, moved: Int) -> None:
        """Moves the time and refreshes what it changes: popularity of all items at a new step, else of `touched`.

        moved: items whose vectors were written.
        """
        step, count = self.spec.pop_step, len(self._ids)
        stepped = log_time // step != self._position.log_time // step
        self._position = replace(self._position, log_time=log_time)
        if stepped:
            self._behind = count if self._at_once else 0
        weighed = np.arange(count) if stepped and self._at_once else touched
        opened = np.arange(count) if log_time >= self._next_change else touched
        self._weigh(weighed)
        self._open(opened)
        written = weighed if len(weighed) >= len(opened) else opened
        if len(moved) and len(written) < count and not np.array_equal(moved, written):
            written = np.union1d(moved, written)
        self._written(written, len(moved))

    def _weigh(self, index: Int) -> None:
        """Popularity of the items at `index`, at the log's time."""
        if len(index):
            self._counts[index], self._matrix[index, self.spec.dim :] = self.weighed(
                self._counters[index], self._position.log_time
            )

    def weighed(self, counters: Records, log_time: int) -> tuple[Float, Float]:
        """(B,) counts with a half-life of 7 days and (B, P) popularity of `counters` (B,), at that time."""
        counts = decayed_counts(counters, log_time, self.spec)
        features = popularity_features(counters, log_time, self.spec, counts)
        return counts[:, self._week], self.model.popularity(features)

    def _open(self, index: Int) -> None:
        """Availability of the items at `index`, at the log's time."""
        if not len(index):
            return
        counters, log_time = self._counters[index], self._position.log_time
        released = (counters["first_event"] != NEVER) | (counters["available_from"] <= log_time)
        until = self._attributes.until[index]
        self._available[index] = released & (until > log_time) & ~self._attributes.hidden[index]
        kept = self._next_change if len(index) < len(self._ids) else -NEVER
        waiting, ending = counters["available_from"][~released], until[until > log_time]
        self._next_change = int(min(kept, waiting.min(initial=-NEVER), ending.min(initial=-NEVER)))


@dataclass
class _Weighing:
    """`Chore`: popularity of the items from `start` on. counters: (B,) a copy of theirs."""

    rows: ItemRows
    start: int
    counters: Records
    log_time: int
    found: tuple[Float, Float] = (np.empty(0, np.float32), np.empty(0, np.float32))

    def compute(self) -> None:
        self.found = self.rows.weighed(self.counters, self.log_time)

    def finish(self) -> None:
        self.rows.weigh(self.start, self.counters, *self.found, self.log_time)


def _lengths(vectors: Float) -> Float:
    """(B,) of vectors (B, d)."""
    return np.asarray(np.sqrt(np.einsum("bd,bd->b", vectors, vectors)))


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
