"""What every state promises, to its one writer and to those who read."""

from __future__ import annotations

import pytest

from model.process.records import NEVER
from service.core.types import Commit, Position
from service.errors import Fenced, LeaseHeld
from service.ports import UserRead
from tests.contract.commits import commit_of, feed_entry
from tests.contract.conftest import NewState, State

pytestmark = pytest.mark.anyio

LEASE_MS = 60_000


async def everything(state: State) -> tuple[object, ...]:
    """All that both sides see of the users, items and ids of these tests."""
    store, reader = state.store, state.reader
    return (
        *(store.position(), await reader.position(), store.items(range(3)), await reader.items(range(3))),
        *(store.item_ids(0, 100), await reader.item_ids(0, 100), store.users([b"u", b"v"]), await reader.user("u")),
        *(store.texts(range(3)), await reader.documents(["a", "b", "c"])),
    )


EMPTY = [None, None, None]


async def test_an_empty_state_has_nothing_and_stands_at_the_start(new_state: NewState) -> None:
    state = new_state()
    assert await everything(state) == (
        *(Position(), Position(), EMPTY, EMPTY, [], [], [None, None]),
        *(UserRead(None, 0), EMPTY, EMPTY),
    )


async def test_everything_in_a_commit_is_read_back(new_state: NewState) -> None:
    state = new_state()
    epoch = state.store.acquire("w", LEASE_MS)
    blob = bytes(range(256))
    first = commit_of(
        epoch,
        *(0, 7),
        users={b"u": blob},
        items={0: b"i0", 2: b""},
        new_items=("a", "ü b"),
        documents={"a": b"{}"},
        texts={1: b"e\0\1"},
    )
    state.store.commit(first)
    state.store.commit(commit_of(epoch, 7, 8, users={b"v": b"v", b"u": b"newer"}, new_items=("c",)))
    position = Position(8, 1_008, 0, 0, "log", "bundle")
    items = [b"i0", None, b""]
    ids = ["a", "ü b", "c"]
    assert await everything(state) == (
        *(position, position, items, items, ids, ids, [b"newer", b"v"]),
        *(UserRead(b"newer", 8), [None, b"e\0\1", None], [b"{}", None, None]),
    )


async def test_many_users_are_read_in_order_known_or_not(new_state: NewState) -> None:
    state = new_state()
    epoch = state.store.acquire("w", LEASE_MS)
    state.store.commit(commit_of(epoch, 0, 3, users={f"u{n}".encode(): f"blob-{n}".encode() for n in range(1_500)}))
    asked = [f"u{n}" for n in range(1_499, -1, -1)] + ["nobody", "u0", "u0"]
    reads = await state.reader.users(asked)
    blobs: list[bytes | None] = [f"blob-{n}".encode() for n in range(1_499, -1, -1)]
    assert reads == [UserRead(blob, 3) for blob in [*blobs, None, b"blob-0", b"blob-0"]]
    assert await state.reader.users([]) == []


@pytest.mark.parametrize("extreme", [NEVER, -NEVER, NEVER + 1, 2**53 + 1, -1, 0])
async def test_times_survive_to_the_last_digit(new_state: NewState, extreme: int) -> None:
    state = new_state()
    epoch = state.store.acquire("w", LEASE_MS)
    position = Position(3, extreme, extreme, 2, "", "")
    state.store.commit(Commit(epoch, 0, position))
    assert state.store.position() == await state.reader.position() == position
    again = Position(0, extreme, extreme, 0, "other", "b")
    state.store.reset(epoch, again)
    assert state.store.position() == await state.reader.position() == again


async def test_any_id_is_its_own_user(new_state: NewState) -> None:
    state = new_state()
    epoch = state.store.acquire("w", LEASE_MS)
    ids = ["", "u", "u:1", ":", "*", "a b", "a\nb", "a\0b", "ü", "\U0001f98a", "x" * 5_000]
    state.store.commit(commit_of(epoch, 0, 1, users={user.encode(): user.encode() + b"!" for user in ids}))
    assert state.store.users([user.encode() for user in ids]) == [user.encode() + b"!" for user in ids]
    assert [(await state.reader.user(user)).blob for user in ids] == [user.encode() + b"!" for user in ids]


async def test_a_large_commit_goes_in_one_step_and_comes_back(new_state: NewState) -> None:
    state = new_state()
    epoch = state.store.acquire("w", LEASE_MS)
    ids = tuple(f"item-{n}" for n in range(5_003))
    items = {n: b"%d" % n for n in range(len(ids))}
    users = {b"user-%d" % n: b"%d" % n for n in range(4_001)} | {b"large": b"x" * 2_000_000}
    state.store.commit(commit_of(epoch, 0, 9_000, users=users, items=items, new_items=ids, item_count=len(ids)))
    assert state.store.item_ids(0, 100_000) == await state.reader.item_ids(0, 100_000) == list(ids)
    assert state.store.item_ids(4_900, 20) == list(ids[4_900:4_920])
    assert state.store.item_ids(5_003, 10) == []
    assert await state.reader.items(range(len(ids))) == list(items.values())
    assert state.store.users(list(users)) == list(users.values())


async def test_a_commit_deletes_users_and_no_others(new_state: NewState) -> None:
    state = new_state()
    epoch = state.store.acquire("w", LEASE_MS)
    users = {b"user-%d" % n: b"x" for n in range(2_500)}
    state.store.commit(commit_of(epoch, 0, 5, users=users, items={0: b"i"}, skipped={3: "bad"}))
    gone = (*list(users)[7:], b"never seen")
    state.store.commit(commit_of(epoch, 5, 6, users={b"new": b"n"}, deleted_users=gone, skipped={6: "bad"}))
    assert state.store.users(list(users)) == [b"x"] * 7 + [None] * 2_493
    assert state.store.users([b"new"]) == [b"n"]
    assert state.store.items([0]) == [b"i"]
    assert state.store.skipped() == {3: "bad", 6: "bad"}


