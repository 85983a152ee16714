"""The promises of the state process: order, batches and splits do not matter; moments and ticks step once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.process.batch import Events
from model.process.item_codes import item_codes
from model.process.records import NEVER, Float
from model.process.state import State
from model.process.user_features import user_features
from model.spec import ModelSpec
from tests.process.toy import TOY_SPEC, ToyModel

USERS, ITEMS = 4, 6


def make_state(spec: ModelSpec = TOY_SPEC) -> State:
    rng = np.random.default_rng(1)
    static = rng.normal(size=(ITEMS, TOY_SPEC.static_dim)).astype(np.float32)
    return State(ToyModel(spec), USERS, [f"item-{i}" for i in range(ITEMS)], static, np.full(ITEMS, -NEVER))


def make_events(rows: list[tuple[int, int, int]], first_offset: int = 1) -> Events:
    user, item, timestamp = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    count = len(rows)
    return Events(
        user,
        item,
        timestamp,
        np.full(count, TOY_SPEC.type_code("purchase"), dtype=np.uint8),
        np.ones(count, dtype=np.float32),
        np.arange(first_offset, first_offset + count),
    )


def told(state: State) -> Float:
    """(ITEMS, d) what a user's memory is told of each item."""
    return np.concatenate([state.items["x"], item_codes(state.hash, state.model.spec.item_dim)], axis=1)


def assert_same(a: State, b: State) -> None:
    """Integers equal, floats to rounding of sums taken in another order (a few ulp per step)."""
    for left, right in ((a.users, b.users), (a.items, b.items)):
        for name in left.dtype.names or ():
            if name == "offset":
                continue
            np.testing.assert_allclose(left[name], right[name], rtol=2e-5, atol=2e-6, err_msg=name)
    for left, right in zip(a.pairs, b.pairs, strict=True):
        for name in ("item", "count", "moments", "first_moment", "last_moment", "first", "last"):
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)
        np.testing.assert_allclose(left["decayed"], right["decayed"], rtol=2e-5)
        np.testing.assert_allclose(left["phase"], right["phase"], rtol=2e-5, atol=2e-5)
    assert a.log_time == b.log_time
    np.testing.assert_allclose(a.item_vectors, b.item_vectors, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(a.matrix, b.matrix, rtol=2e-5, atol=2e-6)


events_lists = st.lists(
    st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1), st.integers(1_000, 1_600)), min_size=1, max_size=40
)


