"""The items that a fit has seen, as columns of what was learned, and scores of these columns as scores of all items."""

import numpy as np

from model.data.dataset import Dataset, Int32Array, Int64Array
from model.metrics import Score


class KnownItems:
    """K items with an event in what the model was fitted on, of N in the catalogue.

    codes: (K,) ascending item codes; column: (N,) column of each item, -1 for the others.
    """

    def __init__(self, events: Dataset) -> None:
        self.codes: Int64Array = np.unique(events.item).astype(np.int64)
        self.column = np.full(events.n_items, -1, dtype=np.int64)
        self.column[self.codes] = np.arange(len(self.codes))

    def __len__(self) -> int:
        return len(self.codes)

    def columns(self, items: Int32Array) -> Int64Array:
        """Columns of item codes, in their order, without those of items that the fit has not seen."""
        columns = self.column[items]
        return columns[columns >= 0]

    def spread(self, scores: Score) -> Score:
        """(B, K) -> (B, N): nothing was learned of the other items, they share the last place of each row."""
        spread = np.repeat(scores.min(axis=1, keepdims=True), len(self.column), axis=1)
        spread[:, self.codes] = scores
        return spread
