"""The promises of a replica: it becomes equal to the state, it says when it is not, and it survives its store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np
import pytest

from service.adapters.exact_index import ExactIndex
from service.adapters.in_memory import InMemoryEventSource, InMemoryLog, InMemoryState
from service.core.attributes import Attributes
from service.core.blobs import unpack_items
from service.core.types import Event, ItemChange, Position
from service.errors import StoreUnavailable
from service.event_path import Writer, accept, accept_items
from service.replica import Replica
from service.request_path import Recommendation, Request, Serving, recommend
from tests.paths.descriptions import described, what_matches
from tests.paths.world import BUNDLE, SwitchedReader, World, until_ready
from tests.process.toy import ToyModel


def assert_equal_to_the_state(world: World, replica: Replica, state: InMemoryState | None = None) -> None:
    """state: in place of the first generation."""
    state = state or world.state
    fresh = ExactIndex(world.model)
    blobs = [state.items[i] for i in range(len(state.ids))]
    attributes = Attributes()
    attributes.put_all(0, [state.documents.get(item_id) for item_id in state.ids])
    fresh.load(state.ids, unpack_items(blobs, world.model.spec), state.position, attributes)
    fresh.advance(replica.index.position.log_time)
    assert what_matches(replica.index) == what_matches(fresh)
    np.testing.assert_array_equal(replica.index.available, fresh.available)
    assert list(replica.index.ids) == state.ids
    np.testing.assert_array_equal(replica.index.vectors, fresh.vectors)
    np.testing.assert_array_equal(replica.index.counters, fresh.counters)
    assert replica.index.position.offset == state.position.offset


def test_it_loads_what_is_there_and_follows_what_comes() -> None:
    async def run() -> None:
        world = World()
        world.post([("ann", f"item-{i}", 1_000 + i) for i in range(7)])
        async with world.replica() as replica:
            assert replica.reasons == ["the items are being loaded"]
            await until_ready(replica)
            assert_equal_to_the_state(world, replica)
            world.post([("bob", "item-3", 1_100), ("bob", "new", 1_250)])
            world.put([ItemChange("put", b"{}", available_from=0)])
            assert await replica.wait_for(world.state.position.offset, 1.0)
            assert_equal_to_the_state(world, replica)

    asyncio.run(run())


def test_a_store_that_is_slow_while_items_are_loaded_costs_a_chunk_and_not_what_was_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    read = SwitchedReader.items

    async def items(self: SwitchedReader, index: Sequence[int]) -> list[bytes | None]:
        asked.append(index[0])
        if len(asked) % 2:
            raise StoreUnavailable("state: slow for a moment")
        return await read(self, index)

    monkeypatch.setattr(SwitchedReader, "items", items)
    monkeypatch.setattr("service.replica.CHUNK", 3)

    async def run() -> None:
        world = World()
        world.post([("ann", f"item-{i}", 1_000 + i) for i in range(7)])
        async with world.replica() as replica:
            await until_ready(replica)
            assert_equal_to_the_state(world, replica)

    asyncio.run(run())
    assert asked == [0, 0, 3, 3, 6, 6]


def test_it_loads_again_when_it_has_lost_the_feed() -> None:
    async def run() -> None:
        world = World(feed_length=2)
        world.post([("ann", "a", 1_000)])
        async with world.replica() as replica:
            await until_ready(replica)
            for i in range(6):  # six commits between two looks of the replica at a feed of two
                offset = world.post([("bob", f"b{i}", 1_000 + i)])
            assert await replica.wait_for(offset, 1.0)
            assert_equal_to_the_state(world, replica)

    asyncio.run(run())


def test_it_follows_a_state_that_was_made_anew() -> None:
    async def run() -> None:
        world = World()
        world.post([("ann", item, 1_000) for item in ("a", "b", "c")])
        async with world.replica() as replica:
            await until_ready(replica)
            world.writer._store.reset(1, world.state.position.__class__(bundle=BUNDLE))
            world.writer.resume()
            for column in (world.log.offsets, world.log.timestamps, world.log.payloads):
                column.clear()
            world.post([("ann", "z", 2_000)])
            async with asyncio.timeout(1.0):
                while list(replica.index.ids) != ["z"]:
                    await asyncio.sleep(0.002)
            assert_equal_to_the_state(world, replica)

    asyncio.run(run())


def test_it_serves_what_it_has_while_the_store_is_down_and_catches_up_afterwards() -> None:
    async def run() -> None:
        world = World()
        world.active.down = True
        async with world.replica() as replica:
            await asyncio.sleep(0.05)
            assert replica.reasons == ["state: switched off"]
            assert list(replica.index.ids) == []
            world.active.down = False
            world.post([("ann", "a", 1_000)])
            await until_ready(replica)
            assert_equal_to_the_state(world, replica)

    asyncio.run(run())


def test_a_waiter_is_woken_by_the_entry_it_waits_for_and_not_by_a_timer() -> None:
    async def run() -> None:
        world = World()
        async with world.replica() as replica:
            await until_ready(replica)
            waiting = [asyncio.create_task(replica.wait_for(offset, 5.0)) for offset in (1, 2)]
            await asyncio.sleep(0.01)
            world.post([("ann", "a", 1_000)])
            assert await waiting[0]
            assert not waiting[1].done()
            started = time.perf_counter()
            world.post([("ann", "b", 1_001)])
            assert await waiting[1]
            assert time.perf_counter() - started < 0.1  # the in-memory feed looks every 2 ms
            assert not await replica.wait_for(3, 0.01)

    asyncio.run(run())


def test_the_wall_clock_makes_items_available_in_time() -> None:
    async def run() -> None:
        world = World()
        now = int(time.time())
        world.put([ItemChange("soon", b"{}", available_from=now + 1), ItemChange("never", b"{}")])
        nothing = np.empty(0, np.int64)
        async with world.replica(clock="wall") as replica:
            await until_ready(replica)
            async with asyncio.timeout(4.0):
                while not len(replica.index.popular(5, nothing)[0]):
                    await asyncio.sleep(0.05)
            assert time.time() >= now + 1
            assert [replica.index.ids[i] for i in replica.index.popular(5, nothing)[0]] == ["soon"]

    asyncio.run(run())


def test_an_index_that_cannot_advance_is_followed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no popularity")

    monkeypatch.setattr(ExactIndex, "advance", fail)

    async def run() -> None:
        world = World()
        async with world.replica(clock="wall") as replica:
            await until_ready(replica)
            offset = world.post([("ann", "a", 1_000)])
            assert await replica.wait_for(offset, 1.0)

    asyncio.run(run())


USERS, ITEMS = ["ann", "bob", "cid"], [f"item-{i}" for i in range(9)]
PURCHASES = [(USERS[n % 3], ITEMS[n * n % 9], 1_000 + 5 * n) for n in range(60)]
NOW = 5_000


class Next:
    """The generation after the active one, full: the same purchases, other weights, the items in another order."""

    def __init__(self, world: World, bundle: str = BUNDLE) -> None:
        self.store = world.generations.next()
        self.epoch = self.store.acquire("rebuild", 60_000)
        self.store.reset(self.epoch, Position(log_id=world.log.id, bundle=bundle))
        model = ToyModel()
        model.initial_item = np.random.default_rng(0).normal(size=model.spec.item_dim).astype(np.float32)
        self.writer = Writer(self.store, model, self.epoch)
        self.writer.resume()
        self._log = InMemoryLog()
        self._log.append(accept_items([described(item, n) for n, item in enumerate(reversed(ITEMS))]))
        self.post(PURCHASES)

    def post(self, rows: list[tuple[str, str, int]]) -> None:
        events = [Event("", user, item, "purchase", timestamp, 1.0) for user, item, timestamp in rows]
        self._log.append(accept(events, [False] * len(events)))
        self.writer.step(InMemoryEventSource(self._log).read(self.writer.position.offset, 10_000, 0))


def shown(found: Recommendation) -> tuple[object, ...]:
    return found.strategy, found.item_ids, found.scores, found.events_seen, found.offset


def test_lists_stay_whole_and_correct_while_the_generation_changes() -> None:
    """Requests begin before, during and after the switch; each answers one of the two lists, bit for bit."""

    async def run() -> None:
        world = World()
        world.post(PURCHASES)
        following = Next(world)
        async with world.serving() as serving:
            replica = serving.replica

            async def ask(user: str) -> tuple[object, ...]:
                assert replica.reasons == []
                return shown(await recommend(Request(user, at=NOW), serving))

            old = {user: await ask(user) for user in USERS}
            world.active.delay = 0.005
            asked = []
            for number in range(300):
                if number == 100:
                    assert following.store.activate(following.epoch)
                asked.append((USERS[number % 3], asyncio.create_task(ask(USERS[number % 3]))))
                await asyncio.sleep(0.0005)
            lists = [(user, await task) for user, task in asked]
            assert replica.view.generation == 2
            new = {user: await ask(user) for user in USERS}
            for user, found in lists:
                assert found in (old[user], new[user])
            assert all(old[user] != new[user] for user in USERS)
            assert {found == old[user] for user, found in lists} == {True, False}

    asyncio.run(run())


def test_it_follows_the_new_generation_after_a_switch() -> None:
    async def run() -> None:
        world = World()
        world.post(PURCHASES)
        following = Next(world)
        async with world.serving() as serving:
            following.store.activate(following.epoch)
            following.post([("ann", ITEMS[2], 2_000), ("bob", "new", 2_001)])
            assert await serving.replica.wait_for(following.writer.position.offset, 1.0)
            assert_equal_to_the_state(world, serving.replica, world.generations.active)

    asyncio.run(run())


def test_a_replica_that_slept_through_switch_and_grace_serves_no_stranger_s_list() -> None:
    """Its own generation is gone: until the new one is loaded it says so, and does not take its users for unknown."""

    async def run() -> None:
        world = World()
        world.post(PURCHASES)
        following = Next(world)
        async with world.serving() as serving:
            following.store.activate(following.epoch)
            assert world.generations.delete_retired(0.0) == 1
            found = await recommend(Request("ann", at=NOW), serving)  # the replica has had no time to notice
            assert (found.strategy, found.degraded) == ("fallback", ("state",))
            assert await serving.replica.wait_for(following.writer.position.offset, 1.0)
            assert (await recommend(Request("ann", at=NOW), serving)).strategy == "model"

    asyncio.run(run())


def test_a_switch_to_another_bundle_leaves_the_old_lists_until_the_old_generation_is_gone() -> None:
    async def ask(serving: Serving) -> Recommendation:
        return await recommend(Request("ann", at=NOW), serving)

    async def run() -> None:
        world = World()
        world.post(PURCHASES)
        following = Next(world, bundle="another")
        async with world.serving() as serving:
            before = await ask(serving)
            following.store.activate(following.epoch)
            async with asyncio.timeout(1.0):
                while not serving.replica.reasons:
                    await asyncio.sleep(0.002)
            assert "made by bundle another, this process serves toy" in serving.replica.reasons[0]
            assert shown(await ask(serving)) == shown(before)
            world.generations.delete_retired(0.0)
            assert (await ask(serving)).strategy == "fallback"

    asyncio.run(run())
