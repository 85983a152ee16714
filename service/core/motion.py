"""How fast item vectors move: the distance each was moved lately, decayed with a half-life of a day."""

from __future__ import annotations

import numpy as np

from model.process.decay import decay
from model.process.records import NEVER, Float, Int
from model.spec import DAY


class Motion:
    """Decayed distances by catalogue index, as (value, time) pairs."""

    def __init__(self, capacity: int) -> None:
        self._moved = np.zeros(capacity, np.float32)
        self._at = np.full(capacity, NEVER, np.int64)

    def grow(self, capacity: int) -> None:
        more = capacity - len(self._moved)
        self._moved = np.concatenate([self._moved, np.zeros(more, np.float32)])
        self._at = np.concatenate([self._at, np.full(more, NEVER, np.int64)])

    def add(self, index: Int, distance: Float, now: int) -> None:
        """distance: (B,) that the items at `index` have moved; now: unix seconds."""
        self._moved[index] = self._decayed(index, now) + distance
        self._at[index] = now

    def velocity(self, count: int, now: int) -> Float:
        """(count,) distance a day, at `now`."""
        return self._decayed(np.arange(count), now) * np.float32(np.log(2))

    def _decayed(self, index: Int, now: int) -> Float:
        elapsed = np.where(self._at[index] == NEVER, 0, now - self._at[index])
        moved: Float = self._moved[index] * decay(elapsed, (DAY,))[:, 0]
        return moved
