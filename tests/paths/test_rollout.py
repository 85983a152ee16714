"""A model goes live beside another: its memory is filled, checked, becomes active, and can be given up; both learn."""

from __future__ import annotations

from contextlib import closing
from threading import Event as Flag
from typing import Any

import pytest

from service.adapters.bundle import Bundle
from service.adapters.in_memory import InMemoryEventSource, InMemoryState, InMemoryStateStore
from service.adapters.in_memory_archive import InMemoryArchive, InMemoryArchiveStore, InMemoryLogKeeper
from service.adapters.in_memory_live import InMemoryLiveModels
from service.core.live_models import LiveModel
from service.core.log_records import LogRecords
from service.core.types import Commit, Position, Switch
from service.errors import Fenced, StoreFull
from service.event_path import ArchivedSource, Catalogue, Filling, Lease, Rollout
from tests.paths.test_event_path import Row
from tests.paths.test_rebuild import assert_same_state
from tests.paths.world import World
from tests.process.toy import ToyModel

ROWS: list[Row] = [("abcd"[n % 4], "uvwxyz"[n * n % 6], 1_000 + 9 * n) for n in range(60)]
NEW, OLD = LiveModel(0, "v2", "new"), LiveModel(0, "v1", "toy", "ready", switch=False)
BUNDLE = Bundle(ToyModel(), "v2", "new")


class Stage:
    """A world in which the model `new` goes live beside the one that serves."""

    def __init__(self, rows: list[Row] = ROWS) -> None:
        self.world = World()
        self.world.post(rows)
        self.models = InMemoryLiveModels(self.world.generations)
        self.models.begin(NEW, OLD)
        self.source: Any = self.world.source

    @property
    def model(self) -> LiveModel:
        found = self.models.live().of("new")
        assert found is not None
        return found

    @property
    def state(self) -> InMemoryState:
        return self.world.generations.live[2][0]

    def fill(self, batch_size: int = 7, stop: Flag | None = None, store: InMemoryStateStore | None = None) -> bool:
        with Lease(store or self.world.generations.of("new"), "member", 60.0) as lease:
            filling = Filling(lease, self.source, self.models, BUNDLE, self.model, Catalogue())
            return filling.run(batch_size, stop or Flag())


class Interrupted(InMemoryEventSource):
    """Calls `then` when it is read from some offset on."""

    def __init__(self, stage: Stage, offset: int, then: Any) -> None:
        super().__init__(stage.world.log)
        self._offset, self._then = offset, then

    def read(self, after: int, count: int, block_ms: int) -> LogRecords:
        if after >= self._offset and self._then is not None:
            then, self._then = self._then, None
            then()
        return super().read(after, count, block_ms)


@pytest.mark.parametrize("batch_size", [1, 7, 1_000])
def test_the_memory_of_a_new_model_is_that_of_a_clean_replay(batch_size: int) -> None:
    stage = Stage()
    assert stage.fill(batch_size)
    assert_same_state(stage.state, stage.world.state)
    assert (stage.state.position.bundle, stage.model.stage, stage.model.offset) == ("new", "checking", 60)
    assert stage.world.generations.active is stage.world.state


def test_a_filling_that_was_broken_off_goes_on_where_it_was() -> None:
    stage, stop = Stage(), Flag()
    stage.source = Interrupted(stage, 20, stop.set)
    assert not stage.fill(stop=stop)
    reached = stage.state.position.offset
    assert 20 <= reached < 60
    seen: list[int] = []

    class Watched(InMemoryEventSource):
        def read(self, after: int, count: int, block_ms: int) -> LogRecords:
            seen.append(after)
            return super().read(after, count, block_ms)

    stage.source = Watched(stage.world.log)
    assert stage.fill()
    assert min(seen) == reached
    assert_same_state(stage.state, stage.world.state)


def test_what_another_attempt_left_in_the_generation_is_not_taken_for_this_ones() -> None:
    stage = Stage()
    store = stage.world.generations.of("new")
    epoch = store.acquire("former", 60_000)
    store.commit(Commit(epoch, 0, Position(10, bundle="new", log_id=stage.world.log.id), {b"gone": b"erased"}))
    store.release("former")
    assert stage.fill()
    assert_same_state(stage.state, stage.world.state)


def test_a_filling_begins_again_when_an_erasure_took_records_that_it_has_read() -> None:
    stage = Stage()

    def erase() -> None:
        stage.world.log.erased = 10

    stage.source = Interrupted(stage, 30, erase)
    stage.state.users[b"erased"] = b"left"
    assert stage.fill()
    assert stage.model.erased == 10
    assert_same_state(stage.state, stage.world.state)


def test_events_that_come_in_meanwhile_are_in_the_memory_too() -> None:
    stage = Stage(ROWS[:40])

    def more() -> None:
        stage.world.post(ROWS[40:])

    stage.source = Interrupted(stage, 30, more)
    assert stage.fill()
    assert_same_state(stage.state, stage.world.state)


def test_the_archive_is_read_where_the_log_was_trimmed() -> None:
    stage = Stage()
    archive, keeper = InMemoryArchive(InMemoryArchiveStore()), InMemoryLogKeeper(stage.world.log)
    archive.claim(stage.world.log.id)
    archive.append(stage.world.source.read(0, 45, 0))
    keeper.trim(keeper.acquire("keeper", 60_000), 40)
    stage.source = ArchivedSource(archive, stage.world.source)
    assert stage.fill()
    assert_same_state(stage.state, stage.world.state)


def test_a_memory_for_which_there_is_no_room_is_given_up_and_the_active_one_serves_on() -> None:
    stage = Stage()

    class Small(InMemoryStateStore):
        def commit(self, commit: Commit) -> None:
            if commit.position.offset > 30:
                raise StoreFull("OOM")
            super().commit(commit)

    state = stage.state
    assert not stage.fill(store=Small(state, stage.world.generations))
    assert stage.models.live().of("new") is None
    assert not state.users
    stage.world.post([("a", "u", 9_000)])


def test_a_model_that_is_given_up_while_it_is_filled_stops_its_worker_and_leaves_nothing() -> None:
    stage = Stage()
    stage.source = Interrupted(stage, 30, lambda: stage.models.end(2))
    state = stage.state
    with pytest.raises(Fenced):
        stage.fill()
    assert stage.world.generations.delete_retired(0.0) == 1
    assert (state.users, state.items, state.ids) == ({}, {}, [])
    assert stage.world.generations.alone()


def test_the_worker_of_a_model_that_was_given_up_is_told() -> None:
    stage = Stage()
    stage.models.end(2)
    with closing(Rollout(stage.models, "new")) as rollout, pytest.raises(Fenced, match="given up"):
        rollout.turn()
    with closing(Rollout(stage.models, "toy")) as rollout:
        assert rollout.turn()


def test_a_user_switched_off_is_off_in_both_memories() -> None:
    stage = Stage()
    stage.world.mark(Switch("a", False))
    assert stage.fill()
    assert_same_state(stage.state, stage.world.state)
