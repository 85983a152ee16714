"""What was shown, in Redis/Valkey (`keys` has the layout, `impressions.lua` the writes)."""

from __future__ import annotations

from collections.abc import Sequence

from service.adapters.keys import ImpressionKeys
from service.adapters.redis_clients import AsyncClient, Server, Value
from service.core.impressions import (
    Impression,
    Outcome,
    Shown,
    pack_impression,
    pack_outcome,
    unpack_impression,
    unpack_outcome,
)


class RedisImpressions:
    """`Impressions`. most: how many are kept; seconds: for how long."""

    def __init__(self, server: Server, most: int, seconds: int) -> None:
        self._client = AsyncClient(server)
        self._keys = keys = ImpressionKeys(server.prefix)
        self._prefixes = (keys.shown(""), keys.outcomes(""))
        self._bounds = (1_000 * seconds, most)

    async def store(self, shown: Sequence[Impression]) -> None:
        packed: list[Value] = [part for one in shown for part in (one.request_id, pack_impression(one))]
        await self._client.call("impressions_put", [self._keys.ring], (*self._prefixes, *self._bounds, *packed))

    async def credit(self, outcomes: Sequence[Outcome]) -> int:
        packed: list[Value] = [part for one in outcomes for part in (one.request_id, pack_outcome(one))]
        counted = await self._client.call("impressions_credit", [self._keys.ring], (*self._prefixes, *packed))
        return int(counted)

    async def read(self, request_id: str) -> Shown | None:
        packed = await self._client.run("GET", self._keys.shown(request_id))
        if packed is None:
            return None
        found = await self._client.run("HGETALL", self._keys.outcomes(request_id))
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return Shown(unpack_impression(packed), {unpack_outcome(field): int(count) for field, count in pairs})

    async def aclose(self) -> None:
        await self._client.aclose()
