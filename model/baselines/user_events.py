"""The live history that baselines with fixed parameters are read with: each user's items and times so far."""

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset, Int32Array, Int64Array


class UserEvents:
    """Of `n_users` users; grows with `apply`."""

    def __init__(self, n_users: int) -> None:
        self._items: list[Int32Array] = [np.empty(0, dtype=np.int32)] * n_users
        self._times: list[Int64Array] = [np.empty(0, dtype=np.int64)] * n_users

    def apply(self, events: Dataset) -> None:
        """Events in order of time."""
        order = np.argsort(events.user, kind="stable")
        users, starts = np.unique(events.user[order], return_index=True)
        for user, rows in zip(users.tolist(), np.split(order, starts[1:]), strict=True):
            self._items[user] = np.append(self._items[user], events.item[rows])
            self._times[user] = np.append(self._times[user], events.timestamp[rows])

    def of(self, user: int) -> tuple[Int32Array, Int64Array]:
        """Items and times [s] of all events of a user, in order of time."""
        return self._items[user], self._times[user]

    def latest(self, user: int, now: int, half_life: float | None) -> tuple[Int32Array, NDArray[np.float32]]:
        """The user's distinct items (M,), ascending, and weights (M,) in (0, 1] that halve with every `half_life` [s]
        since the item was had last; 1 for None."""
        items, times = self.of(user)
        distinct, last = np.unique(items[::-1], return_index=True)
        if half_life is None:
            return distinct, np.ones(len(distinct), dtype=np.float32)
        age = np.maximum(now - times[::-1][last], 0)
        return distinct, np.exp2(-age / half_life).astype(np.float32)