@settings(max_examples=150, deadline=None)
@given(rows=events_lists, data=st.data())
def test_batch_boundaries_do_not_matter(rows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    spec = TOY_SPEC.model_copy(update={"max_pairs": data.draw(st.sampled_from([2, 4_096]))})
    whole, parts = make_state(spec), make_state(spec)
    whole.apply(make_events(rows))
    done = 0
    while done < len(rows):
        size = data.draw(st.integers(1, len(rows) - done))
        parts.apply(make_events(rows[done : done + size], done + 1))
        done += size
    assert_same(whole, parts)


@settings(max_examples=150, deadline=None)
@given(rows=events_lists, data=st.data())
def test_arrival_order_inside_a_timestamp_does_not_matter(
    rows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    rows = sorted((u, i, t // 40 * 40) for u, i, t in rows)
    rows.sort(key=lambda row: row[2])
    shuffled = sorted(data.draw(st.permutations(rows)), key=lambda row: row[2])
    spec = TOY_SPEC.model_copy(update={"max_pairs": data.draw(st.sampled_from([2, 4_096]))})
    ordered, other = make_state(spec), make_state(spec)
    ordered.apply(make_events(rows))
    for at, row in enumerate(shuffled):
        other.apply(make_events([row], at + 1))
    assert_same(ordered, other)


def test_a_basket_is_one_step_and_every_event_in_it_counts_at_once() -> None:
    state = make_state()
    state.apply(make_events([(0, 0, 1_000), (0, 1, 1_000), (0, 2, 1_000)]))
    row = state.users[0]
    assert (row["count"], row["moments"], row["events"], row["key"]) == (3, 1, 3, 1_000)
    np.testing.assert_array_equal(row["m"], state.model.initial_user)  # folded only when read, or by the next moment
    mean = told(state)[:3].mean(axis=0)
    expected = 0.5 * 0.5 + mean + 1.0  # hand-worked toy commit: gap 0, first moment
    np.testing.assert_allclose(state.model.update_users(state.users[:1])[0], expected, rtol=1e-6)


def test_a_hot_item_steps_once_a_tick_and_shows_it_only_when_the_tick_has_ended() -> None:
    state = make_state()
    before = state.item_vectors[0].copy()
    state.apply(make_events([(u % USERS, 0, 1_000 + u) for u in range(50)]))
    np.testing.assert_array_equal(state.item_vectors[0], before)
    assert state.items["count"][0] == 50
    state.apply(make_events([(0, 1, 1_100)]))
    assert not np.allclose(state.item_vectors[0], before)
    after = state.item_vectors[0].copy()
    state.apply(make_events([(1, 0, 1_150)]))
    np.testing.assert_allclose(state.item_vectors[0], after, rtol=1e-6)


def test_an_event_late_for_its_user_joins_the_open_moment_and_keeps_its_own_time_elsewhere() -> None:
    state = make_state()
    state.apply(make_events([(0, 0, 1_000), (0, 1, 1_500), (0, 2, 1_200)]))
    row = state.users[0]
    assert (row["count"], row["moments"], row["key"], row["late"]) == (2, 2, 1_500, 1)
    assert [int(t) for t in row["nb_time"][:3]] == [1_500, 1_200, 1_000]
    assert state.pairs[0]["last"].tolist() == [1_000, 1_500, 1_200]


def test_at_most_a_quarter_of_the_neighbours_share_a_timestamp() -> None:
    state = make_state()
    state.apply(make_events([(0, 5, 900), *((0, i, 1_000) for i in range(5))]))
    times = state.users[0]["nb_time"]
    assert np.count_nonzero(times == 1_000) == TOY_SPEC.neighbours // 4
    assert np.count_nonzero(times == 900) == 1


def test_pairs_count_moments_repeats_and_gaps() -> None:
    state = make_state()
    state.apply(make_events([(0, 3, 1_000), (0, 3, 1_000), (0, 3, 1_300), (1, 3, 1_310)]))
    pair = state.pairs[0][0]
    assert (pair["count"], pair["moments"], pair["first"], pair["last"]) == (3, 2, 1_000, 1_300)
    item = state.items[3]
    assert (item["events"], item["buyers"], item["repeats"]) == (4, 2, 1)
    assert item["repeat_log_gap_sum"] == pytest.approx(np.log1p(300))
    assert state.users["repeats"].tolist() == [1, 0, 0, 0]


def test_pairs_remember_the_first_and_last_of_their_users_moments() -> None:
    state = make_state()
    state.apply(make_events([(0, 1, 1_000), (0, 3, 1_100), (0, 1, 1_200), (0, 2, 1_300)]))
    state.apply(make_events([(0, 3, 1_300), (0, 3, 1_400)], 5))
    assert state.pairs[0]["item"].tolist() == [1, 2, 3]
    assert state.pairs[0]["first_moment"].tolist() == [1, 4, 2]
    assert state.pairs[0]["last_moment"].tolist() == [3, 4, 5]


def test_pairs_sum_the_time_of_day_and_of_the_week() -> None:
    state = make_state()
    state.apply(make_events([(0, 1, 0), (0, 1, 6 * 3_600), (0, 1, 24 * 3_600 * 7)]))
    quarter, seventh = 2 * np.pi / 4, 2 * np.pi / 28
    expected = [2 + np.cos(quarter), np.sin(quarter), 2 + np.cos(seventh), np.sin(seventh)]
    np.testing.assert_allclose(state.pairs[0]["phase"][0], expected, atol=1e-6)


def test_a_users_features_tell_repeaters_newcomers_and_latecomers_apart() -> None:
    state = make_state()
    state.apply(make_events([(0, 1, 1_000), (0, 1, 1_300), (1, 1, 1_000), (1, 2, 1_300)]))
    soon, late = (user_features(state.users[:3], np.full(3, at), TOY_SPEC) for at in (1_310, 200_000))
    moments, share, known, due = 0, 3, 4, 6
    np.testing.assert_allclose(soon[:, moments], np.log1p([2, 2, 0]))
    assert soon[:, share].tolist() == [0.5, 0.0, 0.0]
    assert soon[:, known].tolist() == [1.0, 1.0, 0.0]
    assert np.all(late[:2, due] > soon[:2, due])


def test_pairs_above_the_cap_drop_the_least_recent_and_are_counted() -> None:
    spec = TOY_SPEC.model_copy(update={"max_pairs": 3})
    state = State(
        ToyModel(spec), 1, [str(i) for i in range(ITEMS)], np.zeros((ITEMS, 2), np.float32), np.full(ITEMS, 0)
    )
    state.apply(make_events([(0, i, 1_000 + i) for i in range(ITEMS)]))
    assert state.pairs[0]["item"].tolist() == [2, 3, 4, 5]  # three of closed moments, one of the open moment
    assert state.users["evicted"][0] == 2


def test_decayed_popularity_is_the_sum_over_events_whatever_their_order() -> None:
    state = make_state()
    day = 86_400
    state.apply(make_events([(0, 0, 10 * day), (1, 0, 9 * day), (2, 0, 12 * day)]))
    half_life = TOY_SPEC.popularity_half_lives[1]
    expected = sum(2.0 ** (-(12 * day - t) / half_life) for t in (10 * day, 9 * day, 12 * day))
    assert state.items["popularity"][0][1] == pytest.approx(expected, rel=1e-6)
    assert state.items["popularity"][0][-1] == 3.0


def test_reading_writes_nothing() -> None:
    state = make_state()
    state.apply(make_events([(0, 0, 1_000), (1, 2, 1_250)]))
    before = (state.users.tobytes(), state.items.tobytes(), [p.tobytes() for p in state.pairs])
    first = state.score(np.array([0, 1, 3]), np.array([2_000, 2_000, 2_000]))
    assert (state.users.tobytes(), state.items.tobytes(), [p.tobytes() for p in state.pairs]) == before
    np.testing.assert_array_equal(first, state.score(np.array([0, 1, 3]), np.array([2_000, 2_000, 2_000])))
    alone = np.concatenate([state.score(np.array([u]), np.array([2_000])) for u in (0, 1, 3)])
    np.testing.assert_allclose(first, alone, rtol=1e-5)


def test_with_a_step_for_each_event_a_basket_moves_memory_as_often_as_it_has_events() -> None:
    each = TOY_SPEC.model_copy(update={"step_per_event": True})
    basket = [(0, 1, 1_000), (1, 3, 1_000), (0, 2, 1_000), (0, 4, 1_000)]
    one_step, three_steps = make_state(), make_state(each)
    for state in (one_step, three_steps):
        state.apply(make_events(basket))
        state.apply(make_events([(0, 5, 1_300)], first_offset=5))
    model, memory = ToyModel(each), np.full(TOY_SPEC.dim, 0.5, dtype=np.float32)
    for place, item in enumerate((1, 2, 4)):
        memory = 0.5 * memory + told(three_steps)[item] + np.float32(place == 0)
    np.testing.assert_allclose(three_steps.users["m"][0], memory, rtol=1e-5)
    assert not np.allclose(one_step.users["m"][0], memory)
    np.testing.assert_array_equal(one_step.users["moments"], three_steps.users["moments"])
    np.testing.assert_allclose(model.update_users(one_step.users[1:2]), model.update_users(three_steps.users[1:2]))
