"""The evaluator: every model and baseline goes through this one function (MODEL.md section 6).

The stream is walked by whole timestamps. Every k-th row is scored from the state before any event of its timestamp,
all candidates with one function; then all events of that timestamp are applied. Two tasks:

next      every event; ranked among all candidates
discover  first-time pairs only; ranked among the candidates that this user has not had
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from model.data.dataset import BoolArray, Dataset, Int32Array, Int64Array
from model.data.split import SCORED_ROWS, split
from model.history import History
from model.metrics import Judged, Metrics, Report, Score, popularity_percentile, ranks, strata, top_items
from model.windows import windows

Task = Literal["next", "discover"]
Candidates = Literal["available", "paper", "catalogue"]
Progress = Callable[[int], None]
"""Told the number of events done since the last call."""

TASKS: tuple[Task, ...] = ("next", "discover")
WARM_CHUNK = 20_000  # events
SCORE_CELLS = 2**22  # users x items scored at once, 16 MB of float32
ASKED = 256  # users whose answers are put off at once
RANK_CELLS = 2**17  # events x items ranked at once; what fits a processor's cache goes twice as fast


class Scorer(Protocol):
    """What is evaluated. Which items a user has had and which are there at all is the evaluator's business.

    A scorer whose answer for a user depends on that user's own events and the moment alone may say so by an attribute
    `reads_alone = True`: it is then asked for users of several timestamps at once, where the answers are the same.
    """

    def apply(self, events: Dataset, /) -> None:
        """Takes in the next whole timestamps of the stream; at least one event."""
        ...

    def score(self, users: Int64Array, at: Int64Array, /) -> Score:
        """(B, N) finite scores of every item for B users, each at its own moment [s]. Writes nothing."""
        ...


@runtime_checkable
class PuttingOff(Scorer, Protocol):
    """A scorer that can answer many questions at once, though the stream moves on between them.

    A question keeps what its answer depends on as it is then, and that alone: no later event changes it.
    """

    def ask(self, users: Int64Array, at: Int64Array, /) -> None:
        """Notes the question that `score` would answer."""
        ...

    def answers(self) -> Score:
        """(R, N) scores for all users asked about since the last answers, in that order; at least one."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """Figures of one scorer on rows [start, stop) of a data set, of which every `every`-th was scored.

    metrics holds the rank and the list of each scored row, task by task, in the order of the stream.
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
        """{task: {"all" or stratum: {"n", "unavailable", "recall@K", ...}}}, see `model.metrics`."""
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
    several = bool(getattr(scorer, "reads_alone", False))
    for window in windows(dataset, timestamps(dataset, start, stop), every, several):
        referee.judge(scorer, window.first, window.rows)
        scorer.apply(dataset.subset(slice(window.start, window.stop)))
        if progress:
            progress(window.stop - window.start)
    referee.hear(scorer)
    return Evaluation(dataset.name, start, stop, every, candidates, referee.metrics)


