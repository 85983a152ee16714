"""Decayed popularity: an event counts half as much after every half-life."""

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset, Int64Array
from model.spec import DAY


class DecayedPopularity:
    """Counts with a half-life, kept at the time of the latest event.

    All counts fade alike, so their ranking at a later moment is the one kept.
    """

    def __init__(self, n_items: int, days: float) -> None:
        self._half_life = days * DAY
        self.counts = np.zeros(n_items)
        self._time = 0

    def apply(self, events: Dataset) -> None:
        """Events in order of time, none before those applied already."""
        now = int(events.timestamp[-1])
        self.counts *= np.exp2((self._time - now) / self._half_life)
        np.add.at(self.counts, events.item, np.exp2((events.timestamp - now) / self._half_life))
        self._time = now

    def score(self, users: Int64Array, _at: Int64Array, /) -> NDArray[np.float64]:
        """(B, N) decayed counts; neither the user nor the moment moves their order."""
        return np.broadcast_to(self.counts, (len(users), len(self.counts)))
