"""The event log as one stream of Redis/Valkey (`keys` has the layout, `functions.lua` the writes)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from uuid import uuid4

from service.adapters.keys import LogKeys
from service.adapters.redis_clients import MAX_BLOCK_MS, AsyncClient, Server, SyncClient, Value
from service.core.types import Append, Appended, LogEntry


class RedisEventLog:
    """`EventLog`. Concurrent appends share a flush: the server flushes once for all that arrived during the last one.

    window: seconds for which a digest is remembered; digests: how many are, at most.
    """

    def __init__(self, server: Server, window: int = 86_400, digests: int = 2_000_000) -> None:
        self._client = AsyncClient(server)
        self._keys = LogKeys(server.prefix)
        self._dedupe: tuple[Value, ...] = (self._keys.dedupe, window, digests)

    async def append(self, records: Sequence[Append]) -> list[Appended]:
        if not records:
            return []
        keys = (self._keys.stream, self._keys.meta, self._keys.recent)
        fields = chain.from_iterable(
            (record.dedupe, "" if record.timestamp is None else record.timestamp, record.payload) for record in records
        )
        answer = await self._client.call("append", keys, [*self._dedupe, *fields])
        return [Appended(offset, bool(known)) for offset, known in zip(answer[::2], answer[1::2], strict=True)]

    async def end(self) -> int:
        return int(await self._client.run("HGET", self._keys.meta, "offset") or 0)

    async def aclose(self) -> None:
        await self._client.aclose()


class RedisEventSource:
    """`EventSource`. One `read` waits at most `redis_clients.MAX_BLOCK_MS`."""

    def __init__(self, server: Server) -> None:
        self._client = SyncClient(server, blocking=True)
        self._keys = LogKeys(server.prefix)

    def log_id(self) -> str:
        self._client.run("HSETNX", self._keys.meta, "id", uuid4().hex)
        return bytes(self._client.run("HGET", self._keys.meta, "id")).decode()

    def read(self, after: int, count: int, block_ms: int) -> list[LogEntry]:
        wait = ("BLOCK", min(block_ms, MAX_BLOCK_MS)) if block_ms > 0 else ()
        answer = self._client.run("XREAD", "COUNT", count, *wait, "STREAMS", self._keys.stream, f"{after}-0")
        return [
            LogEntry(int(entry_id.partition(b"-")[0]), int(fields[b"t"]), fields[b"p"])
            for _, entries in answer or ()
            for entry_id, fields in entries
        ]

    def end(self) -> int:
        return int(self._client.run("HGET", self._keys.meta, "offset") or 0)

    def close(self) -> None:
        self._client.close()
