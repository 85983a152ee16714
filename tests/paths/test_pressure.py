"""The worker tells the log how far it is, and when a store is nearly full."""

from __future__ import annotations

import pytest

from service.adapters.in_memory import InMemoryEventSource, InMemoryLog, InMemoryState, InMemoryStateStore
from service.core.types import Append, Backlog
from service.errors import BackPressure
from service.event_path import Reporter


class World:
    """A log that lets `max_lag` records wait, a state, a clock, and a reporter between them."""

    def __init__(self, max_lag: int) -> None:
        self.log, self.state, self.now = InMemoryLog(max_lag=max_lag), InMemoryState(), 100.0
        source, store = InMemoryEventSource(self.log), InMemoryStateStore(self.state)
        self.reporter = Reporter(source, store, max_lag, lambda: self.now)

    def at(self, seconds: float, applied: int) -> Backlog:
        """What the log knows after a report at that time."""
        self.now = 100.0 + seconds
        self.reporter.report(applied)
        return self.log.backlog


def test_a_report_is_made_once_a_second_and_at_once_after_a_quarter_of_the_limit() -> None:
    world = World(max_lag=400)
    steps = [(0.0, 1), (0.5, 50), (0.9, 101), (1.2, 102), (1.95, 110), (2.0, 111), (3.1, 111)]
    assert [world.at(*step).applied for step in steps] == [1, 1, 101, 101, 110, 110, 111]


def test_a_state_that_stands_further_back_is_reported_too() -> None:
    world = World(max_lag=400)
    assert world.at(0, 300).applied == 300
    assert world.at(1, 0).applied == 0


@pytest.mark.parametrize("role", ["log", "state"])
def test_a_nearly_full_store_is_named_until_it_has_room(role: str) -> None:
    world = World(max_lag=400)
    store = getattr(world, role)
    store.fullness = 0.949
    assert world.at(0, 0).pressure == ""
    store.fullness = 0.957
    assert world.at(1, 0).pressure == f"the memory of the {role} store is 96% full"
    with pytest.raises(BackPressure, match="96% full"):
        world.log.append([Append(b"a")])
    store.fullness = 0.94
    assert world.at(2, 0).pressure == ""
    world.log.append([Append(b"a")])


def test_a_log_that_takes_nothing_takes_again_when_the_worker_has_caught_up() -> None:
    world = World(max_lag=4)
    world.log.append([Append(b"a")] * 5)
    with pytest.raises(BackPressure, match="5 records wait"):
        world.log.append([Append(b"b")])
    world.at(0, 1)
    world.log.append([Append(b"b")])
    assert world.log.backlog == Backlog(6, 1, "")
