"""Before a new model takes over, its lists are held against the active one's on the events that come in."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event as Flag

import pytest

from service import watching as module
from service.adapters.in_memory import InMemoryGenerations, InMemoryState
from service.adapters.in_memory_live import InMemoryLiveModels
from service.core.live_models import LiveModel
from service.core.side_by_side import SideBySide
from service.watching import ENOUGH, Watching

OLD, NEW = LiveModel(1, "v1", "old", "ready"), LiveModel(2, "v2", "new", "checking")


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(module, "_QUIET_SECONDS", 0.2)
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.2)


def watched(look: Callable[[InMemoryLiveModels, int], None], seconds: float = 60.0) -> dict[str, object]:
    """look: at each turn, what a replica reports; events come in at each."""
    models, turns = InMemoryLiveModels(InMemoryGenerations(InMemoryState())), iter(range(1_000_000))

    def end() -> int:
        turn = next(turns)
        look(models, turn)
        return turn

    return Watching(models, end, seconds)(OLD, NEW, Flag())


def test_it_ends_with_enough_events_of_all_replicas_and_what_was_found_before_does_not_count() -> None:
    models = InMemoryLiveModels(InMemoryGenerations(InMemoryState()))
    models.report("one", [2], {2: SideBySide(1_000, 1, 900, 0, 899)})
    ends = iter(range(1_000_000))

    def end() -> int:
        models.report("one", [2], {2: SideBySide(1_000 + ENOUGH // 2, 101, 990, 60, 950, 30.0, 20.0)})
        models.report("two", [2], {2: SideBySide(ENOUGH // 2, 100, 90, 40, 30, 10.0, 20.0)})
        return next(ends)

    found = Watching(models, end, 60.0)(OLD, NEW, Flag())
    assert found["live"] == {
        "events": ENOUGH,
        "recall@20": {"old": 180 / ENOUGH, "new": 200 / ENOUGH},
        "ndcg@10": {"old": 40 / ENOUGH, "new": 40 / ENOUGH},
    }
    assert found["reason"] == ""


def test_lists_that_miss_what_the_active_model_finds_are_an_objection_unless_by_chance() -> None:
    def worse(models: InMemoryLiveModels, turn: int) -> None:
        models.report("one", [2], {2: SideBySide(10 * turn, 2 * turn, 4 * turn, turn, 3 * turn)})

    def little(models: InMemoryLiveModels, turn: int) -> None:
        models.report("one", [2], {2: SideBySide(10 * turn, 20 * turn, 21 * turn, 20 * turn, 21 * turn)})

    assert "of 200 events" in str(watched(worse)["reason"])
    assert watched(little)["reason"] == ""


def test_nobody_waits_where_nothing_comes_in_nothing_is_looked_for_or_time_is_up() -> None:
    began = time.monotonic()
    models = InMemoryLiveModels(InMemoryGenerations(InMemoryState()))
    assert Watching(models, lambda: 5, 60.0)(OLD, NEW, Flag())["live"]["events"] == 0
    assert watched(lambda *_: None)["reason"] == ""
    found = watched(lambda models, turn: models.report("one", [2], {2: SideBySide(min(turn, 9), 1)}), seconds=0.3)
    assert found["live"] == {
        "events": 9,
        "recall@20": {"old": 0.0, "new": 0.1111},
        "ndcg@10": {"old": 0.0, "new": 0.0},
    }
    stop = Flag()
    stop.set()
    Watching(models, iter(range(1_000_000)).__next__, 60.0)(OLD, NEW, stop)
    assert time.monotonic() - began < 30.0


def test_the_sign_test_is_the_tail_of_a_fair_coin() -> None:
    assert SideBySide().chance == 1.0
    assert SideBySide(alone=0, others_alone=5).chance == pytest.approx(1 / 32)
    assert SideBySide(alone=2, others_alone=3).chance == pytest.approx(0.5)
    assert SideBySide(alone=0, others_alone=9).objection() == ""
    assert SideBySide(alone=0, others_alone=10).objection() != ""
