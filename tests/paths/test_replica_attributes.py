"""What lists filter by reaches a replica with the items, and stays right whatever becomes of the feed."""

from __future__ import annotations

import asyncio

from service.core.filters import Match
from tests.paths.descriptions import described, what_matches
from tests.paths.test_replica import assert_equal_to_the_state
from tests.paths.world import World, until_ready


def test_what_lists_filter_by_is_loaded_followed_and_loaded_again() -> None:
    async def run() -> None:
        world = World(feed_length=3)
        world.put([described(f"item-{n}", n) for n in range(7)])
        async with world.replica() as replica:
            await until_ready(replica)
            assert_equal_to_the_state(world, replica)
            assert what_matches(replica.index)[Match(tags=("even",))] == {"item-0", "item-2", "item-4", "item-6"}
            world.put([described("item-1", 4, brand="moved"), described("new", 2, hidden=True)])
            assert await replica.wait_for(world.state.position.offset, 1.0)
            assert_equal_to_the_state(world, replica)
            assert what_matches(replica.index)[Match(brand=("moved",))] == {"item-1"}
            for n in range(6):  # more than the feed holds: all items are loaded again
                offset = world.put([described(f"item-{n}", n + 1)])
            assert await replica.wait_for(offset, 1.0)
            assert_equal_to_the_state(world, replica)
            world.post([("ann", "item-1", 1_000)])
            assert await replica.wait_for(offset + 1, 1.0)
            assert_equal_to_the_state(world, replica)
            assert not replica.index.available[replica.index.find("new")]

    asyncio.run(run())
