"""A dense state that publishes what it does as a worker would: the source of feeds for the suite of the item index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.process.batch import Events
from model.process.records import NEVER, Float, Int, Records, counters_of
from model.process.state import State
from model.spec import ModelSpec
from service.core.types import FeedEntry, Position
from tests.process.toy import TOY_SPEC, ToyModel

USERS = 3


@dataclass
class Moment:
    """The state after a step, as a replica would read it, and the feed entry of that step."""

    position: Position
    items: Records
    matrix: Float
    available: np.ndarray
    entry: FeedEntry


class Publisher:
    """A dense state, a catalogue that grows in order of index, and the feed entries a worker makes of it."""

    def __init__(self, count: int, spec: ModelSpec = TOY_SPEC) -> None:
        self.spec = spec
        rng = np.random.default_rng(count)
        self.ids = [f"item-{n}" for n in range(count)]
        static = rng.normal(size=(count, spec.static_dim)).astype(np.float32)
        self.state = State(ToyModel(spec), USERS, self.ids, static, np.full(count, -NEVER))
        self.known = 0
        self.offset = 0
        self.shown = self.state.item_vectors.copy()

    def step(self, new: int, events: list[tuple[int, int, int]], releases: dict[int, int]) -> Moment:
        """Adds `new` items, sets `releases` (available_from by index), applies (user, item, timestamp) events."""
        new = min(new, len(self.ids) - self.known)
        self.known += new
        self.offset += 1
        for index, time in releases.items():
            self.state.items["available_from"][index % self.known] = time
            self.state.items["offset"][index % self.known] = self.offset
        rows = [(user, item % self.known, timestamp) for user, item, timestamp in events]
        if rows:
            self.state.apply(self._events(rows))
        touched = sorted({item for _, item, _ in rows} | {index % self.known for index in releases})
        return self._publish(new, np.array(touched, dtype=np.int64))

    def _events(self, rows: list[tuple[int, int, int]]) -> Events:
        user, item, timestamp = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
        offsets = np.arange(self.offset, self.offset + len(rows))
        self.offset = int(offsets[-1])
        kind = np.full(len(rows), self.spec.type_code("purchase"), dtype=np.uint8)
        return Events(user, item, timestamp, kind, np.ones(len(rows), np.float32), offsets)

    def _publish(self, new: int, touched: Int) -> Moment:
        log_time, known = self.state.log_time, self.known
        position = Position(self.offset, log_time, log_time // self.spec.item_tick, known)
        vectors = self.state.item_vectors
        changed = np.flatnonzero(np.any(vectors[:known] != self.shown[:known], axis=1))
        moved: Int = np.union1d(changed, np.arange(known - new, known))
        self.shown = vectors.copy()
        entry = FeedEntry(
            position,
            tuple(self.ids[known - new : known]),
            touched.astype(np.uint32),
            counters_of(self.state.items[touched], self.spec),
            moved.astype(np.uint32),
            vectors[moved],
        )
        matrix, available = self.state.matrix[:known].copy(), self.state.available()[:known].copy()
        return Moment(position, self.state.items[:known].copy(), matrix, available, entry)
