"""Own frequency: a user's items by how often and how lately they had them, then the popular ones."""

import numpy as np
from numpy.typing import NDArray

from model.baselines.decayed_popularity import DecayedPopularity
from model.data.dataset import Dataset, Int32Array, Int64Array
from model.spec import DAY

TAIL = 1e-3  # events


class OwnFrequency:
    """The user's own decayed counts, plus `tail` at a thousandth of one event.

    The tail orders what the user bought together and all that the user never had; only an item not had for ten
    half-lives falls below the most popular.
    """

    def __init__(self, n_users: int, days: float, tail: DecayedPopularity) -> None:
        self._half_life = days * DAY
        self._tail = tail
        self._items: list[Int32Array] = [np.empty(0, dtype=np.int32)] * n_users
        self._times: list[Int64Array] = [np.empty(0, dtype=np.int64)] * n_users

    def apply(self, events: Dataset) -> None:
        self._tail.apply(events)
        order = np.argsort(events.user, kind="stable")
        users, starts = np.unique(events.user[order], return_index=True)
        for user, rows in zip(users, np.split(order, starts[1:]), strict=True):
            self._items[user] = np.append(self._items[user], events.item[rows])
            self._times[user] = np.append(self._times[user], events.timestamp[rows])

    def score(self, users: Int64Array, at: Int64Array, /) -> NDArray[np.float64]:
        """(B, N) for B users, each at its own moment [s]."""
        tail = self._tail.score(users, at)
        scores: NDArray[np.float64] = TAIL * tail / (1.0 + tail.max(initial=0.0))
        for row, (user, now) in enumerate(zip(users, at, strict=True)):
            weights = np.exp2((self._times[user] - now) / self._half_life)
            scores[row] += np.bincount(self._items[user], weights, minlength=scores.shape[1])
        return scores
