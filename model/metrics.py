"""Ranking metrics with one positive an event: Recall@K, NDCG@K, MRR, over all events and by stratum.

Knows scores and ranks, not models: `evaluate` and the replay over HTTP both count through this file.
"""

from collections.abc import Mapping, Sequence

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


class Metrics:
    """Collects the rank of each event, task by task, with the strata it belongs to."""

    def __init__(self, cutoffs: Sequence[int] = CUTOFFS) -> None:
        self._cutoffs = tuple(cutoffs)
        self._ranks: dict[str, list[RankArray]] = {}
        self._strata: dict[str, list[Mapping[str, BoolArray]]] = {}

    def add(self, task: str, rank: RankArray, members: Mapping[str, BoolArray]) -> None:
        """Events of a task ("next", "discover"): ranks (B,) and masks (B,), the same strata at every call."""
        self._ranks.setdefault(task, []).append(rank)
        self._strata.setdefault(task, []).append(members)

    def ranks(self, task: str) -> RankArray:
        """The ranks of all events of a task in the order they were added; for paired tests."""
        return np.concatenate(self._ranks[task])

    def report(self) -> Report:
        """{task: {"all" or stratum: {"n", "unavailable", "recall@K", "ndcg@K", "mrr"}}}; empty strata are left out."""
        return {task: self._task_report(task) for task in self._ranks}

    def _task_report(self, task: str) -> dict[str, dict[str, float]]:
        rank = self.ranks(task)
        parts = {"all": np.ones(len(rank), dtype=np.bool_)}
        for name in self._strata[task][0]:
            parts[name] = np.concatenate([members[name] for members in self._strata[task]])
        return {name: self._summary(rank[member]) for name, member in parts.items() if member.any()}

    def _summary(self, rank: RankArray) -> dict[str, float]:
        return {
            "n": len(rank),
            "unavailable": int(np.isinf(rank).sum()),
            **{f"recall@{k}": float(recall_at(rank, k).mean()) for k in self._cutoffs},
            **{f"ndcg@{k}": float(ndcg_at(rank, k).mean()) for k in self._cutoffs},
            "mrr": float(reciprocal(rank).mean()),
        }
