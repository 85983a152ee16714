"""Baselines with parameters: their equations on tiny data, and how they are read with live history."""

from pathlib import Path

import numpy as np
import pytest

from model.baselines.baseline import Entry, Frozen, Job, grid
from model.baselines.ease import EASE
from model.baselines.ease import weights as ease_weights
from model.baselines.ials import IALS, FoldedIn
from model.baselines.item_knn import ITEM_KNN, cosine
from model.baselines.item_to_item import Bought, ItemToItem
from model.baselines.user_events import UserEvents
from model.data import Dataset
from model.evaluate import Scorer
from model.spec import DAY
from tests.modules.streams import random_stream, stream

# users 0 and 1 had items 0 and 1, user 2 had items 1 and 2, nobody had item 3
BASKETS = [(0, 0, DAY), (0, 1, DAY), (1, 0, DAY), (1, 1, DAY), (1, 0, 2 * DAY), (2, 1, DAY), (2, 2, DAY)]


def baskets() -> Dataset:
    return stream(BASKETS, 4, 4)


def fitted(entry: Entry, events: Dataset, **changes: object) -> Scorer:
    """After the last round, without history."""
    job = Job(dict(entry.search[0]) | changes, 0, lambda _: None, Path())
    *_, last = entry.fit(events, job)
    return last.scorer()


def scores(scorer: Scorer, user: int, at: int = 10 * DAY) -> np.ndarray:
    return np.asarray(scorer.score(np.array([user]), np.array([at]))[0])


def test_item_knn_is_the_shrunken_cosine_of_the_buyers() -> None:
    bought = Bought.of(baskets())
    assert bought.items.tolist() == [0, 1, 2]
    similarity = cosine(bought, shrink=1.0, neighbours=None)
    expected = [
        [0.0, 2 / (6**0.5 + 1), 0.0],
        [2 / (6**0.5 + 1), 0.0, 1 / (3**0.5 + 1)],
        [0.0, 1 / (3**0.5 + 1), 0.0],
    ]
    np.testing.assert_allclose(similarity, expected, rtol=1e-6)


def test_item_knn_keeps_the_nearest_of_each_column() -> None:
    similarity = cosine(Bought.of(baskets()), shrink=1.0, neighbours=1)
    assert np.count_nonzero(similarity[:, 1]) == 1
    assert similarity[0, 1] > 0  # item 0 is nearer to 1 than 2 is


def test_ease_is_the_best_linear_model_without_the_item_itself() -> None:
    """Off the diagonal the gradient of |X - XB|^2 + lambda |B|^2 is zero; on it B is."""
    events = random_stream(3, 200, 12, 8)
    bought = Bought.of(events)
    matrix = ease_weights(bought, 5.0)
    x = bought.matrix.astype(np.float64)
    gradient = x.T @ (x @ matrix - x) + 5.0 * matrix
    off = ~np.eye(len(matrix), dtype=bool)
    np.testing.assert_allclose(gradient[off], 0.0, atol=1e-4)  # float32 in the inverse
    np.testing.assert_array_equal(np.diagonal(matrix), 0.0)


def test_item_to_item_adds_the_rows_of_the_distinct_items_of_the_history() -> None:
    similarity = np.arange(9, dtype=np.float32).reshape(3, 3)
    scorer = ItemToItem(baskets(), np.array([0, 1, 2]), similarity, None)
    scorer.apply(baskets())
    np.testing.assert_allclose(scores(scorer, 1), [3, 5, 7, 0], atol=1e-3)  # rows 0 and 1, and the tail


def test_an_item_of_the_history_fades_since_it_was_had_last() -> None:
    similarity = np.eye(3, dtype=np.float32)
    scorer = ItemToItem(baskets(), np.array([0, 1, 2]), similarity, half_life=1.0)
    scorer.apply(baskets())
    np.testing.assert_allclose(scores(scorer, 1, at=3 * DAY), [0.5, 0.25, 0, 0], atol=1e-3)


def test_large_catalogues_take_part_with_their_most_popular_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.baselines.item_to_item.MOST_ITEMS", 2)
    assert Bought.of(baskets()).items.tolist() == [0, 1]
    scorer = fitted(ITEM_KNN, baskets())
    scorer.apply(baskets())
    assert scores(scorer, 2)[0] > 0.01  # by item 1
    assert scores(scorer, 2)[3] == 0.0


def test_ials_solves_the_weighted_least_squares_of_the_live_history() -> None:
    events = baskets()
    scorer = fitted(IALS, events, factors=3, regularisation=0.5, alpha=2.0)
    assert isinstance(scorer, FoldedIn)
    scorer.apply(events)
    y = scorer._factors.astype(np.float64)
    counts = np.array([2.0, 1.0, 0.0, 0.0])  # of user 1
    c, p = 1 + 2.0 * counts, (counts > 0).astype(float)
    x = np.linalg.solve(y.T @ (c[:, None] * y) + 0.5 * np.eye(3), y.T @ (c * p))
    np.testing.assert_allclose(scores(scorer, 1), y @ x, atol=2e-4)  # the tail, and float32


@pytest.mark.parametrize("entry", [ITEM_KNN, EASE, IALS], ids=lambda entry: entry.name)
def test_history_moves_the_live_scorer_and_not_the_frozen_one(entry: Entry) -> None:
    events = random_stream(5, 300, 6, 10)
    past, future = events.subset(slice(0, 200)), events.subset(slice(200, 300))
    scorer = fitted(entry, past)
    scorer.apply(past)
    before = scores(scorer, 0)
    Frozen(scorer).apply(future)
    np.testing.assert_array_equal(scores(Frozen(scorer), 0), before)
    scorer.apply(future)
    assert not np.array_equal(scores(scorer, 0), before)


@pytest.mark.parametrize("entry", [ITEM_KNN, EASE, IALS], ids=lambda entry: entry.name)
def test_users_without_history_get_the_popular_items(entry: Entry) -> None:
    scorer = fitted(entry, baskets())
    scorer.apply(baskets())
    assert np.argsort(-scores(scorer, 3), kind="stable").tolist() == [0, 1, 2, 3]  # item 0 has the latest event


@pytest.mark.parametrize("entry", [ITEM_KNN, EASE, IALS], ids=lambda entry: entry.name)
def test_the_same_seed_gives_the_same_scores_in_a_batch_or_alone(entry: Entry) -> None:
    events = random_stream(6, 300, 6, 10)
    first, second = (fitted(entry, events) for _ in range(2))
    for scorer in (first, second):
        scorer.apply(events)
    users, at = np.arange(6), np.full(6, events.timestamp[-1])
    together = first.score(users, at)
    alone = [second.score(users[[u]], at[[u]])[0] for u in users]
    np.testing.assert_allclose(alone, together, rtol=1e-5)


def test_user_events_gives_distinct_items_with_their_latest_time() -> None:
    users = UserEvents(4)
    users.apply(baskets())
    items, weights = users.latest(1, 3 * DAY, half_life=DAY)
    assert (items.tolist(), weights.tolist()) == ([0, 1], [0.5, 0.25])
    assert users.latest(3, 3 * DAY, None)[0].tolist() == []


def test_grid_is_all_combinations_with_the_first_values_first() -> None:
    assert grid(a=(1, 2), b=("x", None)) == (
        {"a": 1, "b": "x"}, {"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": 2, "b": None}
    )  # fmt: skip
