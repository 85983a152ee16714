"""The item index that searches every item: one matrix pass, in numpy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from model.process.records import Float, Int
from model.process.score import score_all
from service.adapters.item_rows import ItemRows
from service.core.attributes import Mask

NARROW = 8
"""Where less than one item in so many may be in the list, only those are scored."""


class ExactIndex(ItemRows):
    """`ItemIndex`."""

    @property
    def looks_at_all(self) -> bool:
        return True

    def top_k(
        self,
        query: Float,
        k: int,
        additions: tuple[Int, Float],
        exclude: Int,
        allowed: Mask | None = None,
        bonus: Float | None = None,
    ) -> tuple[Int, Float]:
        """The k available items with the highest query . item + addition + bonus, best first. Unknown indexes are
        passed over.

        query: (d + P,); additions: (M,) distinct indexes and (M,) scores; exclude: indexes; allowed: (N,); bonus: (N,).
        """
        count = len(self._ids)
        if allowed is not None and NARROW * np.count_nonzero(allowed) < count:
            return self._among(np.flatnonzero(allowed), query, k, additions, exclude, bonus)
        scores = self._matrix[:count] @ query.astype(np.float32, copy=False)
        index, addition = additions
        known = index < count
        scores[index[known]] += addition[known]
        if bonus is not None:
            scores += bonus
        return self._best(scores, k, exclude, allowed)

    def _among(
        self, some: Int, query: Float, k: int, additions: tuple[Int, Float], exclude: Int, bonus: Float | None = None
    ) -> tuple[Int, Float]:
        """The same of the items at `some` (S,), ascending, alone."""
        scores = self._matrix[some] @ query.astype(np.float32, copy=False)
        index, addition = additions
        place = np.searchsorted(some, index)
        there = (place < len(some)) & (some[np.minimum(place, len(some) - 1)] == index) if len(some) else place < 0
        scores[place[there]] += addition[there]
        if bonus is not None:
            scores += bonus[some]
        scores[~self._available[some]] = -np.inf
        if len(exclude):
            scores[np.isin(some, exclude)] = -np.inf
        found, best = highest(scores, k)
        return some[found], best

    def score_many(self, queries: Float, additions: tuple[Int, Int, Float]) -> Float:
        """(B, N) scores of all items for B queries (B, d + P), in one matrix pass. additions: (query, index, score)."""
        count = len(self._ids)
        query, index, addition = additions
        known = index < count
        matrix = self._matrix[:count]
        return score_all(queries.astype(np.float32, copy=False), matrix, query[known], index[known], addition[known])

    def best(self, scores: Float, k: int, exclude: Int, allowed: Mask | None = None) -> tuple[Int, Float]:
        """The k available items with the highest of `scores` (N,), best first."""
        return self._best(scores.astype(np.float32), k, exclude, allowed)

    def best_many(
        self, scores: Float, k: int, exclude: tuple[Int, Int], allowed: Mask | None = None
    ) -> list[tuple[Int, Float]]:
        """The same of each row of `scores` (B, N), which it spoils. exclude: (row, index)."""
        row, item = exclude
        known = item < scores.shape[1]
        scores[row[known], item[known]] = -np.inf
        shut = ~self._available[: scores.shape[1]]
        if allowed is not None:
            shut |= ~allowed
        scores[:, shut] = -np.inf
        return highest_of_each(scores, k)

    def nearest(self, vector: Float, k: int, exclude: Int, allowed: Mask | None = None) -> tuple[Int, Float]:
        """The k available items whose vectors point most nearly in the direction of `vector` (d,): (index, cosine)."""
        count = len(self._ids)
        norms = np.maximum(self._norms[:count] * np.float32(np.linalg.norm(vector)), np.finfo(np.float32).tiny)
        cosines: Float = self._matrix[:count, : self.spec.dim] @ vector.astype(np.float32, copy=False) / norms
        return self._best(cosines, k, exclude, allowed)

    def popular(self, k: int, exclude: Int) -> tuple[Int, Float]:
        """The k available items with the highest 7-day-half-life counts, at floor(log_time / pop_step)."""
        return self.best(self._counts[: len(self._ids)], k, exclude)

    def _best(self, scores: Float, k: int, exclude: Int, allowed: Mask | None = None) -> tuple[Int, Float]:
        """The k highest of `scores` (N,), which it spoils; equal ones in order of index."""
        count = len(scores)
        scores[exclude[exclude < count]] = -np.inf
        scores[~self._available[:count]] = -np.inf
        if allowed is not None:
            scores[~allowed] = -np.inf
        return highest(scores, k)


def highest(scores: Float, k: int) -> tuple[Int, Float]:
    """Places and values of the k highest above -inf, best first; equal ones in order of place."""
    count = len(scores)
    k = min(k, count)
    if k <= 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    least = np.partition(scores, count - k)[count - k]
    candidates = np.flatnonzero((scores >= least) & (scores > -np.inf))
    best = candidates[np.argsort(-scores[candidates], kind="stable")[:k]]
    return best, scores[best]


def highest_of_each(scores: Float, k: int) -> list[tuple[Int, Float]]:
    """`highest` of each row of (B, N)."""
    rows, count = scores.shape
    k = min(k, count)
    if k <= 0:
        return [highest(row, k) for row in scores]
    least = np.partition(scores, count - k, axis=1)[:, count - k]
    reached = scores >= np.maximum(least, np.finfo(np.float32).min)[:, None]
    row, place = np.divmod(np.flatnonzero(reached), count)  # numpy looks for them twice as long in two dimensions
    values = scores[row, place]
    order = np.lexsort((place, -values, row))
    row, place, values = row[order], place[order], values[order]
    starts = np.searchsorted(row, np.arange(rows + 1)).tolist()
    spans = (slice(start, min(start + k, stop)) for start, stop in pairwise(starts))
    return [(place[span], values[span]) for span in spans]
