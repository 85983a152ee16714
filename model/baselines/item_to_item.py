"""What item-kNN and EASE have in common: a matrix between items, read with the user's live history."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.baselines.tail import Tail
from model.baselines.user_events import UserEvents
from model.data.dataset import Dataset, Int64Array
from model.spec import DAY

MOST_ITEMS = 15_000
"""A dense matrix of that many items has 0.9 GB; of a larger catalogue the most popular ones take part."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Bought:
    """Who had what. items: (M,) codes of the items that take part; matrix: (U, M) 1.0 where a user had an item."""

    items: Int64Array
    matrix: Matrix

    @classmethod
    def of(cls, events: Dataset) -> "Bought":
        counts = np.bincount(events.item, minlength=events.n_items)
        items = np.sort(np.argsort(-counts, kind="stable")[: min(MOST_ITEMS, int((counts > 0).sum()))])
        users, row = np.unique(events.user, return_inverse=True)
        place = _places(items, events.n_items)[events.item]
        matrix = np.zeros((len(users), len(items)), dtype=np.float32)
        matrix[row[place >= 0], place[place >= 0]] = 1.0
        return cls(items, matrix)

    def together(self) -> Matrix:
        """(M, M) numbers of users who had both items; the diagonal has those who had the item."""
        return self.matrix.T @ self.matrix


class ItemToItem:
    """score(u, i) = sum over the user's distinct items j of weight(u, j) S[j, i], and the tail

    similarity: S (M, M) between the items with codes `items` (M,), other items have the tail alone. half_life: days in
    which an item of the history loses half its weight, None for never.
    """

    def __init__(self, events: Dataset, items: Int64Array, similarity: Matrix, half_life: float | None) -> None:
        self._users, self._tail = UserEvents(events.n_users), Tail(events.n_items)
        self._items, self._similarity = items, similarity
        self._place = _places(items, events.n_items)
        self._half_life = None if half_life is None else half_life * DAY

    def apply(self, events: Dataset, /) -> None:
        self._users.apply(events)
        self._tail.apply(events)

    def score(self, users: Int64Array, at: Int64Array, /) -> NDArray[np.float64]:
        """(B, N) for B users, each at its own moment [s]."""
        scores = np.tile(self._tail.scores(), (len(users), 1))
        for row, (user, now) in enumerate(zip(users.tolist(), at.tolist(), strict=True)):
            items, weights = self._users.latest(user, now, self._half_life)
            place = self._place[items]
            known = place >= 0
            scores[row, self._items] += weights[known] @ self._similarity[place[known]]
        return scores


def _places(items: Int64Array, n_items: int) -> Int64Array:
    """(N,) row of each item code in `items`, -1 for those that are not there."""
    place = np.full(n_items, -1, dtype=np.int64)
    place[items] = np.arange(len(items))
    return place
