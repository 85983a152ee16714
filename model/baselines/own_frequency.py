"""Own frequency: a user's items by how often and how lately they had them, then the popular ones."""

import numpy as np
from numpy.typing import NDArray

from model.baselines.tail import Tail
from model.baselines.user_events import UserEvents
from model.data.dataset import Dataset, Int64Array
from model.spec import DAY

TAIL = 1e-3  # events


class OwnFrequency:
    """The user's own decayed counts, and the tail at a thousandth of one event.

    It orders what the user bought together and all that the user never had; only an item not had for ten
    half-lives falls below the most popular.
    """

    def __init__(self, n_users: int, n_items: int, days: float, tail_days: float) -> None:
        self._half_life = days * DAY
        self._tail = Tail(n_items, TAIL, tail_days)
        self._users = UserEvents(n_users)

    def apply(self, events: Dataset) -> None:
        self._tail.apply(events)
        self._users.apply(events)

    def score(self, users: Int64Array, at: Int64Array, /) -> NDArray[np.float64]:
        """(B, N) for B users, each at its own moment [s]."""
        scores: NDArray[np.float64] = np.tile(self._tail.scores(), (len(users), 1))
        for row, (user, now) in enumerate(zip(users, at, strict=True)):
            items, times = self._users.of(user)
            scores[row] += np.bincount(items, np.exp2((times - now) / self._half_life), minlength=scores.shape[1])
        return scores
