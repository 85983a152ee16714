"""What the keeper does to the servers: it trims the log (`functions.lua`) and has them copy what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service.adapters.keys import LogKeys
from service.adapters.redis_clients import CommandRefused, Server, SyncClient
from service.errors import SnapshotFailed

STEP = 50_000
"""Records taken out of the log at once, so that no single step holds up the appends."""


class RedisLogKeeper:
    """`LogKeeper`. An entry of the stream, which holds the records of one append, goes whole or not at all."""

    def __init__(self, server: Server) -> None:
        self._client = SyncClient(server)
        self._keys = LogKeys(server.prefix)

    def acquire(self, owner: str, ttl_ms: int) -> int:
        return int(self._client.call("acquire", (self._keys.keeper, self._keys.meta), (owner, ttl_ms)))

    def renew(self, owner: str, ttl_ms: int) -> None:
        self._client.call("renew", (self._keys.keeper,), (owner, ttl_ms))

    def release(self, owner: str) -> None:
        self._client.call("release", (self._keys.keeper,), (owner,))

    def begin(self) -> int:
        [*oldest] = self._client.run("XRANGE", self._keys.stream, "-", "+", "COUNT", 1)
        if not oldest:
            return int(self._client.run("HGET", self._keys.meta, "offset") or 0) + 1
        [(entry_id, fields)] = oldest
        return int(entry_id.partition(b"-")[0]) - len(fields[b"t"]) // 8 + 1

    def trim(self, epoch: int, upto: int) -> None:
        for step in [*range(self.begin() + STEP, upto, STEP), upto]:
            self._client.call("trim", (self._keys.stream, self._keys.meta), (epoch, step))

    def close(self) -> None:
        self._client.close()


@dataclass(frozen=True)
class _Kind:
    """A command, and the fields of INFO that tell of it. under_way: are set until it has ended."""

    command: str
    under_way: tuple[str, ...]
    status: str


_AOF = _Kind("BGREWRITEAOF", ("aof_rewrite_in_progress", "aof_rewrite_scheduled"), "aof_last_bgrewrite_status")
_RDB = _Kind("BGSAVE", ("rdb_bgsave_in_progress",), "rdb_last_bgsave_status")


class RedisSnapshots:
    """`Snapshots`: a rewrite of the append-only file, or an RDB file where there is none.

    Either is started here and seen to end well, on the same run of the server. One that is under way already began
    earlier, so it does not count: the server refuses to start another, and the caller tries again.
    """

    def __init__(self, server: Server) -> None:
        self._client = SyncClient(server)
        self._name = server.name
        self._run = ""
        self._kind = _RDB

    def begin(self) -> None:
        info = self._client.run("INFO")
        self._run, self._kind = info["run_id"], _AOF if info["aof_enabled"] else _RDB
        try:
            self._client.run(self._kind.command)
        except CommandRefused as exc:
            raise SnapshotFailed(f"{self._kind.command} at {exc}") from exc

    def ended(self) -> bool:
        info: dict[str, Any] = self._client.run("INFO")
        if info["run_id"] != self._run:
            raise SnapshotFailed(f"{self._name} was started again meanwhile")
        if any(info.get(field) for field in self._kind.under_way):
            return False
        if info[self._kind.status] != "ok":
            raise SnapshotFailed(f"{self._name} says {self._kind.status}:{info[self._kind.status]}; see its log")
        return True

    def close(self) -> None:
        self._client.close()
