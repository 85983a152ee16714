"""The generations of a state: one is active, the next is made beside it, and the switch between them is one step."""

from __future__ import annotations

import pytest

from service.core.types import Position
from service.errors import Fenced, LeaseHeld, StoreUnavailable
from service.ports import FeedLost, GenerationEnded, StateStore, UserRead
from tests.contract.commits import commit_of, feed_entry
from tests.contract.conftest import NewState, State

pytestmark = pytest.mark.anyio

LEASE_MS = 60_000


def fill(store: StateStore, owner: str, offset: int, blob: bytes) -> int:
    """Commits user `u` with one item and a feed entry; the epoch."""
    epoch = store.acquire(owner, LEASE_MS)
    entry = feed_entry(offset, ["a"])
    parts = {"users": {b"u": blob}, "items": {0: blob}, "documents": {"a": blob}}
    store.commit(commit_of(epoch, store.position().offset, offset, new_items=("a",), feed=entry, **parts))
    return epoch


def switch(state: State) -> tuple[StateStore, int]:
    """Fills the first generation up to 5, the next up to 6, and switches; the next one and its epoch."""
    fill(state.store, "old", 5, b"old")
    made = state.generations.next()
    epoch = fill(made, "new", 6, b"new")
    assert made.activate(epoch)
    return made, epoch


async def test_a_new_deployment_has_one_generation_and_a_blank_next_one(new_state: NewState) -> None:
    state = new_state()
    assert (await state.active.current()).number == state.generations.current().generation == 1
    following = state.generations.next()
    assert (following.generation, following.position(), following.users([b"u"])) == (2, Position(), [None])


async def test_what_is_made_in_the_next_generation_shows_only_after_the_switch(new_state: NewState) -> None:
    state = new_state()
    fill(state.store, "old", 5, b"old")
    made = state.generations.next()
    epoch = fill(made, "new", 6, b"new")
    current = await state.active.current()
    assert (current.number, await current.reader.user("u")) == (1, UserRead(b"old", 5))
    assert state.generations.current().users([b"u"]) == [b"old"]
    assert made.activate(epoch)
    current = await state.active.current()
    assert (current.number, await current.reader.user("u")) == (2, UserRead(b"new", 6))
    assert (await current.reader.items([0]), await current.reader.documents(["a"])) == ([b"new"], [b"new"])
    assert state.generations.current().users([b"u"]) == [b"new"]
    assert await current.feed.read(cursor := await current.feed.cursor(), 0) == (cursor, [])


async def test_the_switch_waits_until_the_new_one_is_not_behind(new_state: NewState) -> None:
    state = new_state()
    old = fill(state.store, "old", 5, b"old")
    made = state.generations.next()
    epoch = fill(made, "new", 4, b"new")
    before = state.dump()
    assert not made.activate(epoch)
    assert state.dump() == before
    state.store.commit(commit_of(old, 5, 6))  # the old one goes on
    made.commit(commit_of(epoch, 4, 6))
    assert made.activate(epoch)


async def test_only_the_writer_of_the_new_one_can_switch(new_state: NewState) -> None:
    state = new_state()
    made = state.generations.next()
    stalled = fill(made, "stalled", 5, b"new")
    made.release("stalled")
    state.generations.next().acquire("other", LEASE_MS)
    before = state.dump()
    with pytest.raises(Fenced):
        made.activate(stalled)
    assert state.dump() == before


async def test_a_switch_whose_reply_was_lost_can_be_asked_for_again(new_state: NewState) -> None:
    state = new_state()
    made, epoch = switch(state)
    before = state.dump()
    assert made.activate(epoch)
    assert state.dump() == before


async def test_whoever_wrote_the_old_one_is_fenced_in_every_way(new_state: NewState) -> None:
    state = new_state()
    old = fill(state.store, "old", 5, b"old")
    made = state.generations.next()
    epoch = fill(made, "new", 6, b"new")
    assert made.activate(epoch)
    before = state.dump()
    for _ in range(2):  # the first may fail because it is overtaken, the second must know its place
        with pytest.raises(Fenced):
            state.store.commit(commit_of(old, 5, 7, users={b"u": b"late"}))
    with pytest.raises(Fenced):
        state.store.renew("old", LEASE_MS)
    for owner in ("old", "another"):
        with pytest.raises(Fenced):
            state.store.acquire(owner, LEASE_MS)
    assert state.dump() == before
    made.renew("new", LEASE_MS)
    made.commit(commit_of(epoch, 6, 7, users={b"u": b"newer"}))
    assert (await (await state.active.current()).reader.user("u")) == UserRead(b"newer", 7)


