"""The generations of the state in Redis/Valkey: which one is active, the next one beside it, the end of old ones."""

from __future__ import annotations

from model.spec import ModelSpec
from service.adapters.keys import FIRST, StateKeys
from service.adapters.redis_clients import AsyncClient, Server, SyncClient
from service.adapters.redis_feed import RedisItemFeed
from service.adapters.redis_state import CHUNK, RedisStateReader, RedisStateStore
from service.core.types import Position
from service.ports import Generation


class RedisGenerations:
    """`Generations`. feed_length: entries of the active generation's item feed that are kept (about)."""

    def __init__(self, server: Server, feed_length: int = 2_000) -> None:
        self._server = server
        self._client = SyncClient(server)
        self._keys = StateKeys(server.prefix)
        self._feed_length = feed_length

    def current(self) -> RedisStateStore:
        active = self._active()
        return RedisStateStore(self._server, self._feed_length, active, active, self._client)

    def next(self) -> RedisStateStore:
        active = self._active()
        return RedisStateStore(self._server, self._feed_length, active + 1, active, self._client)

    def delete_retired(self, grace_seconds: float) -> int:
        retired = self._client.run("HGETALL", self._keys.retired)
        seconds, microseconds = self._client.run("TIME") if retired else (0, 0)
        due = 1_000 * (int(seconds) - grace_seconds) + int(microseconds) // 1_000
        numbers = [int(number) for number, since in retired.items() if int(since) <= due]
        for number in numbers:
            self._delete(number)
        return len(numbers)

    def alone(self) -> bool:
        if self._client.run("EXISTS", self._keys.retired):
            return False
        return self.next().position() == Position()

    def _delete(self, number: int) -> None:
        """The offset goes first: a reader of this generation tells by it that the records are going."""
        keys = StateKeys(self._server.prefix, number)
        self._client.run("UNLINK", keys.offset, keys.meta)
        for found in self._client.scan(keys.pattern, CHUNK):
            self._client.run("UNLINK", *found)
        self._client.run("HDEL", keys.retired, number)

    def _active(self) -> int:
        return int(self._client.run("GET", self._keys.active) or FIRST)

    def close(self) -> None:
        self._client.close()


class RedisActiveState:
    """`ActiveState`. spec: of the weights that the feed's vectors are read for."""

    def __init__(self, server: Server, spec: ModelSpec) -> None:
        self._server = server
        self._spec = spec
        self._reading = AsyncClient(server)
        self._following = AsyncClient(server, blocking=True)
        self._keys = StateKeys(server.prefix)

    async def current(self) -> Generation:
        number = int(await self._reading.run("GET", self._keys.active) or FIRST)
        reader = RedisStateReader(self._server, number, self._reading)
        return Generation(number, reader, RedisItemFeed(self._server, self._spec, number, self._following))

    async def aclose(self) -> None:
        await self._reading.aclose()
        await self._following.aclose()
