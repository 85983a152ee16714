"""What the item index promises: the rows, the availability and the scores of the dense state, under any feed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.process.apply import visible_items
from model.process.records import NEVER, Float, Int, Records, counters_of
from model.spec import DAY
from service.adapters.exact_index import ExactIndex
from service.core.types import FeedEntry, Position
from service.ports import FeedLost
from tests.contract.publisher import USERS, Moment, Publisher
from tests.process.toy import TOY_SPEC, ToyModel

NO_ITEMS: Int = np.empty(0, dtype=np.int64)
NO_ADDITIONS = (NO_ITEMS, np.empty(0, dtype=np.float32))


Plan = list[tuple[int, list[tuple[int, int, int]], dict[int, int]]]

steps = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, 50), st.integers(1_000, 1_900)), max_size=6),
        st.dictionaries(st.integers(0, 50), st.sampled_from([900, 1_300, 5_000, -NEVER]), max_size=2),
    ),
    min_size=1,
    max_size=12,
)


def run(plan: Plan) -> list[Moment]:
    publisher = Publisher(12)
    first = publisher.step(2, [], {})
    return [first, *(publisher.step(*step) for step in plan)]


def assert_index_is(index: ExactIndex, moment: Moment) -> None:
    """Rows equal those of the dense state (a few ulp: popularity of one row against that of all), and so the order."""
    known = len(moment.available)
    assert list(index.ids) == [f"item-{n}" for n in range(known)]
    assert (index.position.offset, index.position.log_time) == (moment.position.offset, moment.position.log_time)
    np.testing.assert_array_equal(index.vectors, moment.matrix[:, : TOY_SPEC.dim])
    np.testing.assert_array_equal(index.counters, counters_of(moment.items, TOY_SPEC))
    query = np.random.default_rng(0).normal(size=(moment.matrix.shape[1],)).astype(np.float32)
    found, scores = index.top_k(query, known, NO_ADDITIONS, NO_ITEMS)
    assert sorted(found.tolist()) == np.flatnonzero(moment.available).tolist()
    np.testing.assert_allclose(scores, (moment.matrix @ query)[found], rtol=1e-5, atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(plan=steps)
def test_a_followed_feed_gives_the_rows_of_the_dense_state_at_every_step(plan: Plan) -> None:
    index = ExactIndex(ToyModel())
    for moment in run(plan):
        index.apply(moment.entry)
        assert_index_is(index, moment)


@settings(max_examples=200, deadline=None)
@given(plan=steps, data=st.data())
def test_a_load_torn_over_several_commits_is_whole_once_the_feed_is_caught_up(plan: Plan, data: st.DataObject) -> None:
    """As a replica loads: cursor first, then the position, then every item at some later moment of its own."""
    moments = run(plan)
    cursor = data.draw(st.integers(0, len(moments) - 1))
    position = data.draw(st.integers(cursor, len(moments) - 1))
    count = moments[position].position.item_count
    read_at = [data.draw(st.integers(position, len(moments) - 1)) for _ in range(count)]
    rows = np.concatenate([moments[at].items[n : n + 1] for n, at in enumerate(read_at)])
    index = ExactIndex(ToyModel())
    index.load([f"item-{n}" for n in range(count)], rows, moments[position].position)
    for moment in moments[cursor + 1 :]:
        index.apply(moment.entry)
    assert_index_is(index, moments[-1])


@settings(max_examples=200, deadline=None)
@given(plan=steps)
def test_a_load_between_two_commits_gives_the_rows_of_the_dense_state(plan: Plan) -> None:
    *_, last = run(plan)
    index = ExactIndex(ToyModel())
    index.load(
        [f"item-{n}" for n in range(len(last.items))], last.items, replace(last.position, log_id="l", bundle="b")
    )
    assert_index_is(index, last)
    assert (index.position.log_id, index.position.bundle) == ("l", "b")


def loaded(scores: list[float], available: list[bool] | None = None) -> ExactIndex:
    """An index of items whose score under the query [1, 0, ...] is given."""
    publisher = Publisher(len(scores))
    items = publisher.state.items.copy()
    items["x"] = 0.0
    items["x"][:, 0] = scores
    items["available_from"] = [0 if there else -NEVER for there in available or [True] * len(scores)]
    index = ExactIndex(ToyModel())
    index.load(publisher.ids, items, Position(1, 1_000, 10, len(scores)))
    return index


QUERY = np.eye(TOY_SPEC.dim + TOY_SPEC.popularity_dim, dtype=np.float32)[0]


def top(index: ExactIndex, k: int, additions: tuple[Int, Float] = NO_ADDITIONS, exclude: Int = NO_ITEMS) -> list[int]:
    return [int(i) for i in index.top_k(QUERY, k, additions, exclude)[0]]


@settings(max_examples=300, deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, -1.0, 3.25]), max_size=30),
    k=st.integers(0, 35),
    data=st.data(),
)
def test_top_k_is_a_full_stable_sort_of_the_available_items(scores: list[float], k: int, data: st.DataObject) -> None:
    count = len(scores)
    some = st.lists(st.integers(0, count + 3), unique=True, max_size=8)
    available = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    added, excluded = data.draw(some), data.draw(some)
    additions = (np.array(added, dtype=np.int64), np.arange(len(added), dtype=np.float32))
    index = loaded(scores, available)
    total = [score + dict(zip(*additions, strict=True)).get(n, 0.0) for n, score in enumerate(scores)]
    candidates = [n for n in range(count) if available[n] and n not in excluded]
    expected = sorted(candidates, key=lambda n: (-total[n], n))[:k]
    found, values = index.top_k(QUERY, k, additions, np.array(excluded, dtype=np.int64))
    assert found.tolist() == expected
    assert values.tolist() == [total[n] for n in expected]


def test_a_search_changes_nothing() -> None:
    index = loaded([3.0, 2.0, 1.0])
    assert top(index, 3, exclude=np.array([0])) == [1, 2]
    assert top(index, 3, (np.array([2]), np.array([9.0], np.float32))) == [2, 0, 1]
    assert top(index, 3) == [0, 1, 2]


def test_what_is_handed_out_cannot_be_written() -> None:
    index = loaded([1.0, 2.0])
    for array in (index.vectors, index.counters):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]
    index.apply(
        FeedEntry(
            Position(2, 1_000, 10, 2), (), *no_counters(), np.array([0], np.uint32), np.full((1, TOY_SPEC.dim), 9.0)
        )
    )
    assert top(index, 1) == [0]


def no_counters() -> tuple[np.ndarray, Records]:
    return np.empty(0, dtype=np.uint32), counters_of(Publisher(1).state.items[:0], TOY_SPEC)


def test_items_are_found_by_id() -> None:
    index = loaded([1.0, 2.0])
    assert (index.find("item-1"), index.find("item-2"), index.find("")) == (1, None, None)


def test_time_alone_releases_an_item_and_never_goes_back() -> None:
    publisher = Publisher(2)
    index = ExactIndex(ToyModel())
    index.apply(publisher.step(2, [(0, 0, 1_000)], {1: 1_020}).entry)
    index.apply(publisher.step(0, [(0, 0, 1_001)], {}).entry)
    assert top(index, 2) == [0]
    index.advance(1_019)
    assert top(index, 2) == [0]
    index.advance(1_020)  # in the same step of popularity
    assert sorted(top(index, 2)) == [0, 1]
    index.advance(1_000)
    assert (index.position.log_time, sorted(top(index, 2))) == (1_020, [0, 1])


def test_counters_that_are_newer_than_an_entry_stay() -> None:
    publisher = Publisher(2)
    first = publisher.step(2, [(0, 0, 1_000), (0, 1, 1_000)], {})
    older = publisher.step(0, [(1, 0, 1_001)], {})
    newer = publisher.step(0, [(2, 0, 1_002)], {})
    index = ExactIndex(ToyModel())
    index.load(publisher.ids, newer.items, first.position)
    index.apply(older.entry)
    np.testing.assert_array_equal(index.counters, counters_of(newer.items, TOY_SPEC))
    assert index.position.offset == older.position.offset


def test_vectors_that_are_older_than_what_was_loaded_are_passed_over() -> None:
    publisher = Publisher(1)
    publisher.step(1, [(0, 0, 1_000)], {})
    older = publisher.step(0, [(0, 0, 1_100)], {})
    loaded_at = publisher.step(0, [(0, 0, 1_200)], {})
    assert not np.array_equal(older.entry.vectors, loaded_at.entry.vectors)
    index = ExactIndex(ToyModel())
    index.load(publisher.ids, loaded_at.items, loaded_at.position)
    index.apply(older.entry)
    np.testing.assert_array_equal(index.vectors, loaded_at.entry.vectors)
    assert index.position == loaded_at.position


def test_popularity_decays_with_time_for_all_items_at_each_step() -> None:
    publisher = Publisher(3)
    publisher.step(3, [(0, 0, 1_000), (1, 1, 1_000)], {})
    moment = publisher.step(0, [(0, 2, 1_000 + 3 * DAY)], {})
    index, query = ExactIndex(ToyModel()), np.eye(TOY_SPEC.dim + TOY_SPEC.popularity_dim, dtype=np.float32)[-1]
    index.load(publisher.ids, moment.items, replace(moment.position, log_time=1_000))
    young = index.top_k(query, 3, NO_ADDITIONS, NO_ITEMS)[1]
    index.advance(1_000 + 3 * DAY)
    found, old = index.top_k(query, 3, NO_ADDITIONS, NO_ITEMS)
    np.testing.assert_allclose(old, (publisher.state.matrix @ query)[found], rtol=1e-6)
    assert old.sum() < young.sum()


def test_popular_ranks_by_counts_of_a_seven_day_half_life() -> None:
    publisher = Publisher(4)
    old = [(user, 0, 1_000) for user in (0, 1, 2, 0, 1)]
    moment = publisher.step(3, [*old, *((0, 1, 1_000 + 21 * DAY) for _ in range(2))], {2: 0})
    index = ExactIndex(ToyModel())
    index.apply(moment.entry)
    found, counts = index.popular(10, NO_ITEMS)
    assert found.tolist() == [1, 0, 2]  # 2 of now, 5 / 2^3 of three weeks ago, none
    np.testing.assert_allclose(counts, [2.0, 0.625, 0.0], rtol=1e-4)  # the step of 50 s rounds the time down
    assert index.popular(1, np.array([1]))[0].tolist() == [0]


def test_an_entry_that_skips_items_means_reload() -> None:
    publisher = Publisher(5)
    publisher.step(2, [], {})
    later = publisher.step(2, [(0, 0, 1_000)], {})
    with pytest.raises(FeedLost):
        ExactIndex(ToyModel()).apply(later.entry)


def test_an_index_grows_past_its_first_rows() -> None:
    publisher = Publisher(5_000)
    index = ExactIndex(ToyModel())
    for size in (1, 1_022, 1, 1, 3_000, 975):
        moment = publisher.step(size, [(0, publisher.known, 1_000)], {})
        index.apply(moment.entry)
        assert_index_is(index, moment)
    np.testing.assert_array_equal(index.vectors, visible_items(publisher.state.items, 10, ToyModel()))


def test_an_empty_index_answers_with_nothing() -> None:
    index = ExactIndex(ToyModel())
    assert top(index, 10) == []
    assert index.popular(10, NO_ITEMS)[0].tolist() == []
    index.advance(1_000)
    index.load([], Publisher(1).state.items[:0], Position())
    assert (len(index.ids), index.vectors.shape, index.position) == (0, (0, TOY_SPEC.dim), Position())
