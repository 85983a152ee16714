"""Scores of items that are nobody's own: what rises, what is new."""

from __future__ import annotations

import numpy as np

from model.process.decay import decay
from model.process.records import NEVER, Float, Records
from model.spec import DAY, ModelSpec
from service.core.filters import born

SMALLEST_RATE = 0.2
"""Events a day that are added to both rates, so that one event of an item without any before is no sensation."""
_SHORT, _LONG = DAY, 30 * DAY
NEVER_SHOWN = -np.inf


def rises(counters: Records, log_time: int, spec: ModelSpec) -> Float:
    """(N,) how many times its usual rate of events each item has lately: half-lives of about a day over a month. Before
    its first event an item's rate was none."""
    seen = counters["first_event"] != NEVER
    elapsed = np.where(seen, log_time - counters["pop_time"], 0)
    half_lives = np.asarray(spec.popularity_half_lives)
    rates = []
    for wanted in (_SHORT, _LONG):
        column = int(np.argmin(np.abs(half_lives - wanted)))
        days = half_lives[column] / DAY / np.log(2)  # that the decayed count gathers events over
        counts = counters["popularity"][:, column] * decay(elapsed, (int(half_lives[column]),))[:, 0]
        rates.append(counts / days)
    short, long = rates
    return np.asarray((short + SMALLEST_RATE) / (long + SMALLEST_RATE), dtype=np.float32)


def youth(counters: Records, log_time: int) -> Float:
    """(N,) minus the age in seconds, -inf where it is not known: the highest are the latest.

    float32 holds a second for ages up to half a year, and a minute for ages of decades.
    """
    birth = born(counters)
    ages = np.where(birth == NEVER, 0, log_time - birth).astype(np.float32)
    return np.where(birth == NEVER, np.float32(NEVER_SHOWN), -ages).astype(np.float32)
