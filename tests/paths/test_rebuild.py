"""A rebuild gives the live state, takes its place in one step, and is begun again when it was broken off."""

from __future__ import annotations

from itertools import pairwise
from threading import Event as Flag

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.in_memory import InMemoryEventSource, InMemoryGenerations, InMemoryState, InMemoryStateStore
from service.adapters.in_memory_archive import InMemoryArchive, InMemoryArchiveStore, InMemoryLogKeeper
from service.core.blobs import unpack_items, unpack_users
from service.core.types import Commit, Position
from service.errors import Fenced, LeaseHeld, LogTrimmed, NoRoom, StoreFull, StoreUnavailable
from service.event_path import ArchivedSource, Lease, Rebuild, accept, apply_records, tidy
from service.event_path.rebuild import Progress
from tests.paths.test_event_path import Row, events_of, rows_of
from tests.paths.test_poison import POISON, log_with
from tests.paths.world import World
from tests.process.toy import TOY_SPEC

BATCH = 7
ROWS: list[Row] = [("abcd"[n % 4], "uvwxyz"[n * n % 6], 1_000 + 9 * n) for n in range(60)]


def rebuild(
    world: World,
    batch_size: int = BATCH,
    stop: Flag | None = None,
    tell: Progress = lambda *_: None,
    bundle: str = "toy",
    store: InMemoryStateStore | None = None,
) -> bool:
    with Lease(store or world.generations.next(), "rebuild", 60.0) as lease:
        attempt = Rebuild(lease, world.source, world.model, bundle)
        return attempt.run(batch_size, stop or Flag(), tell)


def assert_same_state(made: InMemoryState, live: InMemoryState) -> None:
    """Everything but what depends on how records were cut into commits. Floats: sums taken in another order."""
    assert (made.ids, made.documents, made.skipped, made.late) == (live.ids, live.documents, live.skipped, live.late)
    assert (made.texts, made.users.keys(), made.items.keys()) == (live.texts, live.users.keys(), live.items.keys())
    assert (made.position.offset, made.position.log_time) == (live.position.offset, live.position.log_time)
    people = sorted(live.users)
    users, others = (unpack_users([state.users[user] for user in people], TOY_SPEC) for state in (made, live))
    items, rows = (unpack_items([state.items[at] for at in range(len(live.ids))], TOY_SPEC) for state in (made, live))
    for ours, theirs in ((users.rows, others.rows), (items, rows), (users.pairs, others.pairs)):
        for name in ours.dtype.names or ():
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-5, err_msg=name)


@settings(max_examples=40, deadline=None)
@given(rows=rows_of, batch_size=st.integers(1, 50), cuts=st.sets(st.integers(0, 40)))
def test_a_rebuilt_state_equals_the_live_one(rows: list[Row], batch_size: int, cuts: set[int]) -> None:
    world = World()
    bounds = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    for start, stop in pairwise(bounds):
        if start < stop:
            world.post(rows[start:stop])
    assert rebuild(world, batch_size)
    assert world.generations.active is not world.state
    assert_same_state(world.generations.active, world.state)
    assert world.generations.active.position.bundle == world.state.position.bundle


def test_the_old_state_serves_and_learns_until_the_new_one_has_caught_up() -> None:
    world = World()
    world.post(ROWS[:40])
    left = iter(ROWS[40:])

    def meanwhile(offset: int, end: int) -> None:
        assert world.generations.active is world.state
        assert 0 < offset <= end
        world.post([row for row, _ in zip(left, range(3), strict=False)])

    assert rebuild(world, tell=meanwhile)
    assert world.state.position.offset > 40
    assert_same_state(world.generations.active, world.state)


def test_after_the_switch_the_live_writer_is_fenced() -> None:
    world = World()
    world.post(ROWS[:30])
    assert rebuild(world)
    world.log.append(accept(events_of(ROWS[30:31]), [False]))
    with pytest.raises(Fenced):
        world.work()
    assert world.generations.active.position.offset == world.state.position.offset == 30


def test_a_rebuild_that_is_told_to_stop_changes_nothing_that_is_served_and_the_next_one_starts_anew() -> None:
    world, stop = World(), Flag()
    world.post(ROWS)
    assert not rebuild(world, stop=stop, tell=lambda offset, _: stop.set() if offset > 20 else None)
    assert world.generations.active is world.state
    left = world.generations.upcoming
    assert left is not None
    assert 20 < left.position.offset < 60
    left.users[b"erased meanwhile"] = left.users[b"a"]
    seen: list[int] = []
    assert rebuild(world, tell=lambda offset, _: seen.append(offset))
    assert seen[0] == BATCH
    assert_same_state(world.generations.active, world.state)


