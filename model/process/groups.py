"""Order inside groups, vectorised: the few array idioms that the state process is made of."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.process.records import Int


def starts_of(groups: NDArray[np.integer]) -> NDArray[np.bool_]:
    """True where a new group begins; `groups` is sorted (equal values stand together)."""
    fresh = np.ones(len(groups), dtype=np.bool_)
    fresh[1:] = groups[1:] != groups[:-1]
    return fresh


def place_in_group(groups: NDArray[np.integer]) -> Int:
    """0, 1, 2, ... inside each run of equal values."""
    places = np.arange(len(groups))
    first = np.where(starts_of(groups), places, 0)
    return places - np.maximum.accumulate(first)


def places_by(values: NDArray[np.integer]) -> Iterator[tuple[int, Int]]:
    """Each distinct value, ascending, and the places that hold it, ascending: one sort, however many values."""
    order = np.argsort(values, kind="stable")
    bounds = [*np.flatnonzero(starts_of(values[order])), len(values)]
    for lo, hi in pairwise(bounds):
        yield int(values[order[lo]]), order[lo:hi]


def running_max(groups: NDArray[np.integer], values: Int) -> Int:
    """Running maximum of `values` inside each group; `groups` is sorted."""
    if not len(values):
        return values
    codes = np.cumsum(starts_of(groups))
    order = np.argsort(values, kind="stable")  # ranks instead of values: the lift below cannot overflow
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = np.arange(len(values))
    lifted = np.maximum.accumulate(rank + codes * len(values))
    result: Int = values[order[lifted - codes * len(values)]]
    return result


def add_rows(target: NDArray[np.float32], where: Int, values: NDArray[np.float32]) -> None:
    """target[where] += values for (N, r) targets, repeated places included (np.add.at is slow on rows)."""
    if not len(where):
        return
    order = np.argsort(where, kind="stable")
    starts = np.flatnonzero(starts_of(where[order]))
    target[where[order][starts]] += np.add.reduceat(values[order], starts, axis=0)
