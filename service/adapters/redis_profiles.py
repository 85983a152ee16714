"""Profiles, their queue and the token budget in Redis/Valkey (`keys` has the layout, `profiles.lua` the writes)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TypeVar
from uuid import uuid4

from pydantic_core import from_json, to_json

from service.adapters.keys import ProfileKeys
from service.adapters.redis_clients import AsyncClient, Server, SyncClient, Value
from service.core.profiles import Facets, Profile, StoredProfile, pack_edits, pack_profile, unpack_stored
from service.errors import BudgetSpent, Fenced
from service.profile_ports import Claim, DeadLetter, Due, Reason, Waiting

T = TypeVar("T")

MOST_DEAD = 10_000
"""Users whose dead letter is kept."""
CHUNK = 500
"""Users in one call."""
DAY = 86_400
_REMEMBERED = 2 * DAY


class RedisProfiles:
    """`ProfileStore` and `ProfileQueue`."""

    def __init__(self, server: Server) -> None:
        self._client = AsyncClient(server)
        self._keys = ProfileKeys(server.prefix)

    async def read(self, user_ids: Sequence[str]) -> list[StoredProfile]:
        found: list[StoredProfile] = []
        for some in _chunks(user_ids):
            keys = [key for user_id in some for key in (self._keys.made(user_id), self._keys.edits(user_id))]
            values = await self._client.run("MGET", *keys)
            found += map(unpack_stored, values[::2], values[1::2])
        return found

    async def replace(self, user_id: str, before: Profile, after: Profile) -> bool:
        keys = (self._keys.made(user_id),)
        return bool(await self._client.call("profile_replace", keys, (pack_profile(before), pack_profile(after))))

    async def edit(self, user_id: str, edits: Facets) -> None:
        keys = (*self._keys.queue, self._keys.edits(user_id))
        await self._client.call("profile_edit", keys, (user_id, pack_edits(edits)))

    async def forget(self, user_ids: Sequence[str]) -> None:
        for some in _chunks(user_ids):
            await self._client.call("profile_forget", self._keys.queue, (self._keys.records, *some))

    async def user_ids(self) -> AsyncIterator[list[str]]:
        start = len(self._keys.made("").encode())
        cursor = 0
        while True:
            command = ("SCAN", cursor, "MATCH", self._keys.made_pattern, "COUNT", CHUNK)
            cursor, keys = await self._client.run(*command)
            if keys:
                yield [key[start:].decode() for key in keys]
            if cursor == 0:
                return

    async def add(self, due: Sequence[Due]) -> None:
        for some in _chunks(due):
            args: list[Value] = [
                part for one in some for part in (one.user_id, int(one.reason), int(1000 * one.ready_at))
            ]
            await self._client.call("profile_add", self._keys.queue, args)

    async def claim(self, count: int, lease_seconds: float) -> list[Claim]:
        args = (uuid4().hex, int(1000 * lease_seconds), count)
        flat = await self._client.call("profile_claim", self._keys.queue, args)
        parts = zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
        return [Claim(user.decode(), token.decode(), Reason(rank), tries) for user, token, rank, tries in parts]

    async def finish(self, claim: Claim, profile: Profile) -> bool:
        return await self._end(claim, "finished", pack_profile(profile))

    async def drop(self, claim: Claim) -> None:
        await self._end(claim, "dropped")

    async def put_off(self, claim: Claim, seconds: float, counted: bool) -> None:
        await self._end(claim, "later", int(1000 * seconds), int(counted))

    async def bury(self, claim: Claim, letter: DeadLetter) -> None:
        await self._end(claim, "buried", to_json({"reason": letter.reason, "at": letter.at}), MOST_DEAD)

    async def _end(self, claim: Claim, what: str, *args: Value) -> bool:
        keys = (*self._keys.queue, self._keys.made(claim.user_id))
        return bool(await self._client.call("profile_end", keys, (claim.user_id, claim.token, what, *args)))

    async def dead(self, user_ids: Sequence[str]) -> list[DeadLetter | None]:
        if not user_ids:
            return []
        values = await self._client.run("HMGET", self._keys.dead, *user_ids)
        return [None if value is None else DeadLetter(**from_json(value)) for value in values]

    async def waiting(self) -> Waiting:
        keys, run = self._keys, self._client.run
        due, later, claimed = [await run("ZCARD", key) for key in (keys.due, keys.later, keys.claimed)]
        return Waiting(due, later, claimed, await run("HLEN", keys.dead))

    async def count(self, counts: Mapping[str, int]) -> None:
        for name, number in counts.items():
            await self._client.run("HINCRBY", self._keys.counts, name, number)

    async def counted(self) -> dict[str, int]:
        found = await self._client.run("HGETALL", self._keys.counts)
        return {name.decode(): int(number) for name, number in found.items()}

    async def lead(self, owner: str, ttl_ms: int) -> bool:
        try:
            await self._client.call("renew", (self._keys.feeder,), (owner, ttl_ms))
        except Fenced:
            return False
        return True

    async def leave(self, owner: str) -> None:
        await self._client.call("release", (self._keys.feeder,), (owner,))

    async def cursor(self) -> tuple[str, int]:
        log_id, _, offset = (await self._client.run("GET", self._keys.cursor) or b"").decode().partition(" ")
        return log_id, int(offset or 0)

    async def move(self, log_id: str, offset: int) -> None:
        await self._client.run("SET", self._keys.cursor, f"{log_id} {offset}")

    async def aclose(self) -> None:
        await self._client.aclose()


class RedisTokenBudget:
    """`TokenBudget`, shared by all workers. limit: tokens a day."""

    def __init__(self, server: Server, limit: int) -> None:
        self._client = AsyncClient(server)
        self._keys = ProfileKeys(server.prefix)
        self._limit = limit

    async def reserve(self, tokens: int) -> int:
        day = int(time.time()) // DAY
        if not await self._client.call(
            "profile_reserve", (self._keys.tokens(day),), (tokens, self._limit, _REMEMBERED)
        ):
            raise BudgetSpent(f"the day's {self._limit:,} tokens do not last for another call of up to {tokens:,}")
        return day

    async def spent(self) -> int:
        return int(await self._client.run("GET", self._keys.tokens(int(time.time()) // DAY)) or 0)

    async def settle(self, day: int, surplus: int) -> None:
        await self._client.run("DECRBY", self._keys.tokens(day), surplus)

    async def aclose(self) -> None:
        await self._client.aclose()


class RedisProfileEraser:
    """`ProfileEraser`."""

    def __init__(self, server: Server) -> None:
        self._client = SyncClient(server)
        self._keys = ProfileKeys(server.prefix)

    def forget(self, user_ids: Sequence[str]) -> None:
        for some in _chunks(user_ids):
            self._client.call("profile_forget", self._keys.queue, (self._keys.records, *some))

    def close(self) -> None:
        self._client.close()


def _chunks(values: Sequence[T]) -> list[Sequence[T]]:
    return [values[at : at + CHUNK] for at in range(0, len(values), CHUNK)]
