"""Paired bootstrap over users: is one model better than another on the same events, or by chance?

Users are drawn with replacement and all events of a drawn user come along: events of one user are not independent.
Hits are averaged over seeds before, so that the test is over users and not over seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.metrics import IntArray, RankArray

RESAMPLES = 2_000
CELLS = 2**22  # resamples x users drawn at once


@dataclass(frozen=True)
class Comparison:
    """Mean over events of one model minus the other's, its 95 % interval, and the two-sided p of no difference.

    gain, gain_low, gain_high: the same relative to the other's mean (0.1 = 10 % better); inf where that mean is 0.
    """

    mean: float
    other_mean: float
    low: float
    high: float
    p: float
    gain: float
    gain_low: float
    gain_high: float


def over_seeds(values: Sequence[RankArray]) -> RankArray:
    """(E,) mean over seeds of each event's value."""
    mean: RankArray = np.stack(values).mean(axis=0)
    return mean


def paired_bootstrap(
    mine: RankArray, other: RankArray, user: IntArray, *, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """mine, other: (E,) values (hits, NDCG) of the same events; user: (E,) whose they are.

    The same seed gives the same answer. The mean of a resample is over its events, so a user weighs by their events.
    """
    _, place = np.unique(user, return_inverse=True)
    events = np.bincount(place).astype(np.float64)  # (U,)
    sums = [np.bincount(place, values) for values in (mine, other)]
    rng = np.random.default_rng(seed)
    means = np.empty((2, resamples))
    step = max(1, CELLS // len(events))
    for first in range(0, resamples, step):
        drawn = rng.integers(len(events), size=(min(step, resamples - first), len(events)))
        weight = events[drawn].sum(axis=1)
        for row, total in zip(means, sums, strict=True):
            row[first : first + len(drawn)] = total[drawn].sum(axis=1) / weight
    difference = means[0] - means[1]
    gain = _ratio(means[0], means[1])
    tail = min((difference <= 0).sum(), (difference >= 0).sum())
    low, high = np.quantile(difference, (0.025, 0.975))
    gain_low, gain_high = np.quantile(gain, (0.025, 0.975), method="nearest")
    return Comparison(
        mean=float(mine.mean()),
        other_mean=float(other.mean()),
        low=float(low),
        high=float(high),
        p=float(min(1.0, 2 * (tail + 1) / (resamples + 1))),
        gain=float(_ratio(mine.mean(), other.mean())),
        gain_low=float(gain_low),
        gain_high=float(gain_high),
    )


def _ratio(mine: RankArray | np.floating, other: RankArray | np.floating) -> RankArray:
    """mine / other - 1; inf where other is 0 and mine is not, 0 where both are."""
    safe = np.where(other > 0, other, 1.0)
    return np.where(other > 0, mine / safe - 1, np.where(np.asarray(mine) > 0, np.inf, 0.0))
