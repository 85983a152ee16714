"""The evaluator: ranks worked by hand; how the stream is cut changes nothing."""

import numpy as np
import pytest

import model.evaluate
from model.baselines import Popularity
from model.data import Dataset, scored_rows, split
from model.evaluate import Candidates, Evaluation, Scorer, default_every, evaluate, warm
from tests.modules.scorers import Make, each_scorer, run
from tests.modules.streams import random_stream, stream

X, Y, Z, W = range(4)
A, B, C = range(3)
INF = np.inf

BEFORE = [(A, X, 1), (B, X, 1), (A, Y, 2)]
PART = [
    (A, X, 3),  # x 2, y 1: rank 1, had it
    (B, Y, 3),  # rank 2; without x, which B had, rank 1
    (B, Z, 3),  # nobody had z before: unavailable
    (A, Z, 4),  # x 3, y 2, z 1: rank 3; A had x and y: rank 1
    (B, X, 5),  # rank 1, had it
    (C, Y, 5),  # x 3, and z ties with y at 2: rank 2.5 for both tasks, for C had nothing
]
START = len(BEFORE)


def tiny(every: int = 1, candidates: Candidates = "available") -> Evaluation:
    data = stream(BEFORE + PART, 3, 4)
    return run(Popularity(4), data, START, every, candidates)


def test_ranks_are_those_worked_by_hand() -> None:
    metrics = tiny().metrics
    np.testing.assert_array_equal(metrics.ranks("next"), [1, 2, INF, 3, 1, 2.5])
    np.testing.assert_array_equal(metrics.ranks("discover"), [1, INF, 1, 2.5])


def test_strata_are_those_worked_by_hand() -> None:
    report = tiny().report()["next"]
    sizes = {name: figures["n"] for name, figures in report.items()}
    assert sizes == {
        "all": 6, "repeat": 2, "new": 4, "user:0": 1, "user:1-5": 5, "item:new": 2, "item:known": 4
    }  # fmt: skip
    assert (report["all"]["unavailable"], report["item:new"]["unavailable"]) == (1, 1)


def test_lists_coverage_and_bias_are_those_worked_by_hand() -> None:
    metrics = tiny().metrics
    lists = [[code for code in row if code >= 0] for row in metrics.judged("next").top[:, :4].tolist()]
    assert lists[:4] == [[X, Y], [X, Y], [X, Y], [X, Y, Z]]
    assert metrics.judged("discover").top[:4, 0].tolist() == [Y, Y, Z, X]  # less what the user has had; A had x and y
    figures = metrics.report()["next"]
    assert figures["all"]["coverage@20"] == 1.0  # x, y and z are on lists; w is never there
    # before the part x has 2 events, y 1, z and w none: percentiles 7/8, 5/8, 1/4
    assert figures["user:0"]["popularity_bias"] == pytest.approx((7 / 8 + 5 / 8 + 1 / 4) / 3)


def test_every_k_th_row_of_the_stream_is_scored_and_all_are_applied() -> None:
    metrics = tiny(every=4).metrics  # rows 4 and 8 of the stream
    np.testing.assert_array_equal(metrics.ranks("next"), [2, 2.5])
    np.testing.assert_array_equal(metrics.ranks("discover"), [1, 2.5])


def test_scored_rows_are_those_of_the_split() -> None:
    data = random_stream(0, 2_000, 20, 20)
    part = split(data).test
    np.testing.assert_array_equal(scored_rows(part), np.arange(part.start, part.stop))
    assert default_every(part.start, part.stop) == 1
    assert default_every(0, 45_000) == 3


def test_catalogue_and_paper_rank_among_items_that_nobody_had_yet() -> None:
    catalogue = tiny(candidates="catalogue").metrics.ranks("next")
    np.testing.assert_array_equal(catalogue, [1, 2, 3.5, 3, 1, 2.5])  # z ties with w, which nobody ever has
    paper = tiny(candidates="paper").metrics.ranks("next")  # the last 3 of 9 rows: x, y, z
    np.testing.assert_array_equal(paper, [1, 2, 3, 3, 1, 2.5])


