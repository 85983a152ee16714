"""The boundary of a test that is looked at daily: known constants, and error rates by simulation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from service.core.experiments import BUCKETS, Counted, Experiment, Variant, report, summed, walk
from service.core.sequential import boundary, chi_square_tail, crossing, normal_of_t, planned, sequential_p

TWO = Experiment("e", (Variant("a", "v1", 0.5), Variant("b", "v2", 0.5)), looks=14)


@pytest.mark.parametrize(("looks", "constant"), [(1, 1.960), (2, 2.178), (5, 2.413), (10, 2.555), (20, 2.672)])
def test_the_boundary_is_pococks(looks: int, constant: float) -> None:
    """Constants of Pocock 1977 / Jennison and Turnbull, table 2.1, to the three digits they are printed with."""
    assert boundary(0.05, range(1, looks + 1)) == pytest.approx(constant, abs=6e-4)


def test_crossing_agrees_with_a_simulated_walk_whatever_the_information_at_the_looks() -> None:
    rng, information = np.random.default_rng(0), np.array([1.0, 1.5, 4.0, 4.2, 9.0])
    steps = rng.normal(size=(400_000, 5)) * np.sqrt(np.diff(information, prepend=0.0))
    highest = np.abs(steps.cumsum(axis=1) / np.sqrt(information)).max(axis=1)
    for bound in (1.0, 2.0, 2.5, 3.0):
        true = (highest >= bound).mean()
        assert crossing(bound, information) == pytest.approx(true, abs=4 * math.sqrt(true * (1 - true) / 400_000))


def test_a_p_value_never_rises_again_where_information_comes_as_planned() -> None:
    information = [float(k) for k in range(1, 15)]
    zs = [0.3, 2.0, 1.0, 3.0, -0.5]
    found = [sequential_p(zs[:k], information[:k], 14) for k in range(1, 6)]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(found))
    assert sequential_p([0.0] * 14 + [9.0], [*information, 15.0], 14) == 1.0  # a look that was not planned


def test_looks_to_come_bring_what_those_before_brought() -> None:
    assert planned([2.0, 4.0], 4) == [2.0, 4.0, 6.0, 8.0]
    assert planned([2.0, 1.0], 2) == [2.0, 2.0]
    assert crossing(2.0, [1.0, 1.0, 1.0]) == pytest.approx(crossing(2.0, [1.0]), abs=1e-9)


def test_tails_of_other_distributions() -> None:
    """Table values: t(10) = 2.228 and chi-square at 5 %."""
    assert normal_of_t(2.228, 10) == pytest.approx(1.96, abs=2e-3)
    assert normal_of_t(-2.228, 10) == pytest.approx(-1.96, abs=2e-3)
    for freedom, x in ((1, 3.841), (2, 5.991), (3, 7.815), (4, 9.488)):
        assert chi_square_tail(x, freedom) == pytest.approx(0.05, abs=1e-4)


def simulated(rng: np.random.Generator, rates: tuple[float, float], users: int = 600) -> dict[str, Counted]:
    """Two weeks of two variants: users of different activity and taste, who come again and again."""
    found = {}
    for name, rate in zip(("a", "b"), rates, strict=True):
        bucket = rng.integers(BUCKETS, size=users)
        activity = rng.gamma(1.0, 1.0, users)
        taste = rng.beta(20 * rate, 20 * (1 - rate), users)  # a user's own click rate: lists of one are not independent
        lists = rng.poisson(activity, (TWO.looks, users))
        clicks = rng.binomial(lists, taste)
        conversions = rng.binomial(clicks, 0.2)
        sums = summed([], TWO.looks)
        for kind, counts in (("lists", lists), ("clicks", clicks), ("conversions", conversions)):
            for day in range(TWO.looks):
                sums[kind][day] = np.bincount(bucket, counts[day], BUCKETS)
        found[name] = Counted(sums, users)
    return found


def test_a_thousand_runs_without_a_difference_are_significant_in_five_percent_though_peeked_at_daily() -> None:
    """By the p-value at the end, which remembers the worst day, and by the least one that was seen on any day."""
    rng = np.random.default_rng(1)
    at_the_end, peeked = [], []
    for _ in range(1_000):
        run = simulated(rng, (0.1, 0.1))
        walked = walk(run["a"], run["b"], "clicks", TWO.looks)
        highest = np.maximum.accumulate(np.abs(walked.statistics))
        days = [
            day for day in range(1, len(highest) + 1) if highest[day - 1] > 1.95 or day == len(highest)
        ]  # else > 5 %
        seen = [sequential_p(walked.statistics[:day], walked.information[:day], TWO.looks) for day in days]
        at_the_end.append(seen[-1])
        peeked.append(min(seen))
    assert 0.035 <= np.mean(np.array(at_the_end) < 0.05) <= 0.065
    assert 0.035 <= np.mean(np.array(peeked) < 0.05) <= 0.065


def test_a_known_uplift_is_found_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(3)
    found = [
        report(TWO, simulated(rng, (0.10, 0.13), 1_500), TWO.looks, 100)["variants"]["b"]["clicks_difference"]
        for _ in range(50)
    ]
    assert np.mean([one["p"] < 0.05 for one in found]) >= 0.9
    assert np.mean([one["low"] <= 0.03 <= one["high"] for one in found]) >= 0.9
