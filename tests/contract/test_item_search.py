"""What the item index promises of searches under rules, of likeness, time and movement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.spec import DAY
from service.adapters.exact_index import ExactIndex
from tests.contract.publisher import USERS, Publisher
from tests.contract.test_item_index import NO_ADDITIONS, NO_ITEMS, QUERY, loaded, top
from tests.process.toy import TOY_SPEC, ToyModel

masks = st.lists(st.booleans(), min_size=30, max_size=30)


@settings(max_examples=200, deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, -1.0]), min_size=1, max_size=30),
    bonus=st.lists(st.sampled_from([0.0, 2.0, -2.0]), min_size=30, max_size=30),
    allowed=masks,
    available=masks,
    k=st.integers(0, 35),
)
def test_filters_and_boosts_are_inside_the_search(
    scores: list[float], bonus: list[float], allowed: list[bool], available: list[bool], k: int
) -> None:
    count = len(scores)
    index = loaded(scores, available[:count])
    mask, more = np.array(allowed[:count]), np.array(bonus[:count], np.float32)
    total = {n: scores[n] + bonus[n] for n in range(count) if available[n] and allowed[n]}
    expected = sorted(total, key=lambda n: (-total[n], n))[:k]
    found, values = index.top_k(QUERY, k, NO_ADDITIONS, NO_ITEMS, mask, more)
    assert (found.tolist(), values.tolist()) == (expected, [total[n] for n in expected])
    again, _ = index.best(np.array(scores) + more, k, NO_ITEMS, mask)
    assert again.tolist() == expected
    assert index.available.tolist() == available[:count]


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, -1.0]), min_size=9, max_size=9), min_size=1, max_size=4),
    allowed=masks,
    available=masks,
    k=st.integers(0, 12),
    left=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11)), max_size=6),
)
def test_the_best_of_many_rows_are_the_best_of_each(
    rows: list[list[float]], allowed: list[bool], available: list[bool], k: int, left: list[tuple[int, int]]
) -> None:
    """Items 9 to 11 are not known here yet."""
    index, scores = loaded([0.0] * 9, available[:9]), np.array(rows, np.float32)
    left = [(row, item) for row, item in left if row < len(rows)]
    exclude = np.array([row for row, _ in left], np.int64), np.array([item for _, item in left], np.int64)
    mask = np.array(allowed[:9])
    many = index.best_many(scores.copy(), k, exclude, mask)
    assert len(many) == len(rows)
    for place, (found, values) in enumerate(many):
        out = exclude[1][exclude[0] == place]
        expected, best = index.best(scores[place].copy(), k, out[out < 9], mask)
        assert (found.tolist(), values.tolist()) == (expected.tolist(), best.tolist())


def test_many_queries_score_as_one_does() -> None:
    rng = np.random.default_rng(1)
    publisher = Publisher(30)
    moment = publisher.step(30, [(user, item, 1_000) for user in range(USERS) for item in range(0, 30, 2)], {})
    index = ExactIndex(ToyModel())
    index.apply(moment.entry)
    queries = rng.normal(size=(4, len(QUERY))).astype(np.float32)
    owner, item = np.array([0, 0, 2, 3]), np.array([1, 4, 4, 99])  # 99: an item that is not known here yet
    addition = np.array([5.0, -5.0, 1.0, 7.0], np.float32)
    scores = index.score_many(queries, (owner, item, addition))
    for place, query in enumerate(queries):
        mine = owner == place
        found, values = index.top_k(query, 30, (item[mine], addition[mine]), NO_ITEMS)
        np.testing.assert_allclose(scores[place][found], values, rtol=1e-5, atol=1e-5)  # sums in another order


def test_nearest_is_by_cosine_whatever_the_lengths() -> None:
    rng = np.random.default_rng(2)
    publisher = Publisher(20)
    publisher.step(20, [(user, item, 1_000) for user in range(USERS) for item in range(20)], {})
    moment = publisher.step(0, [(0, 3, 1_200)], {})
    index = ExactIndex(ToyModel())
    index.load(publisher.ids, moment.items, moment.position)
    vector = rng.normal(size=TOY_SPEC.dim).astype(np.float32)
    units = index.vectors / np.linalg.norm(index.vectors, axis=1, keepdims=True)
    expected = units @ (vector / np.linalg.norm(vector))
    found, cosines = index.nearest(100.0 * vector, 20, np.array([4]))
    assert found.tolist() == [n for n in np.argsort(-expected, kind="stable").tolist() if n != 4]
    np.testing.assert_allclose(cosines, expected[found], rtol=1e-5, atol=1e-6)
    assert index.nearest(np.zeros(TOY_SPEC.dim, np.float32), 1, NO_ITEMS)[1].tolist() == [0.0]


def test_time_alone_ends_an_item() -> None:
    publisher = Publisher(2)
    entry = publisher.step(2, [(0, 0, 1_000), (0, 1, 1_000)], {}).entry
    index = ExactIndex(ToyModel())
    index.apply(replace(entry, documents={1: b'{"available_until": 1020}'}))
    index.advance(1_019)
    assert sorted(top(index, 2)) == [0, 1]
    index.advance(1_020)  # in the same step of popularity
    assert top(index, 2) == [0]


def test_velocity_is_the_distance_that_vectors_have_moved_and_fades() -> None:
    publisher = Publisher(2)
    index = ExactIndex(ToyModel())
    index.apply(publisher.step(2, [(0, 0, 1_000)], {1: 0}).entry)
    assert index.velocity.tolist() == [0.0, 0.0]  # a first vector is no movement
    before = index.vectors.copy()
    index.apply(publisher.step(0, [(0, 1, 1_200)], {}).entry)  # closes the tick of item 0
    moved = np.linalg.norm(index.vectors - before, axis=1)
    assert moved[0] > 0
    np.testing.assert_allclose(index.velocity, moved * np.log(2), rtol=1e-6)
    index.advance(1_200 + DAY)
    np.testing.assert_allclose(index.velocity, moved * np.log(2) / 2, rtol=1e-5)
