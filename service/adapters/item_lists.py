"""Inverted lists: the rows of an item matrix once more, side by side by cluster, so that a search reads a few of them.

A row is [v || P || open], open being 0 for an item that lists may hold and hugely negative for others. Rows are written
in place; an item that has moved far stays in its list until the lists are made anew.
"""

from __future__ import annotations

import numpy as np

from model.process.records import Float, Int
from service.core.attributes import Mask
from service.core.clusters import by_cluster, find_centres, nearest

CLOSED = np.float32(-1e30)
"""In place of availability: no score makes up for it, and no product with it is NaN."""


_CHUNK = 20_000


class ItemLists:
    """Lists of the first N items of a matrix (N, D). probes: lists that a search reads."""

    def __init__(self, matrix: Float, available: Mask, probes: int = 0) -> None:
        count = len(matrix)
        size = min(count, int(2 * np.sqrt(count)))
        self.centres = find_centres(matrix, size, np.random.default_rng(0))
        order, self._starts = by_cluster(nearest(matrix, self.centres), size)
        self._order = order.astype(np.uint32)
        self._place = np.empty(count, np.uint32)
        self._place[order] = np.arange(count, dtype=np.uint32)
        self._rows = np.empty((count, matrix.shape[1] + 1), np.float32)
        for start in range(0, count, _CHUNK):  # other threads get their turn
            some = order[start : start + _CHUNK]
            self.write(some, matrix[some], available[some])
        self.probes = probes or max(8, size // 16)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes + self._order.nbytes + self._place.nbytes + self.centres.nbytes

    def write(self, index: Int, rows: Float, available: Mask) -> None:
        """Rows (B, D) and availability (B,) of the items at `index`, all below N, from now on."""
        place = self._place[index]
        self._rows[place, :-1] = rows
        self._rows[place, -1] = np.where(available, 0.0, CLOSED)

    def rank(self, query: Float, index: Int) -> Int:
        """How many lists a search under the query (D,) reads before that of each item at `index` (B,), all below N."""
        ranks = np.empty(len(self.centres), np.int64)
        ranks[np.argsort(-(self.centres @ query), kind="stable")] = np.arange(len(ranks))
        own = np.searchsorted(self._starts, self._place[index], side="right") - 1
        return ranks[own]

    def search(self, query: Float, probes: int, allowed: Mask | None = None) -> tuple[Int, Float]:
        """Index and score of the available items in the `probes` lists whose centres score highest under the query
        (D,), in no order; allowed: (N or more,)."""
        probes = min(probes, len(self.centres))
        best = np.argpartition(self.centres @ query, len(self.centres) - probes)[len(self.centres) - probes :]
        spans = [slice(start, stop) for start, stop in zip(self._starts[best], self._starts[best + 1], strict=True)]
        whole = np.append(query, np.float32(1.0))
        scores = np.concatenate([self._rows[span] @ whole for span in spans])
        index = np.concatenate([self._order[span] for span in spans]).astype(np.int64)
        there = scores > CLOSED / 2
        if allowed is not None:
            there &= allowed[index]
        return index[there], scores[there]
