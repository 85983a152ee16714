"""How a stream is cut for training.

A batch is consecutive whole timestamps with at most one moment a user: all its users can be read at once, each at the
exact state before its moment. A step is consecutive batches whose gradients are taken together, so that a few users
who act often do not make steps tiny.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from model.data.dataset import Dataset


def batches(dataset: Dataset, most_events: int) -> Iterator[slice]:
    """Row slices that cover `dataset` in order; above `most_events` only where a single timestamp is."""
    changes = np.flatnonzero(np.diff(dataset.timestamp)) + 1
    users: set[int] = set()
    start = 0
    for first, end in pairwise([0, *changes.tolist(), len(dataset)]):
        here = set(dataset.user[first:end].tolist())
        if first > start and (end - start > most_events or not users.isdisjoint(here)):
            yield slice(start, first)
            start, users = first, set()
        users |= here
    if start < len(dataset):
        yield slice(start, len(dataset))


def steps(dataset: Dataset, most_events: int) -> Iterator[list[slice]]:
    """The batches in groups of up to `most_events` events; a larger group is a single batch."""
    group: list[slice] = []
    for batch in batches(dataset, most_events):
        if group and batch.stop - group[0].start > most_events:
            yield group
            group = []
        group.append(batch)
    if group:
        yield group
