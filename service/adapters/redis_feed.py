"""The item feed as a bounded stream on the state's Redis/Valkey. Each entry names the one before it."""

from __future__ import annotations

from model.process.records import layout
from model.spec import ModelSpec
from service.adapters.keys import FEED_START, FIRST, StateKeys
from service.adapters.redis_clients import MAX_BLOCK_MS, AsyncClient, Server
from service.core.feed_packing import unpack_feed
from service.core.types import FeedEntry
from service.ports import FeedLost, GenerationEnded

COUNT = 64
"""Entries in one answer at most."""


class RedisItemFeed:
    """`ItemFeed`. One `read` waits at most `redis_clients.MAX_BLOCK_MS`.

    generation: its number; client: a blocking one, to share connections.

    A reader knows that it missed something when the first entry after its cursor does not name the cursor as the one
    before: trimmed away, a reset, a server that was restored from an older copy, another server.
    """

    def __init__(
        self, server: Server, spec: ModelSpec, generation: int = FIRST, client: AsyncClient | None = None
    ) -> None:
        self._client = client or AsyncClient(server, blocking=True)
        self._keys = StateKeys(server.prefix, generation)
        self._generation = generation
        self._counters, self._dim = layout(spec).counters, spec.dim

    async def cursor(self) -> str:
        newest = await self._client.run("HGET", self._keys.meta, "feed")
        return FEED_START if newest is None else bytes(newest).decode()

    async def read(self, cursor: str, block_ms: int) -> tuple[str, list[FeedEntry]]:
        wait = ("BLOCK", min(block_ms, MAX_BLOCK_MS)) if block_ms > 0 else ()
        answer = await self._client.run("XREAD", "COUNT", COUNT, *wait, "STREAMS", self._keys.feed, cursor)
        if not answer:
            await self._check(cursor)
            return cursor, []
        [(_, found)] = answer
        entries = []
        for entry_id, fields in found:
            if fields[b"previous"] == b"switched":
                raise GenerationEnded(f"generation {self._generation} of the state is no longer active")
            if fields[b"previous"] != cursor.encode():
                raise FeedLost(f"the entries between {cursor} and {entry_id.decode()} of the item feed are gone")
            cursor = entry_id.decode()
            entries.append(unpack_feed(fields[b"entry"], self._counters, self._dim))
        return cursor, entries

    async def _check(self, cursor: str) -> None:
        """Nothing new: either the cursor is the newest entry, or this is not the feed it was taken from any more."""
        active = int(await self._client.run("GET", self._keys.active) or FIRST)
        if active != self._generation and not await self._client.run("HEXISTS", self._keys.live, self._generation):
            raise GenerationEnded(f"generation {active} of the state is active, not {self._generation}")
        newest = await self.cursor()
        if _order(newest) < _order(cursor):
            raise FeedLost(f"the item feed ends at {newest}, before {cursor}")

    async def aclose(self) -> None:
        await self._client.aclose()


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)
