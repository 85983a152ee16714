"""Leaks that the evaluation must not have, and planted ones that it must show."""

from functools import cache

import numpy as np

from model.data import Dataset, split
from model.data.dataset import Int64Array
from model.evaluate import TASKS, Scorer, Task
from model.metrics import Score
from tests.modules.scorers import Make, each_scorer, run
from tests.modules.streams import random_stream, stream


class Recorded:
    """Remembers the scores that were read, by timestamp."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self.read: dict[int, Score] = {}

    def apply(self, events: Dataset, /) -> None:
        self._scorer.apply(events)

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        scores: Score = self._scorer.score(users, at)
        self.read[int(at[0])] = np.array(scores)
        return scores


class Peeking:
    """A planted look into the future: it scores what is bought at the moment it is asked about."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def apply(self, events: Dataset, /) -> None:
        """It knows already."""

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        bought = self._dataset.item[self._dataset.timestamp == at[0]]
        counts = np.bincount(bought, minlength=self._dataset.n_items)
        return np.broadcast_to(counts.astype(np.float64), (len(users), len(counts)))


def reads_after_replacing(make: Make, moment: int) -> tuple[dict[int, Score], dict[int, Score]]:
    """Scores read on a stream, and on the same one with every item of the events at `moment` replaced."""
    data = random_stream(6, 400, 10, 30)
    item = data.item.copy()
    there = data.timestamp == moment
    item[there] = (item[there] + 7) % data.n_items
    other = stream(list(zip(data.user.tolist(), item.tolist(), data.timestamp.tolist(), strict=True)), 10, 30)
    recorded = [Recorded(make(each)) for each in (data, other)]
    for scorer, each in zip(recorded, (data, other), strict=True):
        run(scorer, each, 0)
    return recorded[0].read, recorded[1].read


MOMENT = 1_000 + 30 * 60


def unchanged_up_to_moment(first: dict[int, Score], second: dict[int, Score]) -> bool:
    return all(np.array_equal(first[at], second[at]) for at in first if at <= MOMENT)


@each_scorer
def test_replacing_every_item_of_a_moment_changes_no_score_read_at_or_before_it(
    make: Make,
) -> None:
    first, second = reads_after_replacing(make, MOMENT)
    assert unchanged_up_to_moment(first, second)
    assert not np.array_equal(first[MOMENT + 30], second[MOMENT + 30])


def test_a_planted_look_into_the_future_changes_them() -> None:
    assert not unchanged_up_to_moment(*reads_after_replacing(Peeking, MOMENT))


N_IID = 60
ARRIVALS = 12  # 20 % of the items arrive late


@cache
def iid_stream(seed: int) -> tuple[Dataset, np.ndarray]:
    """Events without any user signal, and the items' (N,) weights: an item is drawn by weight once it has arrived."""
    rng = np.random.default_rng(seed)
    weight = rng.permutation(1.0 / np.arange(1, N_IID + 1))
    events = 6_000
    arrival = np.zeros(N_IID)
    arrival[rng.choice(N_IID, ARRIVALS, replace=False)] = rng.uniform(0.2, 0.95, ARRIVALS) * events
    rows = []
    for event in range(events):
        present = weight * (arrival <= event)
        user, item = rng.integers(100), rng.choice(N_IID, p=present / present.sum())
        rows.append((int(user), int(item), 1_000 + event // 3 * 60))
    return stream(sorted(set(rows)), 100, N_IID), weight


class Bayes:
    """Scores by the true weights: over the available items no list without user signal is better."""

    def __init__(self, weight: np.ndarray) -> None:
        self._weight = weight

    def apply(self, events: Dataset, /) -> None:
        """There is nothing to learn."""

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        return np.broadcast_to(self._weight, (len(users), len(self._weight)))


def beats_bayes(make: Make) -> dict[Task, bool]:
    """Of each task, whether the scorer exceeds the Bayes-optimal list by more than 3 sigma, so hardly by chance."""
    data, weight = iid_stream(7)
    start = split(data).test.start
    best, mine = (run(scorer, data, start).report() for scorer in (Bayes(weight), make(data)))
    beaten: dict[Task, bool] = {}
    for task in TASKS:
        optimum, recall = best[task]["all"], mine[task]["all"]["recall@10"]
        sigma = (optimum["recall@10"] * (1 - optimum["recall@10"]) / optimum["n"]) ** 0.5
        beaten[task] = recall > optimum["recall@10"] + 3 * sigma
    return beaten


@each_scorer
def test_no_scorer_beats_the_bayes_optimal_list_on_data_without_user_signal(make: Make) -> None:
    assert beats_bayes(make) == {"next": False, "discover": False}


def test_a_planted_look_into_the_future_beats_it() -> None:
    assert beats_bayes(Peeking) == {"next": True, "discover": True}


class NeverSeen:
    """Puts what nobody has had before everything else."""

    def __init__(self) -> None:
        self._score = np.ones(N_IID)

    def apply(self, events: Dataset, /) -> None:
        self._score[events.item] = 0.0

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        return np.broadcast_to(self._score, (len(users), N_IID))


def test_scoring_by_never_seen_before_gains_nothing() -> None:
    data, _ = iid_stream(8)
    start = int(np.searchsorted(data.timestamp, data.timestamp[len(data) // 10]))
    fair = run(NeverSeen(), data, start).report()["next"]["all"]
    leaky = run(NeverSeen(), data, start, candidates="catalogue").report()["next"]["all"]
    assert fair["recall@10"] == 0.0
    assert leaky["recall@10"] > 0.0  # a candidate that is there only when it is the answer is a leak


class Embedded:
    """An item's embedding is what was written at its last event: its weight then, and when that was.

    Scored as a model scores whose embeddings carry a time encoding: by weight, and a little by how fresh it is.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._counts = np.zeros(dataset.n_items)
        self._written = np.zeros(dataset.n_items)

    def apply(self, events: Dataset, /) -> None:
        np.add.at(self._counts, events.item, 1.0)
        self.write(events.item, int(events.timestamp[-1]))

    def write(self, items: np.ndarray, at: int) -> None:
        self._written[items] = at

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        freshness = np.exp2((self._written - at[0]) / 60.0)
        return np.broadcast_to(np.log1p(self._counts) + 2.0 * freshness, (len(users), len(self._counts)))


class Refreshed(Embedded):
    """The same model as the code released with the paper evaluates it: a batch's positives get their new embeddings
    before they are ranked, all other candidates keep their stale ones."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self._dataset = dataset

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        self.write(self._dataset.item[self._dataset.timestamp == at[0]], int(at[0]))
        return super().score(users, at)


def test_refreshing_the_positives_before_ranking_beats_the_optimum_and_the_same_model_read_fairly_does_not() -> None:
    assert beats_bayes(Embedded) == {"next": False, "discover": False}
    assert beats_bayes(Refreshed) == {"next": True, "discover": True}


def test_refreshing_the_positives_is_a_look_into_the_future() -> None:
    assert unchanged_up_to_moment(*reads_after_replacing(Embedded, MOMENT))
    assert not unchanged_up_to_moment(*reads_after_replacing(Refreshed, MOMENT))
