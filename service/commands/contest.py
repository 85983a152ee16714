"""The live service and its contenders on the same events, each ranked and counted by the evaluator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.process.state import State
from service.commands.contenders import CountersOnly, FrozenState
from service.commands.live import LiveService
from service.commands.snapshot import read_state
from service.settings import Settings
from service.wiring import build_worker

if TYPE_CHECKING:
    from model.data import Dataset
    from model.evaluate import Referee, Scorer


class Contest:
    """live: the service. counters_only: its state, with the GRU memory frozen at the start and counters, pairs and
    neighbours live. frozen: its state at the start. own_frequency: the user's own items by decayed count, live.
    popular: the items bought most, live.

    start: row where the replay begins; the service holds everything before it.
    """

    def __init__(self, settings: Settings, dataset: Dataset, start: int, live: LiveService) -> None:
        from model.baselines import BASELINES
        from model.evaluate import Referee

        def state() -> tuple[State, list[str]]:
            return read_state(services.store, services.bundle.model, dataset.user_ids)

        services = build_worker(settings)
        counting = {
            "own_frequency": BASELINES["own-frequency-60d"](dataset.n_users, dataset.n_items),
            "popular": BASELINES["popularity"](dataset.n_users, dataset.n_items),
        }
        for baseline in counting.values():
            baseline.apply(dataset.subset(slice(0, start)))
        scorers: dict[str, Scorer] = {
            "live": live,
            "counters_only": CountersOnly(*state(), dataset),
            "frozen": FrozenState(*state(), dataset),
            **counting,
        }
        self._dataset = dataset
        self._entries: dict[str, tuple[Scorer, Referee]] = {
            name: (scorer, Referee(dataset, start, ("next",), "available")) for name, scorer in scorers.items()
        }

    def judge(self, first: int, end: int) -> None:
        """Ranks the events of one timestamp, rows [first, end), from the state before any of them."""
        rows = np.arange(first, end)
        for scorer, referee in reversed(self._entries.values()):  # the live one last, it may still apply
            referee.judge(scorer, first, rows)

    def apply(self, first: int, end: int) -> None:
        """Gives everyone the events of rows [first, end)."""
        events = self._dataset.subset(slice(first, end))
        for scorer, _ in self._entries.values():
            scorer.apply(events)

    def recall_at_20(self) -> dict[str, float]:
        """Of everything judged so far, by name."""
        from model.metrics import recall_at

        return {
            name: float(recall_at(referee.metrics.ranks("next"), 20).mean())
            for name, (_, referee) in self._entries.items()
        }
