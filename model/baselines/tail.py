"""The tail of a list: popular items, so light that they only order what a model scores alike."""

import numpy as np
from numpy.typing import NDArray

from model.baselines.decayed_popularity import DecayedPopularity
from model.data.dataset import Dataset

DAYS = 30


class Tail:
    """30-day popularity, at most `weight` for the most popular item. A user without history gets nothing else."""

    def __init__(self, n_items: int, weight: float = 1e-4, days: float = DAYS) -> None:
        self._popularity = DecayedPopularity(n_items, days)
        self._weight = weight

    def apply(self, events: Dataset) -> None:
        self._popularity.apply(events)

    def scores(self) -> NDArray[np.float64]:
        """(N,) to be added to the scores of every user."""
        counts = self._popularity.counts
        return np.asarray(self._weight * counts / (1.0 + counts.max(initial=0.0)))
