"""Who leads: one model against each other one, on the same events, by paired bootstrap over users."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from model.bootstrap import Comparison, over_seeds, paired_bootstrap
from model.compare.report import Standing
from model.compare.run import LIVE
from model.evaluate import TASKS
from model.metrics import RankArray, ndcg_at, recall_at

OURS = "peregrine"

VALUES: dict[str, Callable[[RankArray], RankArray]] = {
    "recall@20": lambda rank: recall_at(rank, 20),
    "ndcg@10": lambda rank: ndcg_at(rank, 10),
}
"""The figures that lead is claimed by: of each event's rank."""

MEASURES = [(task, metric) for task in TASKS for metric in VALUES]


def subject(found: Sequence[Standing]) -> Standing:
    """Who is compared with everybody else: our model, or without it the best on validation."""
    ours = [standing for standing in found if standing.name == OURS]
    return ours[0] if ours else max(_live(found), key=lambda s: sum(s.validation(task) for task in TASKS))


def best_baseline(found: Sequence[Standing], task: str) -> Standing | None:
    """The best on the validation part by NDCG@10 of this task, of all that are neither ours nor its ablations."""
    chosen = subject(found)
    rivals = [s for s in _live(found) if s is not chosen and not s.name.startswith(OURS)]
    return max(rivals, key=lambda s: s.validation(task)) if rivals else None


def leader(found: Sequence[Standing], task: str, metric: str) -> Standing:
    """The highest mean on the test part."""
    return max(found, key=lambda s: s.mean(task, "all", metric))


def compare(mine: Standing, other: Standing, task: str, metric: str) -> Comparison | None:
    """Hits averaged over seeds, then the bootstrap; None where the data has no event of the task.

    Raises ValueError when the two were not scored on the same events.
    """
    here, there = mine.judged(task), other.judged(task)
    if not here or not there:
        return None
    if not np.array_equal(here[0].row, there[0].row):
        raise ValueError(f"{mine.name} and {other.name} were scored on different events of {task}")
    values = [over_seeds([VALUES[metric](judged.rank) for judged in side]) for side in (here, there)]
    return paired_bootstrap(values[0], values[1], here[0].user)


def _live(found: Sequence[Standing]) -> list[Standing]:
    return [standing for standing in found if standing.regime == LIVE]
