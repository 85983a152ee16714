"""One generation of the state as packed blobs in Redis/Valkey (`keys` has the layout, `functions.lua` the writes)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.adapters.keys import (
    FIRST,
    RESETTING,
    ProfileKeys,
    StateKeys,
    pack_position,
    read_position,
    read_totals,
    unpack_position,
    unpack_totals,
)
from service.adapters.redis_clients import AsyncClient, Server, SyncClient, Value
from service.adapters.redis_commit import Commits
from service.core.types import Commit, Position, Totals
from service.errors import StoreUnavailable
from service.ports import UserRead

Key = TypeVar("Key", str, bytes, str | bytes)

CHUNK = 1_000
"""Keys, or ids, asked for in one round trip, so that no single answer outlasts the timeout."""
UNFOLLOWED = 1
"""Entries of the item feed of a generation that is being made: nobody follows it yet."""


class RedisStateStore:
    """`StateStore`. feed_length: entries of the item feed that are kept (about; whole blocks are trimmed).

    generation: its number; active: that of the one whose place it is to take, itself for one that is live; client: to
    share connections.
    """

    def __init__(
        self,
        server: Server,
        feed_length: int = 2_000,
        generation: int = FIRST,
        active: int | None = None,
        client: SyncClient | None = None,
    ) -> None:
        self._client = client or SyncClient(server)
        self._keys = StateKeys(server.prefix, generation)
        self._feed_length = feed_length
        self._generation = generation
        self._active = generation if active is None else active
        self._before = StateKeys(server.prefix, self._active)
        length = feed_length if self._active == generation else UNFOLLOWED
        self._commits = Commits(self._client, self._keys, length)

    @property
    def generation(self) -> int:
        return self._generation

    def acquire(self, owner: str, ttl_ms: int) -> int:
        self._commits.forget()
        keys = (self._keys.lease, self._keys.meta, self._keys.active, self._keys.live)
        return int(self._client.call("acquire", keys, (owner, ttl_ms, self._active, self._generation)))

    def renew(self, owner: str, ttl_ms: int) -> None:
        keys = (self._keys.lease, self._keys.active, self._keys.live)
        self._client.call("renew", keys, (owner, ttl_ms, self._active, self._generation))

    def release(self, owner: str) -> None:
        self._commits.close()
        self._client.call("release", (self._keys.lease,), (owner,))

    def position(self) -> Position:
        return unpack_position(self._client.run(*read_position(self._keys)))

    def skipped(self) -> dict[int, str]:
        answer = self._client.run("HGETALL", self._keys.skipped)
        return {int(offset): reason.decode() for offset, reason in answer.items()}

    def pending(self) -> NDArray[np.uint32]:
        return np.frombuffer(b"".join(self._client.run("LRANGE", self._keys.pending, 0, -1)), np.uint32)

    def users(self, user_ids: Sequence[bytes]) -> list[bytes | None]:
        return self._get([self._keys.user(user_id) for user_id in user_ids])

    def items(self, index: Sequence[int]) -> list[bytes | None]:
        return self._get([self._keys.item(at) for at in index])

    def texts(self, index: Sequence[int]) -> list[bytes | None]:
        return self._get([self._keys.text(at) for at in index])

    def _get(self, keys: Sequence[str | bytes]) -> list[bytes | None]:
        return [value for some in _chunks(keys) for value in self._client.run("MGET", *some)]

    def item_ids(self, start: int, count: int) -> list[str]:
        ids: list[str] = []
        for first, last in _spans(start, count):
            found = self._client.run("LRANGE", self._keys.ids, first, last)
            ids += [item_id.decode() for item_id in found]
            if len(found) <= last - first:
                break
        return ids

    def commit(self, commit: Commit) -> None:
        self._commits.commit(commit)

    def activate(self, epoch: int) -> bool:
        keys, before = self._keys, self._before
        names = (keys.active, keys.retired, keys.meta, keys.offset, before.meta, before.offset, before.feed, keys.live)
        args = (epoch, self._generation, self._active, self._feed_length)
        if not self._client.call("activate", names, args):
            return False
        self._active, self._commits.feed_length = self._generation, self._feed_length
        return True

    def reset(self, epoch: int, position: Position) -> None:
        """Deletes in bounded steps, each of them fenced. Broken off in the middle, the bundle reads RESETTING."""
        keys = self._keys
        self._commits.forget()
        names = (keys.meta, keys.offset, keys.ids, keys.feed, keys.pending)
        self._client.call("clear", names, (epoch, self._feed_length, RESETTING))
        for found in self._scan():
            self._client.call("drop", (keys.meta,), (epoch, *found))
        restart: list[Value] = [epoch, self._feed_length, *pack_position(position)]
        self._client.call("restart", (keys.meta, keys.offset, keys.feed), restart)

    def fullness(self) -> float:
        return self._client.fullness()

    def _scan(self) -> Iterator[list[bytes]]:
        return self._client.scan(self._keys.records_pattern, CHUNK, "TYPE", "string")

    def close(self) -> None:
        self._commits.close()
        self._client.close()


class RedisStateReader:
    """`StateReader`. generation: its number; client: to share connections."""

    def __init__(self, server: Server, generation: int = FIRST, client: AsyncClient | None = None) -> None:
        self._client = client or AsyncClient(server)
        self._keys = StateKeys(server.prefix, generation)
        self._profiles = ProfileKeys(server.prefix)
        self._generation = generation

    async def user(self, user_id: str) -> UserRead:
        (read,) = await self._read_users([user_id])
        return read

    async def users(self, user_ids: Sequence[str]) -> list[UserRead]:
        return [read for some in _chunks(user_ids) for read in await self._read_users(some)]

    async def _read_users(self, user_ids: Sequence[str]) -> list[UserRead]:
        keys, profiles = self._keys, self._profiles
        names = [
            name
            for user_id in user_ids
            for name in (keys.user(user_id.encode()), profiles.made(user_id), profiles.edits(user_id))
        ]
        *found, offset, active = await self._client.run("MGET", *names, keys.offset, keys.active)
        if offset is None and (number := int(active or FIRST)) != self._generation:
            raise StoreUnavailable(f"generation {self._generation} of the state is gone: {number} is active")
        triples = zip(found[::3], found[1::3], found[2::3], strict=True)
        return [UserRead(blob, int(offset or 0), made, edits) for blob, made, edits in triples]

    async def position(self) -> Position:
        return unpack_position(await self._client.run(*read_position(self._keys)))

    async def totals(self) -> Totals:
        counted = await self._client.run(*read_totals(self._keys))
        return unpack_totals(counted, await self._client.run("HLEN", self._keys.skipped))

    async def items(self, index: Sequence[int]) -> list[bytes | None]:
        return await self._get([self._keys.item(at) for at in index])

    async def item_ids(self, start: int, count: int) -> list[str]:
        ids: list[str] = []
        for first, last in _spans(start, count):
            found = await self._client.run("LRANGE", self._keys.ids, first, last)
            ids += [item_id.decode() for item_id in found]
            if len(found) <= last - first:
                break
        return ids

    async def documents(self, item_ids: Sequence[str]) -> list[bytes | None]:
        return await self._get([self._keys.document(item_id) for item_id in item_ids])

    async def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        return [value for some in _chunks(keys) for value in await self._client.run("MGET", *some)]

    async def aclose(self) -> None:
        await self._client.aclose()


def _chunks(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    return (keys[at : at + CHUNK] for at in range(0, len(keys), CHUNK))


def _spans(start: int, count: int) -> Iterator[tuple[int, int]]:
    """First and last place of each round trip's part of a list, both included."""
    end = start + count
    return ((at, min(at + CHUNK, end) - 1) for at in range(start, end, CHUNK))