async def test_nothing_is_asked_for_and_nothing_comes(new_state: NewState) -> None:
    state = new_state()
    assert state.store.users([]) == state.store.items([]) == state.store.texts([]) == []
    assert await state.reader.items([]) == await state.reader.documents([]) == []
    assert state.store.item_ids(0, 0) == await state.reader.item_ids(0, 0) == []


async def test_a_second_epoch_fences_the_first_and_nothing_of_its_commit_is_written(new_state: NewState) -> None:
    state = new_state()
    first = state.store.acquire("one", LEASE_MS)
    state.store.commit(commit_of(first, 0, 5, users={b"u": b"one"}, new_items=("a",), feed=feed_entry(5, ["a"])))
    state.store.release("one")
    second = state.store.acquire("two", LEASE_MS)
    assert second > first
    before = state.dump()
    late = commit_of(first, 5, 6, users={b"u": b"late", b"w": b"late"}, items={0: b"late"}, new_items=("late",))
    with pytest.raises(Fenced):
        state.store.commit(late)
    with pytest.raises(Fenced):
        state.store.reset(first, Position())
    assert state.dump() == before
    state.store.commit(commit_of(second, 5, 6, users={b"u": b"two"}))
    assert (await state.reader.user("u")) == UserRead(b"two", 6)


@pytest.mark.parametrize("previous", [0, 4, 6, 50])
async def test_a_commit_from_another_offset_changes_nothing(new_state: NewState, previous: int) -> None:
    state = new_state()
    epoch = state.store.acquire("w", LEASE_MS)
    state.store.commit(commit_of(epoch, 0, 5, users={b"u": b"5"}, new_items=("a",), feed=feed_entry(5, ["a"])))
    before = state.dump()
    parts = {"users": {b"u": b"x"}, "items": {0: b"x"}, "texts": {0: b"x"}, "documents": {"a": b"x"}}
    with pytest.raises(Fenced):
        state.store.commit(commit_of(epoch, previous, 7, new_items=("b",), feed=feed_entry(7), **parts))
    assert state.dump() == before


async def test_a_commit_repeated_after_a_lost_reply_is_refused(new_state: NewState) -> None:
    state = new_state()
    epoch = state.store.acquire("w", LEASE_MS)
    commit = commit_of(epoch, 0, 5, users={b"u": b"5"}, new_items=("a",))
    state.store.commit(commit)
    with pytest.raises(Fenced):
        state.store.commit(commit)
    assert state.store.item_ids(0, 10) == ["a"]


async def test_the_lease_has_one_holder_and_others_are_told_who(new_state: NewState) -> None:
    state = new_state()
    first = state.store.acquire("host-a:12", LEASE_MS)
    with pytest.raises(LeaseHeld, match="host-a:12"):
        state.store.acquire("host-b:7", LEASE_MS)
    state.store.renew("host-a:12", LEASE_MS)
    state.store.release("host-b:7")  # not its own
    with pytest.raises(LeaseHeld):
        state.store.acquire("host-b:7", LEASE_MS)
    state.store.release("host-a:12")
    assert state.store.acquire("host-b:7", LEASE_MS) > first


async def test_a_lease_that_ran_out_can_be_taken_and_its_holder_learns_of_it(new_state: NewState) -> None:
    state = new_state()
    first = state.store.acquire("slow", 50)
    state.sleep(0.1)
    second = state.store.acquire("quick", LEASE_MS)
    assert second > first
    with pytest.raises(Fenced, match="quick"):
        state.store.renew("slow", LEASE_MS)
    state.store.renew("quick", LEASE_MS)


async def test_a_renewed_lease_lasts(new_state: NewState) -> None:
    state = new_state()
    state.store.acquire("w", 50)
    state.store.renew("w", LEASE_MS)
    state.sleep(0.1)
    with pytest.raises(LeaseHeld):
        state.store.acquire("other", LEASE_MS)


async def test_a_lease_that_ran_out_unnoticed_can_be_renewed(new_state: NewState) -> None:
    state = new_state()
    epoch = state.store.acquire("w", 50)
    state.sleep(0.1)
    state.store.renew("w", LEASE_MS)
    state.store.commit(commit_of(epoch, 0, 1))


async def test_a_reset_leaves_nothing_but_the_new_position(new_state: NewState) -> None:
    state = new_state()
    epoch = state.store.acquire("w", LEASE_MS)
    users = {b"user-%d" % n: b"x" for n in range(2_500)} | {b"u": b"u", b"v": b"v"}
    old = commit_of(epoch, 0, 9, users=users, items={0: b"i"}, new_items=("a",), documents={"a": b"d"}, texts={0: b"t"})
    state.store.commit(old)
    position = Position(0, NEVER, NEVER, 0, "log", "new bundle")
    state.store.reset(epoch, position)
    assert await everything(state) == (
        *(position, position, EMPTY, EMPTY, [], [], [None, None]),
        *(UserRead(None, 0), EMPTY, EMPTY),
    )
    assert state.store.users(list(users)) == [None] * len(users)
    state.store.commit(commit_of(epoch, 0, 1, new_items=("first again",), item_count=1))
    assert state.store.item_ids(0, 10) == ["first again"]
