"""Ranks and rates, worked by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.metrics import (
    NOTHING,
    UNAVAILABLE,
    Judged,
    Metrics,
    load_judged,
    ndcg_at,
    popularity_percentile,
    ranks,
    recall_at,
    reciprocal,
    save_judged,
    strata,
    top_items,
)


def rank(scores: list[float], positive: int, candidates: list[bool] | None = None) -> float:
    mask = None if candidates is None else np.array(candidates)
    return float(ranks(np.array([scores], np.float32), np.array([positive]), mask)[0])


def test_rank_is_one_plus_the_number_of_greater_scores() -> None:
    assert rank([3.0, 1.0, 2.0, 0.5], 2) == 2.0


def test_each_tie_with_another_counts_half() -> None:
    assert rank([2.0, 2.0, 2.0, 5.0], 0) == 1 + 1 + 0.5 * 2


def test_scores_within_a_millionth_are_ties_and_beyond_are_not() -> None:
    scores = np.array([[1000.0, 1000.0005, 999.9995, 1000.002, 999.998]])  # 1e-6 of 1000 is 0.001
    assert ranks(scores, np.array([0]))[0] == 1 + 1 + 0.5 * 2


def test_tolerance_holds_for_negative_scores() -> None:
    assert ranks(np.array([[-1000.0, -1000.0005, -999.998, -1000.002]]), np.array([0]))[0] == 1 + 1 + 0.5


def test_items_that_are_no_candidates_do_not_push_the_positive_down() -> None:
    assert rank([1.0, 9.0, 9.0, 2.0], 0, [True, False, False, True]) == 2.0
    assert rank([1.0, 1.0, 1.0, 2.0], 0, [True, False, True, True]) == 2.5


def test_positive_that_is_no_candidate_is_unavailable() -> None:
    assert rank([9.0, 1.0], 0, [False, True]) == UNAVAILABLE


def test_each_row_may_have_its_own_candidates() -> None:
    scores = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    masks = np.array([[True, True, True], [True, False, True]])
    assert ranks(scores, np.array([0, 0]), masks).tolist() == [3.0, 2.0]


def test_minus_infinity_ties_only_with_itself() -> None:
    assert rank([-math.inf, -math.inf, 0.0], 0) == 2.5
    assert rank([-math.inf, -math.inf, 0.0], 2) == 1.0


def test_score_of_the_positive_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="score of item 1 is not a number"):
        rank([1.0, math.nan], 1)


def test_other_scores_that_are_not_numbers_do_not_help() -> None:
    assert rank([1.0, math.nan, 0.0], 0) == 1.5


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.data())
def test_ranks_agree_with_counting_one_by_one(scores: list[int], data: st.DataObject) -> None:
    positive = data.draw(st.integers(0, len(scores) - 1))
    mask = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    mask[positive] = True
    others = [score for item, score in enumerate(scores) if mask[item] and item != positive]
    expected = 1 + sum(score > scores[positive] for score in others) + 0.5 * others.count(scores[positive])
    assert rank([float(score) for score in scores], positive, mask) == expected


def test_recall_ndcg_and_reciprocal_rank_of_single_events() -> None:
    rank_of = np.array([1.0, 3.0, 10.0, 10.5, UNAVAILABLE])
    assert recall_at(rank_of, 10).tolist() == [1, 1, 1, 0, 0]
    np.testing.assert_allclose(ndcg_at(rank_of, 10), [1, 0.5, 1 / math.log2(11), 0, 0])
    np.testing.assert_allclose(reciprocal(rank_of), [1, 1 / 3, 0.1, 2 / 21, 0])


def test_strata_divide_by_pair_user_and_item() -> None:
    masks = strata(np.array([True, False, False, False]), np.array([6, 0, 1, 5]), np.array([True, False, True, True]))
    assert {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()} == {
        "repeat": [0],
        "new": [1, 2, 3],
        "user:0": [1],
        "user:1-5": [2, 3],
        "user:6+": [0],
        "item:new": [1],
        "item:known": [0, 2, 3],
    }


def judged(
    rank: list[float],
    members: dict[str, list[bool]] | None = None,
    user: list[int] | None = None,
    top: list[list[int]] | None = None,
) -> Judged:
    return Judged(
        row=np.arange(len(rank)),
        user=np.array(user or [0] * len(rank)),
        rank=np.array(rank),
        top=np.array(top or [[NOTHING]] * len(rank)),
        members={name: np.array(mask) for name, mask in (members or {}).items()},
    )


def test_report_gives_the_means_of_each_task_and_stratum() -> None:
    metrics = Metrics(np.full(4, 0.5), cutoffs=(2,))
    metrics.add("next", judged([1.0, 3.0], {"repeat": [True, False], "new": [False, True]}))
    metrics.add("next", judged([UNAVAILABLE, 1.5], {"repeat": [False, True], "new": [True, False]}))
    metrics.add("discover", judged([4.0]))
    report = metrics.report()
    assert set(report["next"]) == {"all", "repeat", "new"}
    accuracy = {"recall@2": 2 / 4, "ndcg@2": (1 + 1 / math.log2(2.5)) / 4, "mrr": (1 + 1 / 3 + 0 + 2 / 3) / 4}
    assert report["next"]["all"] == pytest.approx(
        {"n": 4, "unavailable": 1, "coverage@20": 0, "popularity_bias": 0}
        | accuracy
        | {f"macro_{name}": value for name, value in accuracy.items()}  # one user: no difference
    )
    assert report["next"]["repeat"]["recall@2"] == 1.0
    assert report["next"]["new"]["mrr"] == pytest.approx(1 / 6)
    assert metrics.ranks("next").tolist() == [1.0, 3.0, UNAVAILABLE, 1.5]


def test_macro_averages_give_every_user_the_same_weight() -> None:
    metrics = Metrics(np.full(4, 0.5), cutoffs=(1,))
    metrics.add("next", judged([1.0, 1.0, 1.0, 2.0], user=[7, 7, 7, 3]))
    figures = metrics.report()["next"]["all"]
    assert (figures["recall@1"], figures["macro_recall@1"]) == (0.75, 0.5)


def test_coverage_counts_listed_items_and_bias_weighs_every_place_of_a_list() -> None:
    metrics = Metrics(np.array([0.1, 0.3, 0.9, 0.5]))
    metrics.offered[:] = [True, True, True, False]
    metrics.add("next", judged([1.0, 1.0, 1.0], top=[[2, 0], [2, NOTHING], [0, 2]]))
    figures = metrics.report()["next"]["all"]
    assert figures["coverage@20"] == pytest.approx(2 / 3)
    assert figures["popularity_bias"] == pytest.approx((3 * 0.9 + 2 * 0.1) / 5)


def test_top_items_are_the_best_candidates_in_order() -> None:
    scores = np.array([[1.0, 5.0, 3.0, 4.0], [2.0, -math.inf, 1.0, 9.0]])
    assert top_items(scores, np.array([True, True, True, True]), 2).tolist() == [[1, 3], [3, 0]]
    allowed = np.array([[True, False, True, False], [True, True, False, False]])
    assert top_items(scores, allowed, 3).tolist() == [[2, 0, NOTHING], [0, NOTHING, NOTHING]]
    assert top_items(scores, allowed).shape == (2, 20)


def test_popularity_percentile_is_the_share_of_less_popular_items() -> None:
    assert popularity_percentile(np.array([0, 7, 7, 100])).tolist() == [0.125, 0.5, 0.5, 0.875]


def test_judged_events_come_back_from_disk(tmp_path: Path) -> None:
    metrics = Metrics(np.full(4, 0.5))
    metrics.add("next", judged([1.0, UNAVAILABLE], {"repeat": [True, False], "user:0": [False, True]}, top=[[3], [1]]))
    metrics.add("discover", judged([4.0]))
    save_judged(metrics, tmp_path / "judged.npz")
    loaded = load_judged(tmp_path / "judged.npz")
    assert list(loaded) == ["next", "discover"]
    for task, there in loaded.items():
        here = metrics.judged(task)
        for name in ("row", "user", "rank", "top"):
            np.testing.assert_array_equal(getattr(there, name), getattr(here, name))
        assert {n: m.tolist() for n, m in there.members.items()} == {n: m.tolist() for n, m in here.members.items()}


def test_empty_strata_are_left_out() -> None:
    metrics = Metrics(np.full(4, 0.5))
    metrics.add("discover", judged([4.0], {"repeat": [False], "new": [True]}))
    assert set(metrics.report()["discover"]) == {"all", "new"}
    accuracy = {"mrr", "recall@10", "recall@20", "recall@30", "ndcg@10", "ndcg@20", "ndcg@30"}
    beside = {"n", "unavailable", "coverage@20", "popularity_bias"}
    assert set(metrics.report()["discover"]["all"]) == accuracy | {f"macro_{name}" for name in accuracy} | beside