class Referee:
    """Has every positive scored from the state before its timestamp; ranks them, many timestamps at a time.

    start: row from which on items count as new.
    """

    def __init__(self, dataset: Dataset, start: int, tasks: Sequence[Task], candidates: Candidates) -> None:
        self._dataset = dataset
        self._tasks = tasks
        self._history = History(dataset)
        self._known = self._history.seen(start)  # (N,) items the model may have been fitted on
        self._fixed = _fixed_candidates(dataset, candidates)
        self._batch = max(1, SCORE_CELLS // dataset.n_items)
        self._piece = max(1, RANK_CELLS // dataset.n_items)
        self._metrics = Metrics(popularity_percentile(self._history.counts(start)))
        self._asked: list[_Asked] = []
        self._n_asked = 0
        self._waiting: list[_Scored] = []
        self._n_waiting = 0

    @property
    def metrics(self) -> Metrics:
        """Of everything judged so far."""
        self._rank()
        return self._metrics

    def judge(self, scorer: Scorer, first: int | Int64Array, rows: Int64Array) -> None:
        """Scores `rows` (R,) of the timestamps that begin with the rows `first`, one or (R,); one timestamp a user.

        What is put off is scored at the latest when `hear` is called.
        """
        first = np.broadcast_to(first, rows.shape)
        for part in range(0, len(rows), self._batch):
            here, begin = rows[part : part + self._batch], first[part : part + self._batch]
            users = self._dataset.user[here].astype(np.int64)
            users, any_row, place = np.unique(users, return_index=True, return_inverse=True)
            at, asked = self._dataset.timestamp[begin[any_row]], _Asked(here, begin, place, len(users))
            if isinstance(scorer, PuttingOff):
                scorer.ask(users, at)
                self._put_off(scorer, asked)
            else:
                self._scored(asked, scorer.score(users, at))

    def _put_off(self, scorer: PuttingOff, asked: "_Asked") -> None:
        self._asked.append(asked)
        self._n_asked += asked.users
        if self._n_asked >= min(ASKED, self._batch):
            self.hear(scorer)

    def hear(self, scorer: Scorer) -> None:
        """Takes the answers that were put off."""
        if not self._asked or not isinstance(scorer, PuttingOff):
            return
        scores, first = scorer.answers(), 0
        for asked in self._asked:
            self._scored(asked, scores[first : first + asked.users])
            first += asked.users
        self._asked, self._n_asked = [], 0

    def _scored(self, asked: "_Asked", scores: Score) -> None:
        for piece in range(0, len(asked.rows), self._piece):
            which = slice(piece, piece + self._piece)
            self._wait(_Scored(asked.rows[which], asked.first[which], scores[asked.place[which]]))

    def _wait(self, scored: "_Scored") -> None:
        self._waiting.append(scored)
        self._n_waiting += len(scored.rows)
        if self._n_waiting >= self._piece:
            self._rank()

    def _rank(self) -> None:
        if not self._waiting:
            return
        rows, first, scores = (np.concatenate([getattr(w, f.name) for w in self._waiting]) for f in fields(_Scored))
        self._waiting, self._n_waiting = [], 0
        allowed = np.broadcast_to(self._allowed(first), scores.shape)  # (B, N)
        self._metrics.offered |= allowed[-1]  # the latest row has all that the earlier ones have
        users, items = self._dataset.user[rows], self._dataset.item[rows]
        had, counts = self._had(users, first)
        repeat = had[np.arange(len(rows)), items]
        members = strata(repeat, counts, self._known[items])
        if "next" in self._tasks:
            rank, top = ranks(scores, items, allowed), top_items(scores, allowed)
            self._metrics.add("next", Judged(rows, users, rank, top, members))
        if "discover" in self._tasks and not repeat.all():
            unseen = (allowed & ~had)[~repeat]
            rank, top = ranks(scores[~repeat], items[~repeat], unseen), top_items(scores[~repeat], unseen)
            members = {name: member[~repeat] for name, member in members.items()}
            self._metrics.add("discover", Judged(rows[~repeat], users[~repeat], rank, top, members))

    def _allowed(self, first: Int64Array) -> BoolArray:
        """(B, N) candidates of rows whose timestamps begin with the rows `first` (B,); or (N,)."""
        return self._history.available(first[:, None]) if self._fixed is None else self._fixed

    def _had(self, users: Int32Array, first: Int64Array) -> tuple[BoolArray, Int64Array]:
        """(B, N) whether the user has had the item before row `first`, and (B,) the user's events before it."""
        had = np.zeros((len(users), self._dataset.n_items), dtype=np.bool_)
        counts = np.zeros(len(users), dtype=np.int64)
        for place, (user, row) in enumerate(zip(users.tolist(), first.tolist(), strict=True)):
            items = self._history.items_of(user, row)
            had[place, items] = True
            counts[place] = len(items)
        return had, counts


@dataclass(frozen=True)
class _Asked:
    """Rows (B,) whose timestamps begin with the rows `first` (B,), and the place (B,) of each among the users asked."""

    rows: Int64Array
    first: Int64Array
    place: Int64Array
    users: int


@dataclass(frozen=True)
class _Scored:
    """Scores (B, N) of rows (B,) whose timestamps begin with the rows `first` (B,)."""

    rows: Int64Array
    first: Int64Array
    scores: Score


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
