"""A set of weights and its state process as a `Scorer` of `model.evaluate`."""

from dataclasses import fields

import numpy as np

from model.data.dataset import Dataset
from model.process.batch import Events
from model.process.records import Float, Int
from model.process.state import State
from model.stream import to_events

MOST_WAITING = 4_096


class StateScorer:
    """Walks a `State` whose users and items have the codes of the data set; offsets count from 1.

    Events wait until a score is asked for: where a batch begins or ends changes nothing, and a large batch costs far
    less than many small ones.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._offset = 1
        self._waiting: list[Events] = []

    def apply(self, events: Dataset, /) -> None:
        self._waiting.append(to_events(events, self._state.model.spec, self._offset))
        self._offset += len(events)
        if sum(map(len, self._waiting)) >= MOST_WAITING:
            self._catch_up()

    def score(self, users: Int, at: Int, /) -> Float:
        """(B, N) for B users, each at its own moment [s]."""
        self._catch_up()
        resolution = self._state.model.spec.time_resolution
        return self._state.score(users, at // resolution * resolution)

    def _catch_up(self) -> None:
        if self._waiting:
            columns = {f.name: np.concatenate([getattr(e, f.name) for e in self._waiting]) for f in fields(Events)}
            self._state.apply(Events(**columns))
            self._waiting = []
