"""How the evaluator cuts a stream: single timestamps, or several where all their users may be asked about at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from model.data.dataset import Dataset, Int64Array


@dataclass(frozen=True)
class Window:
    """Consecutive timestamps, rows [start, stop), and their scored rows (R,) with the first rows (R,) of their
    timestamps. No scored user has an earlier event in it."""

    start: int
    stop: int
    first: Int64Array
    rows: Int64Array


def windows(dataset: Dataset, timestamps: Iterable[tuple[int, int]], every: int, several: bool) -> Iterator[Window]:
    """timestamps: (first row, end) of at least one, in order; every: which rows are scored, by their number; several:
    whether a window may hold more than one timestamp."""
    seen: set[int] = set()
    firsts: list[Int64Array] = []
    rows: list[Int64Array] = []
    begin = end = 0
    for first, end in timestamps:
        here = np.arange(-(-first // every) * every, end, every)
        if firsts and (not several or not seen.isdisjoint(dataset.user[here].tolist())):
            yield Window(begin, first, np.concatenate(firsts), np.concatenate(rows))
            seen, firsts, rows = set(), [], []
        begin = begin if firsts else first
        seen.update(dataset.user[first:end].tolist())
        firsts.append(np.full(len(here), first))
        rows.append(here)
    yield Window(begin, end, np.concatenate(firsts), np.concatenate(rows))