async def test_each_generation_has_a_lease_of_its_own(new_state: NewState) -> None:
    state = new_state()
    state.store.acquire("leader", LEASE_MS)
    state.generations.next().acquire("rebuild", LEASE_MS)
    with pytest.raises(LeaseHeld, match="leader"):
        state.generations.current().acquire("rebuild", LEASE_MS)
    with pytest.raises(LeaseHeld, match="rebuild"):
        state.generations.next().acquire("leader", LEASE_MS)
    state.store.renew("leader", LEASE_MS)
    state.generations.next().renew("rebuild", LEASE_MS)


async def test_readers_of_the_old_feed_are_told_wherever_they_stand(new_state: NewState) -> None:
    state = new_state()
    start = await state.feed.cursor()
    fill(state.store, "old", 5, b"old")
    end = await state.feed.cursor()
    made = state.generations.next()
    made.activate(fill(made, "new", 6, b"new"))
    for cursor in (start, end, await state.feed.cursor()):
        with pytest.raises(GenerationEnded):
            await state.feed.read(cursor, 0)
    state.sleep(0.01)
    state.generations.delete_retired(0.0)
    for cursor in (start, end):
        with pytest.raises(GenerationEnded):
            await state.feed.read(cursor, 0)


async def test_an_old_generation_can_be_read_until_its_grace_is_over_and_is_then_gone_whole(
    new_state: NewState,
) -> None:
    state = new_state()
    switch(state)
    assert state.generations.delete_retired(60.0) == 0
    assert await state.reader.user("u") == UserRead(b"old", 5)
    assert await state.reader.items([0]) == [b"old"]
    state.sleep(0.02)
    assert state.generations.delete_retired(0.01) == 1
    for user in ("u", "nobody"):  # not an unknown user: a generation that is no more
        with pytest.raises(StoreUnavailable, match="gone"):
            await state.reader.user(user)
    assert await state.reader.items([0]) == [None]
    assert state.generations.delete_retired(0.0) == 0
    current = await state.active.current()
    assert await current.reader.user("u") == UserRead(b"new", 6)
    with pytest.raises(Fenced):
        state.store.acquire("old", LEASE_MS)


async def test_a_record_that_was_skipped_is_skipped_in_all_generations(new_state: NewState) -> None:
    state = new_state()
    epoch = state.store.acquire("old", LEASE_MS)
    state.store.commit(commit_of(epoch, 0, 5, skipped={3: "bad"}))
    made = state.generations.next()
    assert made.skipped() == {3: "bad"}
    made.reset(epoch := made.acquire("new", LEASE_MS), Position(bundle="other"))
    made.commit(commit_of(epoch, 0, 5, skipped={4: "worse"}))
    assert state.store.skipped() == made.skipped() == {3: "bad", 4: "worse"}


async def test_generations_follow_one_another(new_state: NewState) -> None:
    state = new_state()
    switch(state)
    again = state.generations.next()
    assert (again.generation, again.position()) == (3, Position())
    assert again.activate(fill(again, "third", 6, b"third"))
    assert (await (await state.active.current()).reader.user("u")).blob == b"third"
    state.sleep(0.02)
    assert state.generations.delete_retired(0.0) == 2


async def test_a_reset_of_the_next_generation_leaves_the_active_one_alone(new_state: NewState) -> None:
    state = new_state()
    fill(state.store, "old", 5, b"old")
    cursor = await state.feed.cursor()
    made = state.generations.next()
    epoch = fill(made, "new", 6, b"new")
    made.reset(epoch, Position(bundle="other"))
    assert (made.position().bundle, made.users([b"u"]), made.item_ids(0, 9)) == ("other", [None], [])
    assert await state.reader.user("u") == UserRead(b"old", 5)
    try:
        assert await state.feed.read(cursor, 0) == (cursor, [])
    except FeedLost:
        pytest.fail("the active feed was told of a reset elsewhere")
