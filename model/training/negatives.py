"""Which items a training step scores: the whole catalogue, or positives and a sample of it.

Up to `TrainingConfig.full_softmax` items the softmax is exact. Above, negatives are drawn from a known mix of uniform
and popularity, and the log of the expected number of times each is included is subtracted from its score, which makes
the sampled partition function unbiased. Positives of other users are no negatives unless they were drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.process.records import Float, Int, Records
from model.training.loss import EXCLUDED

Table = TypeVar("Table", Float, Records, Tensor)


@dataclass(frozen=True)
class Columns:
    """Items that a step scores. items: (K,) codes, ascending; offset: (K,) added to their scores, EXCLUDED where the
    item is only here as somebody's positive or neighbour."""

    items: Int
    offset: Float

    def among(self, catalogue: Table) -> Table:
        """The columns' rows of an array or tensor with one row an item, without a copy where they are all of them."""
        return catalogue if len(self.items) == len(catalogue) else catalogue[self.items]

    def of(self, items: Int) -> Int:
        """(M,) columns of item codes that are all among `items`."""
        return np.searchsorted(self.items, items)


class Negatives:
    """Chooses the columns of each step. popularity: (N,) training counts; draws: negatives of a sampled step."""

    def __init__(self, popularity: Int, draws: int, full_up_to: int, rng: np.random.Generator) -> None:
        self._draws = draws
        self._full = len(popularity) <= full_up_to
        self._rng = rng
        share = (popularity + 1e-9) / (popularity + 1e-9).sum()
        self._chance = 0.5 / len(popularity) + 0.5 * share  # (N,) of one draw

    def columns(self, available: NDArray[np.bool_], needed: Int) -> Columns:
        """available: (N,) items that may be recommended; needed: codes that must have a column."""
        if self._full:
            everything = np.arange(len(available))
            return Columns(everything, np.where(available, 0.0, EXCLUDED).astype(np.float32))
        cumulative = np.cumsum(self._chance)
        drawn = np.unique(np.searchsorted(cumulative, self._rng.random(self._draws) * cumulative[-1]))
        drawn = drawn[available[drawn]]
        items = np.union1d(drawn, needed)
        included = -np.expm1(self._draws * np.log1p(-self._chance[items]))  # at least once in all draws
        offset = np.full(len(items), EXCLUDED, dtype=np.float32)
        here = np.searchsorted(items, drawn)
        offset[here] = -np.log(included[here])
        return Columns(items, offset)
