"""The event log as one stream of Redis/Valkey (`keys` has the layout, `functions.lua` the writes)."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import numpy as np

from model.process.records import Int
from service.adapters.keys import LogKeys, read_backlog, unpack_backlog, unpack_erasures
from service.adapters.redis_clients import MAX_BLOCK_MS, AsyncClient, Server, SyncClient, Value
from service.core.log_records import LogRecords
from service.core.types import Append, Appended, Backlog, Erasure
from service.errors import LogTrimmed

_NO_DIGEST = bytes(16)
_NO_TIME = -(2**63)
_FEWEST, _MOST = 4, 4_096  # entries of the stream in one answer


class RedisEventLog:
    """`EventLog`. Concurrent appends share a flush: the server flushes once for all that arrived during the last one.

    window: seconds for which a digest is remembered; digests: how many are, at most; max_lag: records that may wait to
    be applied.
    """

    def __init__(
        self, server: Server, window: int = 86_400, digests: int = 2_000_000, max_lag: int = 1_000_000
    ) -> None:
        self._client = AsyncClient(server)
        self._keys = LogKeys(server.prefix)
        self._append_keys = (self._keys.stream, self._keys.meta, self._keys.recent)
        self._limits: tuple[Value, ...] = (self._keys.dedupe, window, digests, max_lag)

    async def append(self, records: Sequence[Append]) -> list[Appended]:
        if not records:
            return []
        answer = await self._client.call("append", self._append_keys, [*self._limits, *_side_by_side(records)])
        return [Appended(abs(offset), offset < 0) for offset in answer]

    async def erase(self, erasure_id: str, marker: Append) -> Appended:
        keys = (*self._append_keys, self._keys.erasures, self._keys.erasure(erasure_id))
        args = [erasure_id, *self._limits, *_side_by_side([marker])]
        (offset,) = await self._client.call("erase", keys, args)
        return Appended(offset, duplicate=False)

    async def erasure(self, erasure_id: str) -> Erasure | None:
        found = unpack_erasures([erasure_id], [await self._client.run("GET", self._keys.erasure(erasure_id))])
        return found[0] if found else None

    async def pending_erasures(self) -> list[Erasure]:
        ids = [erasure_id.decode() for erasure_id in await self._client.run("SMEMBERS", self._keys.erasures)]
        return unpack_erasures(ids, [await self._client.run("GET", self._keys.erasure(i)) for i in ids])

    async def end(self) -> int:
        return int(await self._client.run("HGET", self._keys.meta, "offset") or 0)

    async def backlog(self) -> Backlog:
        return unpack_backlog(await self._client.run(*read_backlog(self._keys)))

    async def aclose(self) -> None:
        await self._client.aclose()


class RedisEventSource:
    """`EventSource`. One `read` waits at most `redis_clients.MAX_BLOCK_MS`.

    An entry of the stream holds the records of one append, 1 to some thousand: how many entries are asked for follows
    what they turned out to hold, and records beyond `count` are kept for the next read.
    """

    def __init__(self, server: Server) -> None:
        self._client = SyncClient(server, blocking=True)
        self._keys = LogKeys(server.prefix)
        self._entries = 16
        self._kept: LogRecords | None = None

    def log_id(self) -> str:
        self._client.run("HSETNX", self._keys.meta, "id", uuid4().hex)
        return bytes(self._client.run("HGET", self._keys.meta, "id")).decode()

    def read(self, after: int, count: int, block_ms: int) -> LogRecords:
        kept, self._kept = self._kept, None
        if kept is None or int(kept.offset[0]) != after + 1:
            kept = self._ask(after, count, block_ms)
        if not len(kept):
            self._check(after)
        elif int(kept.offset[0]) != after + 1:
            raise LogTrimmed(f"the log begins at offset {kept.offset[0]}, the record {after + 1} is gone")
        if len(kept) > count:
            self._kept = kept.part(count, len(kept))
        return kept.part(0, min(count, len(kept)))

    def _ask(self, after: int, count: int, block_ms: int) -> LogRecords:
        wait = ("BLOCK", min(block_ms, MAX_BLOCK_MS)) if block_ms > 0 else ()
        answer = self._client.run("XREAD", "COUNT", self._entries, *wait, "STREAMS", self._keys.stream, f"{after}-0")
        [(_, entries)] = answer or [(None, [])]
        records = LogRecords.join([_records(entry_id, fields) for entry_id, fields in entries]).after(after)
        if len(entries) == self._entries and len(records) < count:
            self._entries = min(_MOST, 2 * self._entries)
        elif len(records) > 2 * count:
            self._entries = max(_FEWEST, self._entries // 2)
        return records

    def _check(self, after: int) -> None:
        """Nothing follows `after`: because it is the end, or because it was trimmed away."""
        if self.end() > after and not self._client.run("XLEN", self._keys.stream):
            raise LogTrimmed(f"the log is empty, the record {after + 1} is gone")

    def end(self) -> int:
        return int(self._client.run("HGET", self._keys.meta, "offset") or 0)

    def report(self, applied: int, pressure: str) -> None:
        self._client.call("report", (self._keys.meta,), (applied, pressure))

    def fullness(self) -> float:
        return self._client.fullness()

    def erased(self) -> int:
        return int(self._client.run("HGET", self._keys.meta, "erased") or 0)

    def refresh(self) -> None:
        self._kept = None

    def close(self) -> None:
        self._client.close()


def _side_by_side(records: Sequence[Append]) -> tuple[bytes, bytes, bytes, bytes]:
    """Digests, timestamps, lengths and payloads as the server-side function takes them."""
    times = [_NO_TIME if record.timestamp is None else record.timestamp for record in records]
    return (
        b"".join(record.dedupe or _NO_DIGEST for record in records),
        np.array(times, "<i8").tobytes(),
        np.array([len(record.payload) for record in records], "<u4").tobytes(),
        b"".join(record.payload for record in records),
    )


def _records(entry_id: bytes, fields: dict[bytes, bytes]) -> LogRecords:
    last = int(entry_id.partition(b"-")[0])
    timestamps: Int = np.frombuffer(fields[b"t"], "<i8").astype(np.int64)
    ends = np.cumsum(np.frombuffer(fields[b"l"], "<u4"), dtype=np.int64)
    return LogRecords(np.arange(last - len(timestamps) + 1, last + 1), timestamps, ends, fields[b"p"])