def test_an_item_is_a_candidate_from_the_second_it_is_available_from() -> None:
    data = stream(BEFORE + PART, 3, 4, available_from={Z: 3, W: 5})
    metrics = run(Popularity(4), data, START).metrics
    np.testing.assert_array_equal(metrics.ranks("next"), [1, 2, 3, 3, 1, 2.5])
    late = stream(BEFORE + PART, 3, 4, available_from={Z: 4})
    assert run(Popularity(4), late, START).metrics.ranks("next")[2] == INF


def test_a_part_that_divides_a_timestamp_is_refused() -> None:
    data = stream(BEFORE + PART, 3, 4)
    with pytest.raises(ValueError, match="row 4 of stream is inside timestamp 3"):
        evaluate(Popularity(4), data, 4, len(data))
    with pytest.raises(ValueError, match="not a part of stream"):
        warm(Popularity(4), data, START, START)


def test_to_json_says_what_was_scored() -> None:
    told = tiny(every=4).to_json()
    assert {name: told[name] for name in ("dataset", "start", "stop", "every", "candidates")} == {
        "dataset": "stream",
        "start": 3,
        "stop": 9,
        "every": 4,
        "candidates": "available",
    }
    assert told["metrics"]["next"]["all"]["recall@10"] == 1.0


@each_scorer
def test_warming_in_chunks_equals_walking_timestamp_by_timestamp(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.evaluate, "WARM_CHUNK", 150)
    data = random_stream(4, 1_200, 20, 30)
    start = split(data).test.start
    warmed = run(make(data), data, start).metrics
    walked = run(make(data), data, 0).metrics
    # float32 sums taken in another order may swap near ties of the toy model
    np.testing.assert_allclose(warmed.ranks("next"), walked.ranks("next")[start:], atol=0.5)


@each_scorer
def test_batch_size_does_not_matter(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_stream(5, 900, 40, 30, per_timestamp=60)
    start = split(data).test.start
    whole = run(make(data), data, start).report()
    monkeypatch.setattr(model.evaluate, "SCORE_CELLS", 1)
    monkeypatch.setattr(model.evaluate, "RANK_CELLS", 1)
    single = run(make(data), data, start).report()
    for task, figures in whole.items():
        for stratum, values in figures.items():
            assert single[task][stratum] == pytest.approx(values, abs=1e-3)  # near ties may swap by rounding


class OwnCounts:
    """A user's own items by count and by how long ago, and nothing of anybody else."""

    def __init__(self, dataset: Dataset, reads_alone: bool) -> None:
        self.reads_alone = reads_alone
        self.calls = 0
        self._counts = np.zeros((dataset.n_users, dataset.n_items))

    def apply(self, events: Dataset, /) -> None:
        np.add.at(self._counts, (events.user, events.item), 1.0 + events.timestamp / 1e6)

    def score(self, users: np.ndarray, at: np.ndarray, /) -> np.ndarray:
        self.calls += 1
        assert len(set(users.tolist())) == len(users)
        wave = np.sin(at[:, None] + np.arange(self._counts.shape[1]))
        return np.asarray(self._counts[users] + 0.5 * wave)


@pytest.mark.parametrize("every", [1, 3])
def test_reading_several_timestamps_at_once_changes_nothing_where_users_stand_alone(every: int) -> None:
    data = random_stream(9, 900, 30, 20, per_timestamp=2)
    start = split(data).test.start
    apart, together = OwnCounts(data, False), OwnCounts(data, True)
    expected, found = (run(scorer, data, start, every).metrics for scorer in (apart, together))
    for task in found.tasks():
        np.testing.assert_array_equal(found.judged(task).rank, expected.judged(task).rank)
        np.testing.assert_array_equal(found.judged(task).row, expected.judged(task).row)
    assert together.calls < apart.calls / 2


class Direct:
    """A scorer that answers at once."""

    def __init__(self, scorer: Scorer) -> None:
        self.apply, self.score = scorer.apply, scorer.score


@each_scorer
@pytest.mark.parametrize("every", [1, 4])
def test_answers_that_are_put_off_are_those_given_at_once(make: Make, every: int) -> None:
    data = random_stream(10, 1_100, 30, 20, per_timestamp=3)
    start = split(data).test.start
    later, once = run(make(data), data, start, every).metrics, run(Direct(make(data)), data, start, every).metrics
    for task in once.tasks():
        np.testing.assert_array_equal(later.judged(task).row, once.judged(task).row)
        np.testing.assert_array_equal(later.judged(task).rank, once.judged(task).rank)
