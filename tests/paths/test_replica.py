"""The promises of a replica: it becomes equal to the state, it says when it is not, and it survives its store."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from service.adapters.exact_index import ExactIndex
from service.core.blobs import unpack_items
from service.core.types import ItemChange
from service.replica import Replica
from tests.paths.world import BUNDLE, World, until_ready


def assert_equal_to_the_state(world: World, replica: Replica) -> None:
    fresh = ExactIndex(world.model)
    blobs = [world.state.items[i] for i in range(len(world.state.ids))]
    fresh.load(world.state.ids, unpack_items(blobs, world.model.spec), world.state.position)
    fresh.advance(replica.index.position.log_time)
    assert list(replica.index.ids) == world.state.ids
    np.testing.assert_array_equal(replica.index.vectors, fresh.vectors)
    np.testing.assert_array_equal(replica.index.counters, fresh.counters)
    assert replica.index.position.offset == world.state.position.offset


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
