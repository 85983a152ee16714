"""Popularity in time: decayed counts of an item, and the features that P(i, t) is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.process.batch import Events, Items
from model.process.decay import decay
from model.process.groups import add_rows
from model.process.records import NEVER, Float, Int, Records
from model.process.side_by_side import side_by_side
from model.spec import DAY, ModelSpec

POPULARITY_COUNTERS = ("first_event", "pop_time", "popularity", "buyers", "repeats")
"""Fields of an item record that the features are made of."""


def add_popularity(items: Items, events: Events, spec: ModelSpec) -> None:
    """Counts the events into the items' decayed counters, in place; the order of the events does not matter."""
    rows, half_lives = items.rows, spec.popularity_half_lives
    latest = rows["pop_time"].copy()
    np.maximum.at(latest, events.item, events.timestamp)
    touched = np.unique(events.item)
    elapsed = np.where(rows["pop_time"][touched] == NEVER, 0, latest[touched] - rows["pop_time"][touched])
    rows["popularity"][touched] *= decay(elapsed, half_lives, forever=True)
    weight = np.asarray(spec.weights(), dtype=np.float32)[events.type]
    share = weight[:, None] * decay(latest[events.item] - events.timestamp, half_lives, forever=True)
    add_rows(rows["popularity"], events.item, share)
    rows["pop_time"][touched] = latest[touched]
    np.add.at(rows["events"], events.item, 1)
    first = np.where(rows["first_event"] == NEVER, -NEVER, rows["first_event"])
    np.minimum.at(first, events.item, events.timestamp)
    rows["first_event"][touched] = first[touched]


def popularity_width(spec: ModelSpec) -> int:
    """F_pop, the number of popularity features."""
    return 2 * (len(spec.popularity_half_lives) + 1) + 3  # counts, trend, age, seen, buyers, repeats


def decayed_counts(items: Records | Mapping[str, NDArray[Any]], log_time: int | Int, spec: ModelSpec) -> Float:
    """(N, H + 1) counts per half-life, the last of all time, at floor(log_time / pop_step). items, log_time: as for
    `popularity_features`."""
    at = log_time // spec.pop_step * spec.pop_step
    elapsed = np.where(items["first_event"] != NEVER, at - items["pop_time"], 0)
    counts: Float = items["popularity"] * decay(elapsed, spec.popularity_half_lives, forever=True)
    return counts


def popularity_features(
    items: Records | Mapping[str, NDArray[Any]], log_time: int | Int, spec: ModelSpec, counts: Float | None = None
) -> Float:
    """(N, F_pop): log counts per half-life, their differences (trend), log age, whether it was seen, log buyers and how
    many repeats there are to a buyer (log), at floor(log_time / pop_step). The last one tells what is had again and
    again from what is had for the first time, which is all that counts for whoever has not had it.

    items: (N,) records, or their `POPULARITY_COUNTERS` by name; log_time: seconds, one for all or (N,).
    A count younger than that floor is taken as it stands. Rates are events a day; the last one is the all-time mean.
    counts: `decayed_counts`, where they are known.
    """
    at = log_time // spec.pop_step * spec.pop_step
    seen = items["first_event"] != NEVER
    counts = decayed_counts(items, log_time, spec) if counts is None else counts
    age = np.where(seen, np.maximum(at - items["first_event"], 0), 0) / DAY
    rates = np.empty(counts.shape)
    rates[:, :-1] = np.log(counts[:, :-1] / _days(spec) + 1e-3)
    rates[:, -1] = np.log(counts[:, -1] / (age + 1.0) + 1e-3)
    repeats = items["repeats"].astype(np.float64)
    repeated = np.log((repeats + 1.0) / (items["buyers"] + 1.0))
    return side_by_side(
        [np.log1p(counts), rates[:, :-1] - rates[:, 1:], np.log1p(age), seen, np.log1p(items["buyers"]), repeated]
    )


def _days(spec: ModelSpec) -> Float:
    """Mean number of days that a decayed count gathers events over, per half-life."""
    return np.asarray(np.asarray(spec.popularity_half_lives) / DAY / np.log(2), dtype=np.float32)
