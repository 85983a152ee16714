"""Popularity: an item scores the number of its events so far, for every user alike."""

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset, Int64Array


class Popularity:
    """Counts of all time."""

    def __init__(self, n_items: int) -> None:
        self._counts = np.zeros(n_items)

    def apply(self, events: Dataset) -> None:
        np.add.at(self._counts, events.item, 1.0)

    def score(self, users: Int64Array, _at: Int64Array, /) -> NDArray[np.float64]:
        """(B, N) counts; neither the user nor the moment moves them."""
        return np.broadcast_to(self._counts, (len(users), len(self._counts)))
