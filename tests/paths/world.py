"""The whole line in one process: log, writer, state and replica over the in-memory adapters and a toy model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import copy, deepcopy
from dataclasses import replace
from typing import Literal

import numpy as np

from model.process.temporal_model import TemporalModel
from model.spec import ModelSpec
from service.adapters.exact_index import ExactIndex
from service.adapters.in_memory import InMemoryEventSource, InMemoryGenerations, InMemoryLog, InMemoryState
from service.adapters.in_memory_reading import InMemoryActiveState
from service.core.blobs import unpack_items, unpack_users
from service.core.types import Erase, Event, ItemChange, Position, Switch
from service.errors import StoreUnavailable
from service.event_path import Writer, accept, accept_items, accept_marker
from service.ports import ActiveState, Generation, StateReader, UserRead
from service.replica import Replica
from service.request_path import Serving
from tests.process.toy import TOY_SPEC, ToyModel

BUNDLE = "toy"


class World:
    """post and put append to the log and apply at once, to the first generation; `active` can be switched off."""

    def __init__(self, model: TemporalModel | None = None, feed_length: int = 10_000, overlap: bool = False) -> None:
        self.model = model or ToyModel()
        self.log = InMemoryLog()
        self.state = InMemoryState(feed_length=feed_length, position=Position(log_id=self.log.id, bundle=BUNDLE))
        self.generations = InMemoryGenerations(self.state)
        store = self.generations.current()
        self.writer = Writer(store, self.model, store.acquire("tests", 60_000), overlap)
        self.writer.resume()
        self.active = SwitchedState(InMemoryActiveState(self.generations, self.model.spec))
        self.source = InMemoryEventSource(self.log)

    def post(self, rows: Sequence[tuple[str, str, int]], kind: str = "purchase") -> int:
        """(user, item, timestamp) rows into log and state; returns the last offset."""
        self.append(rows, kind)
        return self.work()

    def append(self, rows: Sequence[tuple[str, str, int]], kind: str = "purchase") -> None:
        """The same into the log only."""
        events = [Event("", user, item, kind, timestamp, 1.0) for user, item, timestamp in rows]
        self.log.append(accept(events, [False] * len(events)))

    def mark(self, *markers: Erase | Switch) -> int:
        self.append_markers(*markers)
        return self.work()

    def append_markers(self, *markers: Erase | Switch) -> None:
        self.log.append([accept_marker(marker) for marker in markers])

    def put(self, changes: Sequence[ItemChange]) -> int:
        self.log.append(accept_items(changes))
        return self.work()

    def work(self) -> int:
        entries = self.source.read(self.writer.position.offset, 10_000, 0)
        if len(entries):
            self.writer.step(entries)
        return self.writer.position.offset

    @asynccontextmanager
    async def replica(self, clock: Literal["wall", "event"] = "event", bundle: str = BUNDLE) -> AsyncIterator[Replica]:
        """A replica that follows for the time of the block; it may not be ready yet."""
        replica = Replica(self.active, lambda: ExactIndex(self.model), self.model.spec, bundle, clock)
        async with replica.following():
            yield replica

    @asynccontextmanager
    async def serving(self, has_bundle: bool = True, bundle: str = BUNDLE) -> AsyncIterator[Serving]:
        async with self.replica(bundle=bundle) as replica:
            if bundle == BUNDLE:
                await until_ready(replica)
                await replica.wait_for(self.writer.position.offset, 1.0)
            yield Serving(replica, self.model, has_bundle)


class SwitchedState:
    """An `ActiveState` whose readers are down while `down` is set. delay: seconds before a user is read."""

    def __init__(self, state: ActiveState) -> None:
        self._state = state
        self.down = False
        self.delay = 0.0

    async def current(self) -> Generation:
        found = await self._state.current()
        return Generation(found.number, SwitchedReader(found.reader, self), found.feed)


def assert_same(found: InMemoryState, expected: InMemoryState, spec: ModelSpec = TOY_SPEC) -> None:
    """The same users, items and times but for offsets; floats to the rounding of sums taken in another order."""
    assert found.users.keys() == expected.users.keys()
    assert found.ids == expected.ids
    assert found.position.log_time == expected.position.log_time
    users, others = (unpack_users([state.users[user] for user in expected.users], spec) for state in (found, expected))
    items = (unpack_items([state.items[at] for at in range(len(state.ids))], spec) for state in (found, expected))
    for ours, theirs in ((users.rows, others.rows), (users.pairs, others.pairs), tuple(items)):
        for name in ours.dtype.names or ():
            if name != "offset":
                np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-5, atol=2e-6, err_msg=name)


class SwitchedReader:
    """A `StateReader` that is down while its state is."""

    def __init__(self, reader: StateReader, switch: SwitchedState) -> None:
        self._reader = reader
        self._switch = switch

    def _check(self) -> None:
        if self._switch.down:
            raise StoreUnavailable("state: switched off")

    async def user(self, user_id: str) -> UserRead:
        return (await self.users([user_id]))[0]

    async def users(self, user_ids: Sequence[str]) -> list[UserRead]:
        if self._switch.delay:
            await asyncio.sleep(self._switch.delay)
        self._check()
        return await self._reader.users(user_ids)

    async def position(self) -> Position:
        self._check()
        return await self._reader.position()

    async def items(self, index: Sequence[int]) -> list[bytes | None]:
        self._check()
        return await self._reader.items(index)

    async def item_ids(self, start: int, count: int) -> list[str]:
        self._check()
        return await self._reader.item_ids(start, count)

    async def documents(self, item_ids: Sequence[str]) -> list[bytes | None]:
        self._check()
        return await self._reader.documents(item_ids)


async def until_ready(replica: Replica, seconds: float = 2.0) -> None:
    async with asyncio.timeout(seconds):
        while replica.reasons:
            await asyncio.sleep(0.002)


def frozen(serving: Serving) -> Serving:
    """The same, whose items no longer follow the feed."""
    replica = copy(serving.replica)
    replica.view = replace(replica.view, index=deepcopy(replica.view.index))
    return Serving(replica, serving.model, serving.has_bundle)
