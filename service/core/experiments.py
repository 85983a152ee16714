"""Experiments: who sees which variant, and what their figures say. Pure.

Users are drawn by a stable hash, so that everybody stays where they are. Nothing is kept of a single user: figures are
summed in buckets of users, and the buckets, which are independent, say how sure a figure is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

from service.core.sequential import boundary, chi_square_tail, normal_of_t, planned, sequential_p

BUCKETS = 100
PLACES = 2**22
"""Of the bitmap in which users are counted."""
DAY = 86_400
ALPHA = 0.05
SUSPICIOUS = 0.001
"""A split of users that is less likely than that is not the one that was asked for: do not trust the figures."""
RATES = ("clicks", "conversions")
Sums = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Variant:
    """share: of the users; version: of a live model. The first variant is what the others are compared with."""

    name: str
    version: str
    share: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """looks: days after which it is planned to end, so many times may one look; clicks, conversions: types of events
    that count as such; started, ended: unix seconds."""

    id: str
    variants: tuple[Variant, ...]
    looks: int = 14
    clicks: tuple[str, ...] = ("click",)
    conversions: tuple[str, ...] = ("purchase",)
    started: int = 0
    ended: int | None = None

    def variant(self, name: str) -> Variant | None:
        return next((variant for variant in self.variants if variant.name == name), None)

    def day_of(self, at: int) -> int:
        """Days since the start, from 0."""
        return max(0, at - self.started) // DAY

    def kind_of(self, event_type: str) -> str | None:
        """Of RATES, which one an event counts for."""
        if event_type in self.clicks:
            return RATES[0]
        return RATES[1] if event_type in self.conversions else None


@dataclass(frozen=True, slots=True)
class Exposure:
    """One list of an experiment. place: of the user in the bitmap; milliseconds: it took; items: on it."""

    variant: str
    day: int
    bucket: int
    place: int
    fallback: bool
    milliseconds: int
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of one variant. sums: of `lists` and each of RATES, (days, BUCKETS); latencies: lists by the
    power of two of milliseconds that they took at most; covered: distinct items shown, about."""

    sums: Mapping[str, Sums]
    users: int = 0
    fallbacks: int = 0
    latencies: Mapping[int, int] = field(default_factory=dict)
    covered: int = 0


def draw(experiment: Experiment, user_id: str) -> Variant:
    """The same for a user for ever, and independent between experiments."""
    at = _hash(f"{experiment.id}\0{user_id}") / 2**64 * sum(variant.share for variant in experiment.variants)
    for variant in experiment.variants:
        at -= variant.share
        if at < 0:
            return variant
    return experiment.variants[-1]


def bucket_of(experiment: Experiment, user_id: str) -> tuple[int, int]:
    """(bucket, place in the bitmap) of a user, independent of the variant."""
    found = _hash(f"{user_id}\0{experiment.id}")
    return found % BUCKETS, (found >> 16) % PLACES


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def report(experiment: Experiment, counted: Mapping[str, Counted], days: int, items: int) -> dict[str, Any]:
    """Figures by variant, and what speaks for a difference to the first one. days: that are over; items: of the
    catalogue. A day that is not over counts in the figures, but is no look."""
    names = [variant.name for variant in experiment.variants]
    first = counted[names[0]]
    variants = {
        variant.name: {"version": variant.version, "share": variant.share} | _figures(counted[variant.name], items)
        for variant in experiment.variants
    }
    for name in names[1:]:
        variants[name]["against"] = names[0]
        for kind in RATES:
            variants[name][f"{kind}_difference"] = _compare(
                first, counted[name], kind, min(days, experiment.looks), experiment.looks, len(names) - 1
            )
    return {
        "looks": {"done": min(days, experiment.looks), "planned": experiment.looks},
        "variants": variants,
        "sample_ratio": _sample_ratio(experiment, counted),
    }


