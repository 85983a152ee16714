"""Erasure to its end, in memory: a rebuild afterwards is the replay of a stream without what the user did before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters import in_memory_erasures
from service.adapters.in_memory_archive import InMemorySnapshots
from service.adapters.in_memory_live import InMemoryLiveModels
from service.core.live_models import LiveModel
from service.core.log_records import NOTHING, Columns, LogRecords
from service.core.types import Append, Event, Switch
from service.event_path import accept
from tests.paths.deployment import Deployment, holds
from tests.paths.world import World, assert_same

pytestmark = pytest.mark.anyio

EVENTS = [("ann", "x", 1_000), ("bob", "x", 1_010), ("ann", "y", 1_150), ("bob", "z", 1_300)]


async def test_an_erasure_is_complete_when_neither_log_nor_archive_has_the_id() -> None:
    here = Deployment()
    here.world.post(EVENTS)
    here.archive_until(3)
    erasure = await here.erase("ann")
    assert (erasure.offset, erasure.completed_at) == (5, None)
    assert holds(here, "ann")
    here.finish()
    assert (await here.erasure(erasure.id)).completed_at is not None
    assert not holds(here, "ann")
    assert here.world.source.erased() == 5
    kinds = Columns(here.everything()).kind.tolist()
    assert [kind == NOTHING for kind in kinds] == [True, False, True, False, True]


async def test_an_erased_users_profile_goes_before_the_log_forgets_who_it_was() -> None:
    here = Deployment()
    here.world.post(EVENTS)
    profiles = here.world.state.profiles
    for user in ("ann", "bob"):
        await profiles.edit(user, {"brand": ()})
    await here.erase("ann", apply=False)
    here.finish()
    assert set(profiles.edited) == {"ann", "bob"}  # the state does not know yet
    here.world.work()
    here.state_files.refusal = "not now"
    here.finish()
    assert set(profiles.edited) == set(profiles.queued) == {"bob"}
    assert holds(here, "ann")


steps = st.one_of(
    st.tuples(st.just("event"), st.sampled_from("abc"), st.sampled_from("uvwxyz"), st.integers(0, 400)),
    st.tuples(st.sampled_from(["erase", "off", "on"]), st.sampled_from("abc"), st.just(""), st.just(0)),
    st.tuples(st.sampled_from(["finish", "archive"]), st.just(""), st.just(""), st.just(0)),
)


@settings(max_examples=80, deadline=None)
@given(script=st.lists(steps, min_size=1, max_size=30))
async def test_a_rebuild_equals_the_replay_of_the_stream_without_what_came_before_the_markers(
    script: list[tuple[str, str, str, int]],
) -> None:
    here, without = Deployment(), World()
    last = {user: at for at, (kind, user, _, _) in enumerate(script) if kind == "erase"}
    for at, (kind, user, item, seconds) in enumerate(script):
        stays = at > last.get(user, -1)
        if kind == "event":
            row = (user, item, 1_000 + seconds)
            here.world.post([row])
            if stays:
                without.post([row])
        elif kind in {"off", "on"}:
            here.world.mark(Switch(user, on=kind == "on"))
            if stays:
                without.mark(Switch(user, on=kind == "on"))
        elif kind == "erase":
            await here.erase(user)
        elif kind == "archive":
            here.archive_until(here.world.log.end)
        else:
            here.finish()
    here.finish()
    assert await here.log.pending_erasures() == []
    assert_same(here.rebuilt().state, without.state)
    assert here.world.state.users.keys() == without.state.users.keys()


async def test_events_after_the_marker_live() -> None:
    here = Deployment()
    here.world.post(EVENTS)
    await here.erase("ann")
    here.world.post([("ann", "z", 1_400)])
    here.finish()
    assert holds(here, "ann")
    again = here.rebuilt()
    assert again.state.users.keys() == here.world.state.users.keys() == {b"ann", b"bob"}
    without = World()
    without.post([("bob", "x", 1_010), ("bob", "z", 1_300), ("ann", "z", 1_400)])
    assert_same(again.state, without.state)


async def test_a_user_can_be_erased_twice_and_before_the_first_time_is_done() -> None:
    here = Deployment()
    here.world.post(EVENTS)
    first = await here.erase("ann")
    here.world.post([("ann", "w", 1_400)])
    second = await here.erase("ann")
    here.finish()
    third = await here.erase("ann")
    here.finish()
    assert not holds(here, "ann")
    for erasure in (first, second, third):
        assert (await here.erasure(erasure.id)).completed_at is not None


async def test_a_user_nobody_knows_can_be_erased() -> None:
    here = Deployment()
    here.world.post(EVENTS)
    before = here.everything().payloads()
    erasure = await here.erase("nobody")
    here.finish()
    assert (await here.erasure(erasure.id)).completed_at is not None
    assert here.everything().payloads()[:4] == before


async def test_nothing_goes_before_the_state_has_passed_the_marker() -> None:
    """Otherwise it would never meet it."""
    here = Deployment()
    here.world.post(EVENTS)
    erasure = await here.erase("ann", apply=False)
    here.finish()
    assert holds(here, "ann")
    assert here.state_files.begun == 0
    here.world.work()
    here.finish()
    assert not holds(here, "ann")
    assert (await here.erasure(erasure.id)).completed_at is not None


async def test_the_states_files_are_written_before_the_marker_goes_and_the_logs_after() -> None:
    here = Deployment(state_files=InMemorySnapshots(busy=True), log_files=InMemorySnapshots(busy=True))
    here.world.post(EVENTS)
    erasure = await here.erase("ann")
    here.finish()
    assert holds(here, "ann")
    assert (here.state_files.begun, here.log_files.begun) == (1, 0)
    here.state_files.busy = False
    here.finish()
    assert not holds(here, "ann")
    assert (here.state_files.begun, here.log_files.begun) == (1, 1)
    assert (await here.erasure(erasure.id)).completed_at is None
    here.log_files.busy = False
    here.finish()
    assert (await here.erasure(erasure.id)).completed_at is not None


@pytest.mark.parametrize("place", ["state_files", "log_files"])
async def test_files_that_cannot_be_written_keep_the_erasure_pending(place: str) -> None:
    here = Deployment()
    here.world.post(EVENTS)
    erasure = await here.erase("ann")
    getattr(here, place).refusal = "no"
    for _ in range(3):
        here.finish()
        assert (await here.erasure(erasure.id)).completed_at is None
    getattr(here, place).refusal = ""
    here.finish()
    assert (await here.erasure(erasure.id)).completed_at is not None
    assert not holds(here, "ann")


@pytest.mark.parametrize("when", ["before the sweep", "after the sweep"])
async def test_whoever_takes_over_finishes_what_another_began(when: str) -> None:
    busy = InMemorySnapshots(busy=True)
    swept = when == "after the sweep"
    here = Deployment(log_files=busy) if swept else Deployment(state_files=busy)
    here.world.post(EVENTS)
    here.archive_until(2)
    erasure = await here.erase("ann")
    here.finish()
    assert holds(here, "ann") != swept
    here.erasing = here.another()
    busy.busy = False
    here.finish()
    assert not holds(here, "ann")
    assert (await here.erasure(erasure.id)).completed_at is not None


@pytest.mark.parametrize("archived", [0, 2, 4])
async def test_event_ids_of_the_erased_may_be_used_again_and_those_of_others_may_not(archived: int) -> None:
    here = Deployment()
    events = [Event(f"id-{n}", user, item, "view", at, 0.0) for n, (user, item, at) in enumerate(EVENTS)]
    await here.log.append(accept(events, [True] * 4))
    here.world.work()
    here.archive_until(archived)
    await here.erase("ann")
    here.finish()
    answer = await here.log.append(accept(events, [True] * 4))
    assert [one.duplicate for one in answer] == [False, True, False, True]


@pytest.mark.long
async def test_a_hundred_thousand_events_are_erased_in_bounded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Deployment()
    largest = 0
    erase = here.erasing._erase

    def watched(records: LogRecords, erased: dict[bytes, int]) -> LogRecords:
        nonlocal largest
        largest = max(largest, len(records))
        return erase(records, erased)

    monkeypatch.setattr(here.erasing, "_erase", watched)
    records = accept([Event("", "ann", f"i{n % 50}", "view", n, 0.0) for n in range(100_000)], [False] * 100_000)
    here.world.log.append(records)
    here.world.log.append([Append(records[0].payload.replace(b"ann", b"bob"), 1)])
    while here.world.writer.position.offset < here.world.log.end:
        here.world.work()
    assert len(here.world.state.users[b"ann"]) < 50_000  # the record of the user is bounded, too
    await here.erase("ann")
    assert b"ann" not in here.world.state.users
    here.finish()
    assert not holds(here, "ann")
    assert largest == in_memory_erasures.CHUNK
    assert here.everything().offset.tolist() == list(range(1, 100_003))


async def test_erasures_that_follow_each_other_closely_are_done_together() -> None:
    here = Deployment(log_files=InMemorySnapshots(busy=True))
    here.world.post(EVENTS)
    await here.erase("ann")
    here.erasing.turn()
    here.clock.now += 5
    here.log_files.busy = False
    here.erasing.turn()
    assert await here.log.pending_erasures() == []
    await here.erase("bob")
    here.clock.now += 49
    here.erasing.turn()
    assert here.state_files.begun == 1  # the first one took 5 seconds, so this one waits for 50
    here.clock.now += 2
    here.erasing.turn()
    assert await here.log.pending_erasures() == []


async def test_an_erasure_waits_until_every_live_memory_is_past_its_marker() -> None:
    here = Deployment()
    here.world.post(EVENTS)
    here.archive_until(3, trim=False)
    models = InMemoryLiveModels(here.world.generations)
    model = models.begin(LiveModel(0, "v2", "new"), LiveModel(0, "v1", "toy", "ready"))
    erasure = await here.erase("ann")
    here.finish()
    assert (await here.erasure(erasure.id)).completed_at is None  # a memory is being filled
    models.note(replace(model, stage="ready"))
    here.finish()
    assert (await here.erasure(erasure.id)).completed_at is None  # it has not met the marker
    here.world.generations.live[model.generation][0].position = here.world.state.position
    here.finish()
    assert (await here.erasure(erasure.id)).completed_at is not None