def test_another_bundle_makes_the_state_again_from_the_log() -> None:
    world = World()
    world.post(ROWS)
    assert rebuild(world, bundle="another")
    assert (world.state.position.bundle, world.generations.active.position.bundle) == ("toy", "another")
    assert_same_state(world.generations.active, world.state)


def test_a_rebuild_skips_what_was_skipped() -> None:
    world = World()
    world.log = log_with(dict.fromkeys((2, 11), POISON["too short"]))
    world.source = InMemoryEventSource(world.log)
    apply_records(world.writer, world.source.read(0, 100, 0))
    assert set(world.state.skipped) == {3, 12}
    world.log.payloads[2] = world.log.payloads[3]  # it could be applied by now
    assert rebuild(world)
    assert_same_state(world.generations.active, world.state)


def test_a_rebuild_reads_from_the_archive_what_the_log_no_longer_has() -> None:
    world = World()
    world.post(ROWS)
    archive, keeper = InMemoryArchive(InMemoryArchiveStore()), InMemoryLogKeeper(world.log)
    archive.claim(world.log.id)
    archive.append(world.source.read(0, 45, 0))
    keeper.trim(keeper.acquire("keeper", 60_000), 40)
    with pytest.raises(LogTrimmed):
        rebuild(world)
    world.source = ArchivedSource(archive, world.source)  # type: ignore[assignment]
    assert rebuild(world)
    assert_same_state(world.generations.active, world.state)


def test_only_one_rebuild_runs_at_a_time() -> None:
    world = World()
    world.post(ROWS)
    with Lease(world.generations.next(), "first", 60.0), pytest.raises(LeaseHeld, match="first"):
        rebuild(world)


def test_a_rebuild_whose_lease_was_taken_over_stops() -> None:
    world = World()
    world.post(ROWS)

    def overtaken(offset: int, end: int) -> None:
        store = world.generations.next()
        store.release("rebuild")
        store.acquire("other", 60_000)

    with pytest.raises(Fenced):
        rebuild(world, tell=overtaken)
    assert world.generations.active is world.state


def test_a_store_that_is_away_for_a_while_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.event_path.patience._LONGEST", 0.01)
    world = World()
    world.post(ROWS)
    calls = 0

    class Shaky(InMemoryStateStore):
        """Every third commit fails, half of them after they were made."""

        def commit(self, commit: Commit) -> None:
            nonlocal calls
            calls += 1
            if calls % 6 == 3:
                raise StoreUnavailable("away")
            super().commit(commit)
            if calls % 6 == 0:
                raise StoreUnavailable("the reply is lost")

    made = world.generations.next()
    assert rebuild(world, batch_size=2, store=Shaky(made._state, world.generations))
    assert calls > 30
    assert_same_state(world.generations.active, world.state)


def test_a_state_that_would_not_fit_beside_the_other_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.post(ROWS)
    store = world.generations.next()
    monkeypatch.setattr(store, "fullness", lambda: 0.6)
    with pytest.raises(NoRoom, match="60% is taken"):
        rebuild(world, store=store)
    assert world.generations.active is world.state
    monkeypatch.setattr(store, "fullness", lambda: 0.4)
    assert rebuild(world, store=store)


def test_a_rebuild_that_fills_the_memory_makes_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.post(ROWS)
    store = world.generations.next()
    commit, commits = store.commit, []

    def into_little(made: Commit) -> None:
        if len(commits) == 3:
            raise StoreFull("OOM")
        commit(made)
        commits.append(made)

    monkeypatch.setattr(store, "commit", into_little)
    with pytest.raises(NoRoom, match="OOM"):
        rebuild(world, store=store)
    assert len(commits) == 3
    assert store.position().offset == 0
    assert store.item_ids(0, 10) == []
    assert world.generations.active is world.state


def test_the_first_generation_of_an_empty_deployment_can_be_replaced() -> None:
    world = World()
    world.generations = InMemoryGenerations()
    assert rebuild(world)
    assert world.generations.active.number == 2


def test_tidying_deletes_what_was_replaced_and_what_was_broken_off_and_nothing_else() -> None:
    world, stop = World(), Flag()
    world.post(ROWS)
    assert tidy(world.generations, "keeper", 0.0) == 0
    rebuild(world, stop=stop, tell=lambda offset, _: stop.set() if offset > 20 else None)
    left = world.generations.upcoming
    assert left is not None
    with Lease(world.generations.next(), "rebuild", 60.0):
        assert tidy(world.generations, "keeper", 0.0) == 0  # somebody is at it
    assert left.users
    assert tidy(world.generations, "keeper", 0.0) == 1
    assert (left.users, left.items, left.ids, left.position) == ({}, {}, [], Position())
    assert rebuild(world)
    assert tidy(world.generations, "keeper") == 0  # requests may still read it
    assert world.state.users
    assert tidy(world.generations, "keeper", 0.0) == 1
    assert not world.state.users
    assert len(world.generations.active.users) == 4