def _figures(counted: Counted, items: int) -> dict[str, Any]:
    lists = counted.sums["lists"]
    shown = float(lists.sum())
    found: dict[str, Any] = {"users": counted.users, "lists": int(shown)}
    for kind in RATES:
        rate, variance = _ratio(counted.sums[kind].sum(axis=0), lists.sum(axis=0))
        margin = 1.96 * math.sqrt(variance)
        found[kind] = int(counted.sums[kind].sum())
        found[f"{kind}_rate"] = {"rate": rate, "low": max(0.0, rate - margin), "high": min(1.0, rate + margin)}
    return found | {
        "fallback_share": counted.fallbacks / shown if shown else 0.0,
        "latency_ms": {name: _quantile(counted.latencies, q) for name, q in (("p50", 0.5), ("p99", 0.99))},
        "coverage": counted.covered / max(1, items),
    }


def _compare(first: Counted, other: Counted, kind: str, done: int, looks: int, comparisons: int) -> dict[str, Any]:
    """p: valid at any of the looks, for all comparisons together; low, high: an interval that holds at all looks at
    once."""
    walked = walk(first, other, kind, done)
    if not walked.statistics:
        return {"difference": walked.difference, "p": 1.0, "low": None, "high": None}
    p = min(1.0, comparisons * sequential_p(walked.statistics, walked.information, looks))
    margin = walked.error * boundary(ALPHA / comparisons, planned(walked.information, looks))
    return {
        "difference": walked.difference,
        "p": p,
        "low": walked.difference - margin,
        "high": walked.difference + margin,
    }


@dataclass(frozen=True, slots=True)
class Walk:
    """Of one rate's difference: z and information (one over the variance) at each look; the last difference and its
    standard error."""

    statistics: list[float]
    information: list[float]
    difference: float
    error: float


def walk(first: Counted, other: Counted, kind: str, done: int) -> Walk:
    """After each of the days that are `done`; those without any variance yet are no look."""
    totals = [
        {name: one.sums[name][:done].cumsum(axis=0) for name in ("lists", kind)} for one in (first, other)
    ]  # (done, BUCKETS) each
    found = Walk([], [], 0.0, 0.0)
    for day in range(done):
        (rate, variance), (other_rate, other_variance) = (_ratio(one[kind][day], one["lists"][day]) for one in totals)
        difference, error = other_rate - rate, math.sqrt(variance + other_variance)
        if error > 0:
            found.statistics.append(normal_of_t(difference / error, 2 * (BUCKETS - 1)))
            found.information.append(1 / error**2)
        found = Walk(found.statistics, found.information, difference, error)
    return found


def _ratio(successes: Sums, tries: Sums) -> tuple[float, float]:
    """Sum over sum, and its variance between buckets (delta method); (BUCKETS,) each."""
    total = tries.sum()
    if not total:
        return 0.0, 0.0
    rate = float(successes.sum() / total)
    rest = successes - rate * tries
    return rate, float((rest**2).sum() * len(tries) / (len(tries) - 1) / total**2)


def _sample_ratio(experiment: Experiment, counted: Mapping[str, Counted]) -> dict[str, Any]:
    """Whether users came in the shares that were asked for."""
    users = np.array([counted[variant.name].users for variant in experiment.variants], np.float64)
    shares = np.array([variant.share for variant in experiment.variants])
    expected = users.sum() * shares / shares.sum()
    x = float(((users - expected) ** 2 / expected).sum()) if users.sum() else 0.0
    p = chi_square_tail(x, len(users) - 1) if len(users) > 1 else 1.0
    return {"p": p, "suspicious": p < SUSPICIOUS}


def _quantile(latencies: Mapping[int, int], q: float) -> int | None:
    """Milliseconds, rounded up to a power of two."""
    left = q * sum(latencies.values())
    for power in sorted(latencies):
        left -= latencies[power]
        if left <= 0:
            return int(2**power)
    return None


def pack_experiment(experiment: Experiment) -> bytes:
    return to_json(asdict(experiment))


def unpack_experiment(packed: bytes) -> Experiment:
    fields = from_json(packed)
    fields["variants"] = tuple(Variant(**variant) for variant in fields["variants"])
    return Experiment(**fields | {name: tuple(fields[name]) for name in RATES})


def blank_sums(days: int) -> dict[str, Sums]:
    return {name: np.zeros((days, BUCKETS)) for name in ("lists", *RATES)}


def summed(fields: Sequence[tuple[int, int, str, int]], days: int) -> dict[str, Sums]:
    """(day, bucket, name, count) into sums."""
    sums = blank_sums(days)
    for day, bucket, name, count in fields:
        if day < days:
            sums[name][day, bucket] += count
    return sums
