"""The paired bootstrap: what it must call chance, and what it must not."""

import numpy as np
import pytest

from model.bootstrap import over_seeds, paired_bootstrap

USERS = np.repeat(np.arange(100), 10)


def test_the_same_hits_are_no_difference() -> None:
    hits = np.random.default_rng(0).integers(2, size=1_000).astype(float)
    result = paired_bootstrap(hits, hits, USERS)
    assert (result.low, result.high, result.p, result.gain) == (0.0, 0.0, 1.0, 0.0)


def test_a_clear_lead_is_significant_and_inside_its_interval() -> None:
    rng = np.random.default_rng(1)
    other, mine = (rng.random(1_000) < 0.2).astype(float), (rng.random(1_000) < 0.4).astype(float)
    result = paired_bootstrap(mine, other, USERS)
    assert result.p < 0.01
    assert 0 < result.low < result.mean - result.other_mean < result.high
    assert 0 < result.gain_low < result.gain < result.gain_high
    assert result.gain == pytest.approx(mine.mean() / other.mean() - 1)


def test_the_other_way_round_is_as_unlikely_with_the_opposite_sign() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.random(1_000), rng.random(1_000) + 0.02
    there, back = paired_bootstrap(one, two, USERS), paired_bootstrap(two, one, USERS)
    assert (there.low, there.high, there.p) == pytest.approx((-back.high, -back.low, back.p))


def test_p_is_as_often_below_a_twentieth_without_a_difference() -> None:
    """200 draws of two equal models: 10 are expected below 0.05, 25 would be five sigma away."""
    rng = np.random.default_rng(3)
    values = (rng.random((2, 1_000)) for _ in range(200))
    assert 1 <= sum(paired_bootstrap(one, two, USERS, resamples=200).p < 0.05 for one, two in values) <= 25


def test_events_of_one_user_count_as_one_witness() -> None:
    rng = np.random.default_rng(4)
    each = rng.normal(0.05, 1.0, 100)  # what a user gains, at all of their events
    gain = np.repeat(each, 10)
    together = paired_bootstrap(gain, np.zeros(1_000), USERS)
    alone = paired_bootstrap(gain, np.zeros(1_000), np.arange(1_000))
    assert together.high - together.low == pytest.approx((alone.high - alone.low) * 10**0.5, rel=0.15)


def test_users_weigh_by_their_events() -> None:
    mine, user = np.array([1.0, 1.0, 1.0, 0.0]), np.array([5, 5, 5, 9])
    result = paired_bootstrap(mine, np.zeros(4), user)
    assert (result.mean, result.low, result.high) == (0.75, 0.0, 1.0)


def test_the_same_seed_gives_the_same_answer_however_many_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    one, two = rng.random(1_000), rng.random(1_000)
    whole = paired_bootstrap(one, two, USERS)
    monkeypatch.setattr("model.bootstrap.CELLS", 1_000)
    assert paired_bootstrap(one, two, USERS) == whole
    assert paired_bootstrap(one, two, USERS, seed=1) != whole


def test_hits_are_averaged_over_seeds_event_by_event() -> None:
    assert over_seeds([np.array([1.0, 0.0]), np.array([0.0, 0.0])]).tolist() == [0.5, 0.0]


def test_a_lead_over_nothing_is_infinite() -> None:
    assert paired_bootstrap(np.ones(4), np.zeros(4), np.arange(4)).gain == np.inf
