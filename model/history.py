"""What was true before a moment of a data set's stream: who had what, and which items were there.

Pure look-ups into a sorted copy of the events; nothing at or after the row (or moment) asked for is ever read.
"""

import numpy as np

from model.data.dataset import BoolArray, Dataset, Int32Array, Int64Array


class History:
    """Rows of `dataset` by user and by item."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._by_user = np.argsort(dataset.user, kind="stable")
        self._starts = np.searchsorted(dataset.user[self._by_user], np.arange(dataset.n_users + 1))
        items, rows = np.unique(dataset.item, return_index=True)
        self._first_row = np.full(dataset.n_items, len(dataset), dtype=np.int64)
        self._first_row[items] = rows

    def items_of(self, user: int, row: int) -> Int32Array:
        """Items of the user's events in rows before `row`, one entry an event."""
        rows = self._by_user[self._starts[user] : self._starts[user + 1]]
        return self._dataset.item[rows[: np.searchsorted(rows, row)]]

    def seen(self, row: int | Int64Array) -> BoolArray:
        """(N,) items with an event in rows before `row`; for rows (B, 1) it is (B, N)."""
        return np.asarray(self._first_row < row)

    def counts(self, row: int) -> Int64Array:
        """(N,) events of each item in rows before `row`."""
        return np.bincount(self._dataset.item[:row], minlength=self._dataset.n_items)

    def available(self, row: int | Int64Array) -> BoolArray:
        """(N,) what may be recommended at the moment of `row`, the first row of its timestamp: items with an event
        strictly before, and items whose `available_from` has come. For rows (B, 1) it is (B, N)."""
        listed = self._dataset.items.available_from <= self._dataset.timestamp[row]
        return np.asarray(self.seen(row) | listed)
