"""How a stream is cut for training: a step is consecutive whole timestamps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from model.data.dataset import Dataset


def steps(dataset: Dataset, most_events: int) -> Iterator[slice]:
    """Row slices that cover `dataset` in order; above `most_events` only where a single timestamp is."""
    changes = np.flatnonzero(np.diff(dataset.timestamp)) + 1
    start = 0
    for first, end in pairwise([0, *changes.tolist(), len(dataset)]):
        if end - start > most_events and first > start:
            yield slice(start, first)
            start = first
    if start < len(dataset):
        yield slice(start, len(dataset))
