"""Who competes in the demo: the live service's parts, stopped at the start of the replay one way or another.

Each is a `Scorer` of `model.evaluate` over one data set; what they start from is the service's own state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from model.process.batch import Events
from model.process.records import Float, Int
from model.process.state import State

if TYPE_CHECKING:
    from model.data import Dataset

_MEMORY = ("m", "sum", "count", "gap", "steps")


class FrozenState:
    """Everything stops: memory, counters, pairs, neighbours; only the moment of the question moves.

    state: users by the data set's codes; item_ids: of the state's items by index.
    """

    def __init__(self, state: State, item_ids: Sequence[str], dataset: Dataset) -> None:
        index = {item_id: at for at, item_id in enumerate(item_ids)}
        self.state = state
        self._index = np.array([index[item_id] for item_id in dataset.item_ids], dtype=np.int64)

    def apply(self, events: Dataset) -> None:
        """Nothing moves."""

    def score(self, users: Int, at: Int) -> Float:
        """(B, N) scores of every item of the data set."""
        return np.asarray(self.state.score(users, at)[:, self._index])


class MovingState(FrozenState):
    """Everything moves: the service, without the way through HTTP and the store."""

    def apply(self, events: Dataset) -> None:
        spec = self.state.model.spec
        codes = np.array([spec.type_code(name) for name in events.event_types], dtype=np.uint8)
        self.state.apply(
            Events(
                events.user.astype(np.int64),
                self._index[events.item],
                events.timestamp // spec.time_resolution * spec.time_resolution,
                codes[events.event_type],
                events.value,
                np.zeros(len(events), dtype=np.int64),
            )
        )


class CountersOnly(MovingState):
    """Memory stays as it was at the start; counters, pairs and neighbours go on."""

    def __init__(self, state: State, item_ids: Sequence[str], dataset: Dataset) -> None:
        super().__init__(state, item_ids, dataset)
        self._users = {name: state.users[name].copy() for name in _MEMORY}
        self._items = {name: state.items[name].copy() for name in (*_MEMORY, "key")}

    def apply(self, events: Dataset) -> None:
        super().apply(events)
        users, items = np.unique(events.user), np.unique(self._index[events.item])
        for name, held in self._users.items():
            self.state.users[name][users] = held[users]
        for name, held in self._items.items():
            self.state.items[name][items] = held[items]
