"""The item index for large catalogues: a search reads the inverted lists nearest to the query, and says how often that
misses something.

Up to `least` items it searches all of them. Lists are made, and made again when the items have moved, beside the
requests; until then new items are searched one and all. Searches that lists cannot answer (boosts, conditions that few
items fulfil, long lists) go through the matrix. How many lists are read is set by measuring: the fewest that find
`RECALL` of the true Top-100 of queries that were asked lately.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from model.process.records import Float, Int
from model.process.temporal_model import TemporalModel
from service.adapters.exact_index import NARROW, ExactIndex, highest
from service.adapters.item_lists import ItemLists
from service.core.attributes import Mask
from service.core.types import Position
from service.ports import Chore

LEAST = 50_000
"""Items from which lists are worth their memory."""
RECALL = 0.99
DEPTH = 100
"""The list that recall is measured on."""
_QUERIES = 32
_MEASURED_EVERY = 2_000  # searches
_MOVED = 0.5  # share of vectors written, and
_NEW = 0.05  # share of items that came, after which lists are made anew


class IvfIndex(ExactIndex):
    """`ItemIndex`."""

    def __init__(self, model: TemporalModel, at_once: bool = True, least: int = LEAST) -> None:
        super().__init__(model, at_once)
        self._least = least

    def _clear(self, capacity: int, position: Position) -> None:
        super()._clear(capacity, position)
        self._lists: ItemLists | None = None
        self._dirty: list[Int] | None = None
        self._moved = 0
        self._asked: deque[Float] = deque(maxlen=_QUERIES)
        self._searches = 0
        self._measured_at = -_MEASURED_EVERY
        self._recall = 1.0
        self._marked = np.zeros(0, np.bool_)  # of all items, False but for moments

    @property
    def looks_at_all(self) -> bool:
        return self._lists is None

    def top_k(
        self,
        query: Float,
        k: int,
        additions: tuple[Int, Float],
        exclude: Int,
        allowed: Mask | None = None,
        bonus: Float | None = None,
    ) -> tuple[Int, Float]:
        """As `ExactIndex.top_k`, among the lists nearest to the query."""
        lists, count = self._lists, len(self._ids)
        share = 1.0 if allowed is None else np.count_nonzero(allowed) / max(1, count)
        if lists is None or bonus is not None or NARROW * share < 1.0 or NARROW * k > count:
            return super().top_k(query, k, additions, exclude, allowed, bonus)
        query = query.astype(np.float32, copy=False)
        self._note(query)
        own, _ = additions
        apart = np.concatenate([own, exclude])
        found, scores = lists.search(query, int(lists.probes / share), allowed)
        found, scores = self._without(apart[apart < count], found, scores)
        rest = np.concatenate([np.sort(own[own < len(lists)]), np.arange(len(lists), count)])  # theirs, and new ones
        if allowed is not None:
            rest = rest[allowed[rest]]
        more, extra = self._among(rest, query, k, additions, exclude)
        if len(found) + len(more) < k:
            return super().top_k(query, k, additions, exclude, allowed, bonus)
        return _best_of(np.concatenate([found, more]), np.concatenate([scores, extra]), k)

    def _without(self, apart: Int, found: Int, scores: Float) -> tuple[Int, Float]:
        """What was found but for the indexes `apart`."""
        if not len(apart):
            return found, scores
        if len(self._marked) < len(self._ids):
            self._marked = np.zeros(len(self._matrix), np.bool_)
        self._marked[apart] = True
        kept = ~self._marked[found]
        self._marked[apart] = False
        return found[kept], scores[kept]

    def _note(self, query: Float) -> None:
        """Keeps the query to measure by; seldom, for the newest are alike."""
        self._searches += 1
        if self._searches % (_MEASURED_EVERY // _QUERIES) == 1 or len(self._asked) < _QUERIES:
            self._asked.append(query)

    def _written(self, index: Int, moved: int = 0) -> None:
        if self._dirty is not None:
            self._dirty.append(index)
        if self._lists is not None:
            self._moved += moved
            inside = index[index < len(self._lists)]
            self._lists.write(inside, self._matrix[inside], self._available[inside])

    def chore(self) -> Chore | None:
        """Popularity first, then lists where they are due, then their recall."""
        if (first := super().chore()) is not None:
            return first
        count = len(self._ids)
        if self._lists is None:
            return self._making() if count >= self._least else None
        if self._moved > _MOVED * count or count - len(self._lists) > _NEW * count:
            return self._making()
        if self._asked and self._searches >= self._measured_at + _MEASURED_EVERY:
            return Measuring(self, self._lists, list(self._asked))
        return None

    def _making(self) -> Making:
        self._dirty = []
        count = len(self._ids)
        probes = 0 if self._lists is None else self._lists.probes
        return Making(self, self._matrix[:count], self._available[:count], probes)

    def take(self, lists: ItemLists) -> None:
        """Searches these from now on; what was written while they were made is written to them."""
        dirty = np.unique(np.concatenate([np.empty(0, np.int64), *(self._dirty or [])]))
        self._dirty, self._lists, self._moved = None, lists, 0
        inside = dirty[dirty < len(lists)]
        lists.write(inside, self._matrix[inside], self._available[inside])
        self._measured_at = self._searches - _MEASURED_EVERY

    def measured(self, lists: ItemLists, probes: int, recall: float) -> None:
        lists.probes, self._recall, self._measured_at = probes, recall, self._searches

    def truth(self, query: Float) -> Int:
        """The true Top-100 of available items, from rows that may be written meanwhile."""
        count = len(self._ids)
        scores = self._matrix[:count] @ query
        scores[~self._available[:count]] = -np.inf
        return highest(scores, DEPTH)[0]

    @property
    def figures(self) -> Mapping[str, float]:
        lists = self._lists
        share = 1.0 if lists is None else min(1.0, lists.probes / len(lists.centres))
        return {**super().figures, "recall": self._recall if lists else 1.0, "lists_read": share}

    def _bytes(self) -> int:
        return super()._bytes() + (0 if self._lists is None else self._lists.nbytes)


@dataclass
class Making:
    """`Chore`: lists of all items. matrix, available: read while they are written; what that tears is written again."""

    index: IvfIndex
    matrix: Float
    available: Mask
    probes: int
    lists: ItemLists | None = None

    def compute(self) -> None:
        self.lists = ItemLists(self.matrix, self.available, self.probes)

    def finish(self) -> None:
        if self.lists is not None:
            self.index.take(self.lists)


@dataclass
class Measuring:
    """`Chore`: how much of the true Top-100 of some queries the lists find, and how many of them must be read."""

    index: IvfIndex
    lists: ItemLists
    queries: list[Float]
    found: tuple[int, float] = field(default=(0, 0.0))

    def compute(self) -> None:
        """By the lists that the true ones are in: what was searched and what is true would be of two moments."""
        most = len(self.lists.centres)
        ranks = np.concatenate([self._ranks(query) for query in self.queries])
        probes = 4
        while True:
            probes = min(2 * probes, most)
            recall = float(np.mean(ranks < probes)) if len(ranks) else 1.0
            if recall >= RECALL or probes == most:
                break
        self.found = probes, recall

    def _ranks(self, query: Float) -> Int:
        """Of the lists of the query's true Top-100; items that are in none yet are searched one and all."""
        best = self.index.truth(query)
        return self.lists.rank(query, best[best < len(self.lists)])

    def finish(self) -> None:
        self.index.measured(self.lists, *self.found)


def _best_of(index: Int, scores: Float, k: int) -> tuple[Int, Float]:
    """The k highest, best first; equal ones in order of index."""
    if len(scores) > k:
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        chosen = scores >= least
        index, scores = index[chosen], scores[chosen]
    order = np.lexsort((index, -scores))[:k]
    return index[order], scores[order]
