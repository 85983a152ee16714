"""The evaluator: every model and baseline goes through this one function (MODEL.md section 6).

The stream is walked by whole timestamps. Every k-th row is scored from the state before any event of its timestamp,
all candidates with one function; then all events of that timestamp are applied. Two tasks:

next      every event; ranked among all candidates
discover  first-time pairs only; ranked among the candidates that this user has not had
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np

from model.data.dataset import BoolArray, Dataset, Int64Array
from model.data.split import SCORED_ROWS, split
from model.history import History
from model.metrics import Metrics, Report, Score, ranks, strata

Task = Literal["next", "discover"]
Candidates = Literal["available", "paper", "catalogue"]
Progress = Callable[[int], None]
"""Told the number of events done since the last call."""

TASKS: tuple[Task, ...] = ("next", "discover")
WARM_CHUNK = 20_000  # events
SCORE_CELLS = 2**22  # users x items scored at once, 16 MB of float32


class Scorer(Protocol):
    """What is evaluated. Which items a user has had and which are there at all is the evaluator's business."""

    def apply(self, events: Dataset, /) -> None:
        """Takes in the next whole timestamps of the stream; at least one event."""
        ...

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        """(B, N) finite scores of every item for B users, each at its own moment [s]. Writes nothing."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """Figures of one scorer on rows [start, stop) of a data set, of which every `every`-th was scored.

    metrics holds the rank of each scored row, task by task, in the order of the stream.
    """

    dataset: str
    start: int
    stop: int
    every: int
    candidates: Candidates
    metrics: Metrics

    def to_json(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "start": self.start,
            "stop": self.stop,
            "every": self.every,
            "candidates": self.candidates,
            "metrics": self.report(),
        }

    def report(self) -> Report:
        """{task: {"all" or stratum: {"n", "unavailable", "recall@K", "ndcg@K", "mrr"}}}."""
        return self.metrics.report()


def warm(scorer: Scorer, dataset: Dataset, start: int, stop: int, progress: Progress | None = None) -> None:
    """Applies rows [start, stop) in chunks of whole timestamps, scoring nothing."""
    _check_bounds(dataset, start, stop)
    while start < stop:
        last = dataset.timestamp[min(start + WARM_CHUNK, stop) - 1]
        end = int(np.searchsorted(dataset.timestamp, last, side="right"))
        scorer.apply(dataset.subset(slice(start, end)))
        if progress:
            progress(end - start)
        start = end


def default_every(start: int, stop: int) -> int:
    """k of a part: about 15,000 of its rows are scored."""
    return max(1, (stop - start) // SCORED_ROWS)


def evaluate(
    scorer: Scorer,
    dataset: Dataset,
    start: int,
    stop: int,
    *,
    every: int | None = None,
    tasks: Sequence[Task] = TASKS,
    candidates: Candidates = "available",
    progress: Progress | None = None,
) -> Evaluation:
    """Scores and applies rows [start, stop); `scorer` has been given rows [0, start) and nothing else.

    every: rows whose number in the whole stream is a multiple of it are scored; None for `default_every`.
    Raises ValueError where start or stop divides a timestamp.
    """
    _check_bounds(dataset, start, stop)
    every = every or default_every(start, stop)
    referee = Referee(dataset, start, tasks, candidates)
    for first, end in timestamps(dataset, start, stop):
        rows = np.arange(-(-first // every) * every, end, every)
        if len(rows):
            referee.judge(scorer, first, rows)
        scorer.apply(dataset.subset(slice(first, end)))
        if progress:
            progress(end - first)
    return Evaluation(dataset.name, start, stop, every, candidates, referee.metrics)


class Referee:
    """Ranks the positives of one timestamp at a time."""

    def __init__(self, dataset: Dataset, start: int, tasks: Sequence[Task], candidates: Candidates) -> None:
        self.metrics = Metrics()
        self._dataset = dataset
        self._tasks = tasks
        self._history = History(dataset)
        self._known = self._history.seen(start)  # (N,) items the model may have been fitted on
        self._fixed = _fixed_candidates(dataset, candidates)
        self._batch = max(1, SCORE_CELLS // dataset.n_items)

    def judge(self, scorer: Scorer, first: int, rows: Int64Array) -> None:
        """Scores `rows`, all of the timestamp that begins with row `first`."""
        allowed = self._history.available(first) if self._fixed is None else self._fixed
        for part in range(0, len(rows), self._batch):
            self._judge(scorer, first, rows[part : part + self._batch], allowed)

    def _judge(self, scorer: Scorer, first: int, rows: Int64Array, allowed: BoolArray) -> None:
        users, place = np.unique(self._dataset.user[rows].astype(np.int64), return_inverse=True)
        items = self._dataset.item[rows]
        scores = scorer.score(users, np.full(len(users), self._dataset.timestamp[first]))
        had, counts = self._had(users, first)
        repeat = had[place, items]
        members = strata(repeat, counts[place], self._known[items])
        if "next" in self._tasks:
            self.metrics.add("next", ranks(scores[place], items, allowed), members)
        new = np.flatnonzero(~repeat)
        if "discover" in self._tasks and len(new):
            unseen = allowed & ~had[place[new]]
            members = {name: member[new] for name, member in members.items()}
            self.metrics.add("discover", ranks(scores[place[new]], items[new], unseen), members)

    def _had(self, users: Int64Array, first: int) -> tuple[BoolArray, Int64Array]:
        """(B, N) whether the user has had the item before row `first`, and (B,) the user's events before it."""
        had = np.zeros((len(users), self._dataset.n_items), dtype=np.bool_)
        counts = np.zeros(len(users), dtype=np.int64)
        for row, user in enumerate(users):
            items = self._history.items_of(user, first)
            had[row, items] = True
            counts[row] = len(items)
        return had, counts


def _fixed_candidates(dataset: Dataset, candidates: Candidates) -> BoolArray | None:
    """(N,) candidates that are the same all along; None for `available`, which grows."""
    if candidates == "available":
        return None
    chosen = np.full(dataset.n_items, candidates == "catalogue")
    if candidates == "paper":
        chosen[dataset.item[split(dataset).validation.start :]] = True
    return chosen


def timestamps(dataset: Dataset, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """(first row, end) of each timestamp in rows [start, stop)."""
    changes = np.flatnonzero(np.diff(dataset.timestamp[start:stop])) + start + 1
    return pairwise([start, *changes.tolist(), stop])


def _check_bounds(dataset: Dataset, start: int, stop: int) -> None:
    for row in (start, stop):
        if 0 < row < len(dataset) and dataset.timestamp[row - 1] == dataset.timestamp[row]:
            raise ValueError(f"row {row} of {dataset.name} is inside timestamp {dataset.timestamp[row]}")
    if not 0 <= start < stop <= len(dataset):
        raise ValueError(f"rows [{start}, {stop}) are not a part of {dataset.name}, which has {len(dataset)} events")
