"""The state and the item feed inside one process as the API reads them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from model.process.records import layout
from model.spec import ModelSpec
from service.adapters.in_memory import InMemoryGenerations, InMemoryState, InMemoryStateStore
from service.core.feed_packing import unpack_feed
from service.core.types import FeedEntry, Position, Totals
from service.errors import StoreUnavailable
from service.ports import FeedLost, Generation, GenerationEnded, UserRead

_POLL_SECONDS = 0.002


class InMemoryStateReader:
    """`StateReader`."""

    def __init__(self, state: InMemoryState) -> None:
        self._store = InMemoryStateStore(state)
        self._state = state

    async def user(self, user_id: str) -> UserRead:
        return (await self.users([user_id]))[0]

    async def users(self, user_ids: Sequence[str]) -> list[UserRead]:
        state = self._state
        with state.lock:
            if state.deleted:
                raise StoreUnavailable(f"generation {state.number} of the state is gone")
            offset, profiles = state.position.offset, state.profiles
            return [
                UserRead(state.users.get(user_id.encode()), offset, *profiles.packed(user_id)) for user_id in user_ids
            ]

    async def position(self) -> Position:
        return self._state.position

    async def totals(self) -> Totals:
        state = self._state
        with state.lock:
            return Totals(state.position.offset, len(state.ids), state.epoch, state.late, len(state.skipped))

    async def items(self, index: Sequence[int]) -> list[bytes | None]:
        return self._store.items(index)

    async def item_ids(self, start: int, count: int) -> list[str]:
        return self._store.item_ids(start, count)

    async def documents(self, item_ids: Sequence[str]) -> list[bytes | None]:
        return [self._state.documents.get(item_id) for item_id in item_ids]


class InMemoryActiveState:
    """`ActiveState`. bundle: the hash of a live model's, "" for the active generation."""

    def __init__(self, generations: InMemoryGenerations, spec: ModelSpec, bundle: str = "") -> None:
        self._generations = generations
        self._spec = spec
        self._bundle = bundle

    async def current(self) -> Generation:
        state = self._generations.of(self._bundle).state
        feed = InMemoryItemFeed(state, self._spec, self._generations)
        return Generation(state.number, InMemoryStateReader(state), feed)


class InMemoryItemFeed:
    """`ItemFeed`. A cursor is the number of an entry. generations: those that `state` is one of."""

    def __init__(self, state: InMemoryState, spec: ModelSpec, generations: InMemoryGenerations | None = None) -> None:
        self._state = state
        self._generations = generations or InMemoryGenerations(state)
        self._counters, self._dim = layout(spec).counters, spec.dim

    async def cursor(self) -> str:
        return str(self._state.feed_end)

    async def read(self, cursor: str, block_ms: int) -> tuple[str, list[FeedEntry]]:
        deadline = time.monotonic() + block_ms / 1000
        while self._state.feed_end == int(cursor) and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        with self._state.lock:
            if not self._generations.is_written(self._state):
                raise GenerationEnded(f"generation {self._generations.active.number} of the state is active")
            behind = self._state.feed_end - int(cursor)
            if not 0 <= behind <= len(self._state.feed):
                raise FeedLost(f"the item feed ends at {self._state.feed_end} and no longer has what follows {cursor}")
            newest = list(self._state.feed)[len(self._state.feed) - behind :]
            return str(self._state.feed_end), [unpack_feed(entry, self._counters, self._dim) for entry in newest]
