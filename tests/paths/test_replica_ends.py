"""A replica ends when it is told to, whatever its client makes of that."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from service.core.types import FeedEntry
from service.ports import Generation
from tests.paths.world import World, until_ready


class Deaf:
    """A feed whose reads swallow their first cancellation, as a client on Python 3.11 does now and then."""

    def __init__(self) -> None:
        self.cancelled = 0

    async def cursor(self) -> str:
        return "0-0"

    async def read(self, cursor: str, block_ms: int) -> tuple[str, list[FeedEntry]]:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            self.cancelled += 1
            if self.cancelled > 1:
                raise
        return cursor, []


def test_it_ends_even_if_its_client_swallows_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        world, feed = World(), Deaf()
        generation = replace(await world.active.current(), feed=feed)

        async def current() -> Generation:
            return generation

        monkeypatch.setattr(world.active, "current", current)
        async with asyncio.timeout(10.0):
            async with world.replica() as replica:
                await until_ready(replica)
        assert feed.cancelled > 1

    asyncio.run(run())
