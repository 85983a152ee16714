"""Erasures in the log of Redis/Valkey (`keys` has the layout, `functions.lua` the writes).

An entry of a stream cannot be edited, and one that is deleted leaves its bytes in memory and in the files until its
neighbours are gone, too. So the log is copied beside itself, and the copy takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from service.adapters.keys import LogKeys, unpack_erasures
from service.adapters.redis_clients import CommandRefused, Server, SyncClient, Value
from service.adapters.redis_keeper import RedisLogKeeper, RedisSnapshots
from service.adapters.redis_log import RedisEventSource
from service.core.log_records import LogRecords
from service.core.types import Erasure
from service.errors import StoreUnavailable

CHUNK = 2_000
"""Records copied in one step, so that no single step holds up the appends."""
DIGESTS = 100
"""Digests forgotten in one step: each is looked for in the list of recent ones."""
_ENTRY = 1_000  # records in one entry of the copy at most
_REMEMBERED = 90 * 86_400  # seconds


class RedisErasures:
    """`Erasures`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client = SyncClient(server)
        self._keys = LogKeys(server.prefix)

    def pending(self) -> list[Erasure]:
        ids = [erasure_id.decode() for erasure_id in self._client.run("SMEMBERS", self._keys.erasures)]
        return unpack_erasures(ids, [self._client.run("GET", self._keys.erasure(erasure_id)) for erasure_id in ids])

    def oldest_digest(self) -> int:
        oldest = self._client.run("LINDEX", self._keys.recent, 0)
        newest = self._client.run("HGET", self._keys.meta, "offset")
        return int(newest or 0) + 1 if oldest is None else int(oldest.partition(b":")[0])

    def forget(self, epoch: int, digests: Sequence[tuple[int, bytes]]) -> None:
        for at in range(0, len(digests), DIGESTS):
            flat = [part for digest in digests[at : at + DIGESTS] for part in digest]
            self._client.call("forget", (self._keys.meta, self._keys.recent), (epoch, self._keys.dedupe, *flat))

    def rewrite(self, epoch: int, change: Callable[[LogRecords], LogRecords], erased: int) -> None:
        """Raises StoreUnavailable, too, when the server has no room for a second log."""
        self._check_room()
        source, keeper = RedisEventSource(self._server), RedisLogKeeper(self._server)
        try:
            copied = self._copy(epoch, change, source, keeper.begin() - 1, erased)
            names = (self._keys.meta, self._keys.stream, self._keys.copy, f"{self._keys.copy}:old")
            self._client.call("swap", names, (epoch, copied, erased))
        except BaseException:
            self._client.run("UNLINK", self._keys.copy)
            raise
        finally:
            source.close()
            keeper.close()

    def _copy(
        self, epoch: int, change: Callable[[LogRecords], LogRecords], source: RedisEventSource, after: int, erased: int
    ) -> int:
        """Copies what follows `after`, but for a rest that the server can copy in one step; the last offset copied."""
        copied = 0
        while len(records := source.read(after, CHUNK, 0)):
            after = int(records.offset[-1])
            entries = [part for entry in _entries(change(records)) for part in entry]
            self._client.call("copy", (self._keys.meta, self._keys.copy), (epoch, copied, *entries))
            copied = after
            if len(records) < CHUNK and after >= erased and source.end() - after < CHUNK:
                break  # fewer than asked for: this was the end of an entry
        return copied

    def _check_room(self) -> None:
        """Appends must not be refused because of the copy."""
        memory = self._client.run("INFO", "memory")
        size = int(self._client.run("MEMORY", "USAGE", self._keys.stream) or 0)
        limit = int(memory["maxmemory"])
        if limit and int(memory["used_memory"]) + size > 0.9 * limit:
            raise StoreUnavailable(
                f"{self._server.name} has no room for a copy of the log ({size} bytes), without which users cannot be "
                "erased from it: give it more maxmemory, or let an archive keep the log short"
            )

    def complete(self, epoch: int, erasure_ids: Sequence[str]) -> None:
        names = [self._keys.meta, self._keys.erasures, *(self._keys.erasure(i) for i in erasure_ids)]
        self._client.call("complete", names, (epoch, _REMEMBERED, *erasure_ids))

    def close(self) -> None:
        self._client.close()


class RedisFiles(RedisSnapshots):
    """`Snapshots` whose files hold nothing but what the server holds; nor do its lists of slow and large commands."""

    def begin(self) -> None:
        self._client.run("SLOWLOG", "RESET")
        with suppress(CommandRefused):  # only Valkey keeps such lists, from 8.1 on
            for kind in ("large-request", "large-reply"):
                self._client.run("COMMANDLOG", "RESET", kind)
        super().begin()


def _entries(records: LogRecords) -> list[tuple[Value, ...]]:
    """Last offset, timestamps, lengths and payloads of each entry."""
    parts = [records.part(at, min(at + _ENTRY, len(records))) for at in range(0, len(records), _ENTRY)]
    return [
        (
            int(part.offset[-1]),
            part.timestamp.astype("<i8").tobytes(),
            np.diff(part.ends, prepend=0).astype("<u4").tobytes(),
            part.data,
        )
        for part in parts
    ]
