"""Ranking metrics with one positive an event, over all events and by stratum.

recall@K, ndcg@K, mrr     over events (micro); macro_*: the mean over users of each user's mean
coverage@20               share of the items that could be recommended which are on any list
popularity_bias           mean popularity percentile of what is on the lists

Knows scores and ranks, not models: `evaluate` and the replay over HTTP both count through this file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.integer]
RankArray = NDArray[np.float64]
Score = NDArray[np.floating]
Report = dict[str, dict[str, dict[str, float]]]

CUTOFFS = (10, 20, 30)
TIE_TOLERANCE = 1e-6  # scores are equal within this fraction of the positive's score
UNAVAILABLE = np.inf  # the rank of a positive that is no candidate: a miss at every cutoff
LIST = 20  # items of a list that coverage and popularity bias look at
NOTHING = -1  # where a list has no item


def ranks(scores: Score, positive: IntArray, candidates: BoolArray | None = None) -> RankArray:
    """rank = 1 + #greater + 0.5 #ties among the other candidates; UNAVAILABLE when the positive is no candidate.

    scores (B, N), positive (B,) item codes, candidates (N,) or (B, N), None for all; ranks (B,).
    A NaN score of another item counts as a tie; of the positive it raises ValueError.
    """
    rows = np.arange(len(positive))
    own = scores[rows, positive].astype(np.float64)[:, None]  # (B, 1)
    if np.isnan(own).any():
        raise ValueError(f"the score of item {positive[np.isnan(own[:, 0])][0]} is not a number")
    margin = TIE_TOLERANCE * np.abs(np.where(np.isfinite(own), own, 0.0))
    allowed = np.broadcast_to(True if candidates is None else candidates, scores.shape)  # (B, N)
    greater = ((scores > own + margin) & allowed).sum(axis=1)
    smaller = ((scores < own - margin) & allowed).sum(axis=1)
    ties = allowed.sum(axis=1) - greater - smaller - 1  # the positive ties with itself
    return np.where(allowed[rows, positive], 1 + greater + 0.5 * ties, UNAVAILABLE)


def recall_at(rank: RankArray, k: int) -> RankArray:
    """1 for an event whose positive is among the first k, else 0; (B,)."""
    return (rank <= k).astype(np.float64)


def ndcg_at(rank: RankArray, k: int) -> RankArray:
    """1 / log2(1 + rank) where rank <= k, else 0; (B,). With one positive the ideal DCG is 1."""
    return np.where(rank <= k, 1.0 / np.log2(1.0 + rank), 0.0)


def reciprocal(rank: RankArray) -> RankArray:
    """1 / rank, 0 for an unavailable positive; (B,)."""
    return 1.0 / rank


def top_items(scores: Score, candidates: BoolArray, k: int = LIST) -> IntArray:
    """(B, k) the candidates with the highest scores, best first; NOTHING after the last one that has a score > -inf.

    scores (B, N), candidates (N,) or (B, N). Which of equal scores comes first is arbitrary, but always the same.
    """
    allowed = np.where(candidates, scores, -np.inf)
    if short := max(0, k - allowed.shape[1]):
        allowed = np.pad(allowed, ((0, 0), (0, short)), constant_values=-np.inf)
    best = np.argpartition(-allowed, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(allowed, best, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    return np.where(np.take_along_axis(allowed, best, axis=1) > -np.inf, best, NOTHING).astype(np.int32)


def popularity_percentile(counts: IntArray) -> RankArray:
    """(N,) share of the items with fewer events, equal ones by half; 0.5 on average. counts: (N,) events of each."""
    ordered = np.sort(counts)
    below = np.searchsorted(ordered, counts, side="left") + np.searchsorted(ordered, counts, side="right")
    return below / (2.0 * len(counts))


def strata(repeat: BoolArray, user_events: IntArray, item_known: BoolArray) -> dict[str, BoolArray]:
    """The strata of the protocol, each a mask (B,).

    repeat: the user has had this item; user_events: the user's events before this one's timestamp;
    item_known: the item had an event in what the model was fitted on.
    """
    return {
        "repeat": repeat,
        "new": ~repeat,
        "user:0": user_events == 0,
        "user:1-5": (user_events >= 1) & (user_events <= 5),
        "user:6+": user_events >= 6,
        "item:new": ~item_known,
        "item:known": item_known,
    }


@dataclass(frozen=True)
class Judged:
    """E judged events of one task, in the order of the stream.

    row, user, rank: (E,); top: (E, LIST) the list; members: (E,) masks of the strata, the same strata throughout.
    """

    row: IntArray
    user: IntArray
    rank: RankArray
    top: IntArray
    members: Mapping[str, BoolArray]

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        def column(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(part, name) for part in parts])

        members = {name: np.concatenate([part.members[name] for part in parts]) for name in parts[0].members}
        return cls(column("row"), column("user"), column("rank"), column("top"), members)

    def take(self, which: BoolArray) -> "Judged":
        members = {name: mask[which] for name, mask in self.members.items()}
        return Judged(self.row[which], self.user[which], self.rank[which], self.top[which], members)


class Metrics:
    """Collects what was judged, task by task.

    popularity: (N,) percentiles, see `popularity_percentile`; offered: (N,) items that could be recommended, which
    whoever judges brings up to date.
    """

    def __init__(self, popularity: RankArray, cutoffs: Sequence[int] = CUTOFFS) -> None:
        self.offered = np.zeros(len(popularity), dtype=np.bool_)
        self._popularity = popularity
        self._cutoffs = tuple(cutoffs)
        self._parts: dict[str, list[Judged]] = {}

    def add(self, task: str, judged: Judged) -> None:
        """Further events of a task ("next", "discover")."""
        self._parts.setdefault(task, []).append(judged)

    def tasks(self) -> list[str]:
        return list(self._parts)

    def judged(self, task: str) -> Judged:
        """All events of a task."""
        parts = self._parts[task]
        parts[:] = [Judged.join(parts)]
        return parts[0]

    def ranks(self, task: str) -> RankArray:
        """The ranks of all events of a task in the order they were added; for paired tests."""
        return self.judged(task).rank

    def report(self) -> Report:
        """{task: {"all" or stratum: {"n", "unavailable", "recall@K", ...}}}; empty strata are left out."""
        return {task: self._task_report(self.judged(task)) for task in self._parts}

    def _task_report(self, judged: Judged) -> dict[str, dict[str, float]]:
        parts = {"all": np.ones(len(judged.rank), dtype=np.bool_), **judged.members}
        return {name: self._summary(judged.take(member)) for name, member in parts.items() if member.any()}

    def _summary(self, judged: Judged) -> dict[str, float]:
        rank = judged.rank
        values = {
            **{f"recall@{k}": recall_at(rank, k) for k in self._cutoffs},
            **{f"ndcg@{k}": ndcg_at(rank, k) for k in self._cutoffs},
            "mrr": reciprocal(rank),
        }
        listed = judged.top[judged.top != NOTHING]
        return {
            "n": len(rank),
            "unavailable": int(np.isinf(rank).sum()),
            **{name: float(value.mean()) for name, value in values.items()},
            **{f"macro_{name}": macro(value, judged.user) for name, value in values.items()},
            f"coverage@{LIST}": len(np.unique(listed)) / max(1, int(self.offered.sum())),
            "popularity_bias": float(self._popularity[listed].mean()) if len(listed) else 0.0,
        }


def macro(values: RankArray, user: IntArray) -> float:
    """The mean over users of each user's mean. values, user: (E,)."""
    _, place = np.unique(user, return_inverse=True)
    return float((np.bincount(place, values) / np.bincount(place)).mean())


def save_judged(metrics: Metrics, path: Path) -> None:
    """All judged events as a compressed npz, from which every figure and every paired test can be made again."""
    arrays: dict[str, NDArray[Any]] = {}
    for task in metrics.tasks():
        judged = metrics.judged(task)
        arrays |= {f"{task}/{name}": getattr(judged, name) for name in ("row", "user", "rank", "top")}
        arrays |= {f"{task}/members/{name}": mask for name, mask in judged.members.items()}
    np.savez_compressed(path, allow_pickle=False, **arrays)


def load_judged(path: Path) -> dict[str, Judged]:
    """What `save_judged` wrote, by task."""
    with np.load(path) as arrays:
        found: dict[str, Judged] = {}
        for task in dict.fromkeys(name.split("/")[0] for name in arrays.files):
            prefix = f"{task}/members/"
            members = {name.removeprefix(prefix): arrays[name] for name in arrays.files if name.startswith(prefix)}
            row, user, rank, top = (arrays[f"{task}/{name}"] for name in ("row", "user", "rank", "top"))
            found[task] = Judged(row, user, rank, top, members)
    return found
