"""The baselines, worked by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from model.baselines import BASELINES, Baseline, DecayedPopularity, OwnFrequency, Popularity
from model.data import Dataset
from model.spec import DAY
from tests.modules.streams import random_stream, stream


def scores(baseline: Baseline, user: int = 0, at: int = 100 * DAY) -> list[float]:
    return list(map(float, baseline.score(np.array([user]), np.array([at]))[0]))


def order(baseline: Baseline, user: int = 0) -> list[int]:
    mine = scores(baseline, user)
    return sorted(range(len(mine)), key=lambda item: -mine[item])


def test_popularity_counts_events() -> None:
    baseline = Popularity(3)
    baseline.apply(stream([(0, 2, 10), (1, 2, 10), (1, 0, 20)], 2, 3))
    assert scores(baseline) == [1, 0, 2]


def test_decayed_popularity_halves_with_every_half_life() -> None:
    baseline = DecayedPopularity(3, days=7)
    baseline.apply(stream([(0, 0, 79 * DAY), (0, 1, 93 * DAY), (1, 1, 100 * DAY), (1, 2, 100 * DAY)], 2, 3))
    assert scores(baseline) == [0.125, 1.5, 1.0]


def test_own_frequency_ranks_own_items_by_decayed_count_and_the_rest_by_popularity() -> None:
    baseline = OwnFrequency(3, 5, days=60, tail_days=30)
    old, now = 40 * DAY, 100 * DAY
    own = [(0, 0, old), (0, 0, old + 60), (0, 0, old + 120), (0, 1, now)]  # three half events against one whole
    others = [(u, i, now) for u, i in [(1, 2), (1, 3), (2, 3)]]
    baseline.apply(stream(own + others, 3, 5))
    assert order(baseline) == [0, 1, 3, 2, 4]
    assert scores(baseline)[:2] == pytest.approx([1.5, 1.0], abs=2e-3)  # the tail adds at most a thousandth


def test_own_frequency_breaks_ties_of_one_basket_by_popularity() -> None:
    baseline = OwnFrequency(2, 3, days=60, tail_days=30)
    baseline.apply(stream([(0, 0, DAY), (0, 1, DAY), (0, 2, DAY), (1, 2, DAY)], 2, 3))
    assert order(baseline)[0] == 2


def test_own_frequency_gives_a_new_user_the_popular_items() -> None:
    baseline = OwnFrequency(3, 3, days=60, tail_days=30)
    baseline.apply(stream([(0, 1, DAY), (1, 1, DAY), (1, 2, DAY)], 3, 3))
    assert order(baseline, user=2) == [1, 2, 0]


@pytest.mark.parametrize("make", BASELINES.values(), ids=BASELINES.keys())
def test_batch_boundaries_do_not_matter(make: Callable[[int, int], Baseline]) -> None:
    data = random_stream(0, 200, 5, 8)
    whole, parts = make(5, 8), make(5, 8)
    whole.apply(data)
    for first in range(0, len(data), 7):
        parts.apply(data.subset(slice(first, first + 7)))
    users, at = np.arange(5), np.full(5, data.timestamp[-1] + DAY)
    np.testing.assert_allclose(parts.score(users, at), whole.score(users, at), rtol=1e-12)


@pytest.mark.parametrize("make", BASELINES.values(), ids=BASELINES.keys())
def test_reading_writes_nothing_and_a_user_alone_scores_as_in_a_batch(make: Callable[[int, int], Baseline]) -> None:
    data: Dataset = random_stream(1, 60, 5, 8)
    baseline = make(5, 8)
    baseline.apply(data)
    users, at = np.arange(5), np.full(5, data.timestamp[-1])
    first = np.array(baseline.score(users, at))
    alone = [baseline.score(users[[u]], at[[u]])[0] for u in users]
    np.testing.assert_array_equal(first, alone)


@pytest.mark.parametrize("make", BASELINES.values(), ids=BASELINES.keys())
def test_nothing_happened_yet_scores_all_items_alike(make: Callable[[int, int], Baseline]) -> None:
    assert scores(make(2, 3)) == [0.0, 0.0, 0.0]
