"""The generations of the state in Redis/Valkey: which one is active, the next one beside it, the end of old ones."""

from __future__ import annotations

from model.spec import ModelSpec
from service.adapters.keys import FIRST, StateKeys
from service.adapters.redis_clients import AsyncClient, Server, SyncClient
from service.adapters.redis_feed import RedisItemFeed
from service.adapters.redis_live import RedisLiveModels
from service.adapters.redis_state import CHUNK, UNFOLLOWED, RedisStateReader, RedisStateStore
from service.core.live_models import Live, unpack_live
from service.core.types import Position
from service.ports import Generation, StateStore


class RedisGenerations:
    """`Generations`. feed_length: entries of the active generation's item feed that are kept (about)."""

    def __init__(self, server: Server, feed_length: int = 2_000) -> None:
        self._server = server
        self._client = SyncClient(server)
        self._keys = StateKeys(server.prefix)
        self._feed_length = feed_length
        self._models = RedisLiveModels(server, feed_length, self._client)

    def current(self) -> RedisStateStore:
        return self._store(self._models.live().active)

    def of(self, bundle: str) -> RedisStateStore:
        live = self._models.live()
        model = live.of(bundle)
        if model is not None and model.stage == "filling":
            return self._store(model.generation, UNFOLLOWED)
        return self._store(live.generation_of(bundle))

    def written(self) -> list[StateStore]:
        live = self._models.live()
        return [self._store(number) for number in sorted({live.active, *(model.generation for model in live.models)})]

    def next(self) -> RedisStateStore:
        return self._next(self._models.live())

    def _next(self, live: Live) -> RedisStateStore:
        number = 1 + max(live.active, *(model.generation for model in live.models), 0)
        return RedisStateStore(self._server, self._feed_length, number, live.active, self._client)

    def _store(self, number: int, feed_length: int = 0) -> RedisStateStore:
        return RedisStateStore(self._server, feed_length or self._feed_length, number, number, self._client)

    def delete_retired(self, grace_seconds: float) -> int:
        retired = self._client.run("HGETALL", self._keys.retired)
        seconds, microseconds = self._client.run("TIME") if retired else (0, 0)
        due = 1_000 * (int(seconds) - grace_seconds) + int(microseconds) // 1_000
        numbers = [int(number) for number, since in retired.items() if int(since) <= due]
        for number in numbers:
            self._delete(number)
        return len(numbers)

    def alone(self) -> bool:
        live = self._models.live()
        if self._client.run("EXISTS", self._keys.retired) or any(model.stage == "filling" for model in live.models):
            return False
        return self._next(live).position() == Position()

    def _delete(self, number: int) -> None:
        """The offset goes first: a reader of this generation tells by it that the records are going."""
        keys = StateKeys(self._server.prefix, number)
        self._client.run("UNLINK", keys.offset, keys.meta)
        for found in self._client.scan(keys.pattern, CHUNK):
            self._client.run("UNLINK", *found)
        self._client.run("HDEL", keys.retired, number)

    def close(self) -> None:
        self._client.close()


class RedisActiveState:
    """`ActiveState`. spec: of the weights that the feed's vectors are read for; bundle: their hash, so that the memory
    they made is found although another model's is active, "" for the active one."""

    def __init__(self, server: Server, spec: ModelSpec, bundle: str = "") -> None:
        self._server = server
        self._spec = spec
        self._bundle = bundle
        self._reading = AsyncClient(server)
        self._following = AsyncClient(server, blocking=True)
        self._keys = StateKeys(server.prefix)

    async def current(self) -> Generation:
        number = int(await self._reading.run("GET", self._keys.active) or FIRST)
        for other, packed in (await self._reading.run("HGETALL", self._keys.live)).items() if self._bundle else ():
            if unpack_live(int(other), packed).bundle == self._bundle:
                number = int(other)
        reader = RedisStateReader(self._server, number, self._reading)
        return Generation(number, reader, RedisItemFeed(self._server, self._spec, number, self._following))

    async def aclose(self) -> None:
        await self._reading.aclose()
        await self._following.aclose()
