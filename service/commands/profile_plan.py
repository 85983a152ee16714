"""Whose profile would have been due when, and what a profiler would have been told then: of a data set, looking back.

A profile for the period that begins at p is made of events before p alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model.process.records import Int
from model.spec import DAY
from service.profile_path import Limits, Rules
from service.profile_path.untrusted import clean
from service.profile_ports import History, HistoryItem

if TYPE_CHECKING:  # pyarrow comes with an extra
    from model.data import Dataset


@dataclass(frozen=True)
class Moment:
    """A user (a code) whose profile is due at `begin` [unix seconds], after their first `events` events."""

    user: int
    begin: int
    events: int


def plan(dataset: Dataset, rules: Rules, period: int) -> list[Moment]:
    """By period, then user. Periods of `period` seconds count from 1970, so that more events leave them as they are."""
    found: list[Moment] = []
    for user, rows in enumerate(rows_by_user(dataset)):
        begins, before = _periods(dataset.timestamp[rows], period)
        described = 0
        for begin, events in zip(begins.tolist(), before.tolist(), strict=True):
            fresh = events - described
            if events >= rules.min_events if described == 0 else fresh >= rules.new_events:
                found.append(Moment(user, begin, events))
                described = events
    return sorted(found, key=lambda moment: (moment.begin, moment.user))


def _periods(timestamps: Int, period: int) -> tuple[Int, Int]:
    """Begins of the periods that follow one with events, and the number of events before each."""
    begins = np.unique(timestamps // period + 1) * period
    return begins, np.searchsorted(timestamps, begins, side="left")


def rows_by_user(dataset: Dataset) -> list[Int]:
    """The rows of each user's events, in order."""
    order = np.argsort(dataset.user, kind="stable")
    return np.split(order, np.cumsum(np.bincount(dataset.user, minlength=dataset.n_users))[:-1])


class PastHistories:
    """Histories as `service.profile_path.history` reads them from the state, from a data set."""

    def __init__(self, dataset: Dataset, limits: Limits) -> None:
        self._dataset, self._limits = dataset, limits
        self._rows = rows_by_user(dataset)
        table = dataset.items
        rows = zip(table.title, table.category, table.brand, strict=True)
        self._names = [
            (clean(title or ""), clean(category or ""), clean(brand or "")) for title, category, brand in rows
        ]
        self._place = np.full(dataset.n_items, len(dataset))  # ties stand in the order in which items first came
        items, first = np.unique(dataset.item, return_index=True)
        self._place[items] = first

    def of(self, moment: Moment) -> History:
        """What had happened by then."""
        rows = self._rows[moment.user][: moment.events]
        items, last, counts = self._latest(rows)
        at = self._dataset.timestamp[last]
        newest = int(at.max())
        recent = np.flatnonzero(at >= newest - self._limits.window)
        order = recent[np.lexsort((self._place[items[recent]], -at[recent]))][: self._limits.items]
        return History(tuple(self._items(items[order], last[order], counts[order], newest)))

    def _latest(self, rows: Int) -> tuple[Int, Int, Int]:
        """Items, the row of each one's newest event, and how many it has."""
        backwards = rows[::-1]
        items, newest, counts = np.unique(self._dataset.item[backwards], return_index=True, return_counts=True)
        return items.astype(np.int64), backwards[newest], counts.astype(np.int64)

    def _items(self, items: Int, last: Int, counts: Int, newest: int) -> Iterator[HistoryItem]:
        dataset = self._dataset
        for item, row, count in zip(items.tolist(), last.tolist(), counts.tolist(), strict=True):
            title, category, brand = self._names[item]
            if title or category or brand:
                kind = dataset.event_types[dataset.event_type[row]]
                age = (newest - int(dataset.timestamp[row])) // DAY
                yield HistoryItem(dataset.item_ids[item], title, category, brand, kind, count, age)
