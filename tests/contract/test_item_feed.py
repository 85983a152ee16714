"""What every item feed promises to a replica: all of it, in order, or word that something is missing."""

from __future__ import annotations

import asyncio
import time

import pytest

from service.adapters import redis_feed
from service.core.types import FeedEntry, Position
from service.ports import FeedLost
from tests.contract.commits import assert_same_entry, commit_of, feed_entry
from tests.contract.conftest import NewState, State, soon

pytestmark = pytest.mark.anyio


class Writing:
    """Commits with feed entries, one offset after the other."""

    def __init__(self, state: State) -> None:
        self.store = state.store
        self.epoch = state.store.acquire("w", 60_000)
        self.offset = 0

    def send(self, entry: FeedEntry | None = None) -> FeedEntry:
        entry = entry or feed_entry(self.offset + 1)
        self.store.commit(commit_of(self.epoch, self.offset, self.offset + 1, feed=entry))
        self.offset += 1
        return entry


async def read_all(state: State, cursor: str) -> tuple[str, list[FeedEntry]]:
    entries: list[FeedEntry] = []
    while True:
        cursor, more = await state.feed.read(cursor, 0)
        if not more:
            return cursor, entries
        entries += more


async def test_entries_come_in_order_and_as_they_were(new_state: NewState) -> None:
    state = new_state()
    writing = Writing(state)
    cursor = await state.feed.cursor()
    sent = [writing.send(feed_entry(n + 1, ["ü"] * (n % 3), n % 4, n % 5)) for n in range(300)]
    end, got = await read_all(state, cursor)
    assert len(got) == len(sent)
    for left, right in zip(got, sent, strict=True):
        assert_same_entry(left, right)
    assert end == await state.feed.cursor()


async def test_a_cursor_is_the_place_from_which_on_entries_are_new(new_state: NewState) -> None:
    state = new_state()
    writing = Writing(state)
    writing.send()
    cursor = await state.feed.cursor()
    assert await state.feed.read(cursor, 0) == (cursor, [])
    sent = writing.send()
    moved, [got] = await state.feed.read(cursor, 0)
    assert_same_entry(got, sent)
    assert moved != cursor
    assert await state.feed.read(moved, 0) == (moved, [])


async def test_a_commit_without_an_entry_leaves_the_feed_alone(new_state: NewState) -> None:
    state = new_state()
    writing = Writing(state)
    writing.send()
    cursor = await state.feed.cursor()
    state.store.commit(commit_of(writing.epoch, 1, 2))
    assert await state.feed.cursor() == cursor


async def test_reading_at_the_end_waits_as_long_as_it_was_told(new_state: NewState) -> None:
    state = new_state()
    cursor = await state.feed.cursor()
    started = time.monotonic()
    assert await state.feed.read(cursor, 100) == (cursor, [])
    assert 0.08 <= time.monotonic() - started < 2


async def test_a_waiting_reader_gets_an_entry_as_soon_as_it_is_committed(
    new_state: NewState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_feed, "MAX_BLOCK_MS", 4_000)
    state = new_state()
    writing = Writing(state)
    cursor = await state.feed.cursor()
    committing = asyncio.create_task(soon(0.1, writing.send))
    started = time.monotonic()
    _, got = await state.feed.read(cursor, 4_000)
    assert time.monotonic() - started < 2
    assert [entry.position.offset for entry in got] == [1]
    await committing


async def test_the_feed_is_bounded_and_a_place_that_was_trimmed_away_is_lost(new_state: NewState) -> None:
    state = new_state(feed_length=50)
    writing = Writing(state)
    writing.send()
    early = await state.feed.cursor()
    for _ in range(400):
        writing.send()
    late = await state.feed.cursor()
    for _ in range(20):
        writing.send()
    with pytest.raises(FeedLost):
        await state.feed.read(early, 0)
    _, got = await read_all(state, late)
    assert [entry.position.offset for entry in got] == list(range(402, 422))


async def test_a_reset_is_noticed_at_once_and_the_feed_goes_on_from_a_new_cursor(new_state: NewState) -> None:
    state = new_state()
    writing = Writing(state)
    writing.send()
    cursor = await state.feed.cursor()
    state.store.reset(writing.epoch, Position())
    with pytest.raises(FeedLost):
        await state.feed.read(cursor, 0)
    fresh = await state.feed.cursor()
    assert await state.feed.read(fresh, 0) == (fresh, [])
    writing.offset = 0
    sent = writing.send()
    _, [got] = await state.feed.read(fresh, 0)
    assert_same_entry(got, sent)
    with pytest.raises(FeedLost):
        await state.feed.read(cursor, 0)


async def test_a_place_this_feed_never_had_is_lost(new_state: NewState) -> None:
    state = new_state()
    Writing(state).send()
    cursor = await state.feed.cursor()
    number, dash, rest = cursor.partition("-")
    never = f"{int(number) + 1_000_000}{dash}{rest}"
    with pytest.raises(FeedLost):
        await state.feed.read(never, 0)
