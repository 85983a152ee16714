"""Connections to Redis/Valkey, sync and asyncio: bounded, with explicit timeouts, without retries.

Functions are loaded when the server does not know them. Their names hold a digest of their source, so this covers the
first start, a server that lost them and a new release alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from service.adapters.keys import function_name, library
from service.errors import BackPressure, ConfigurationError, Fenced, LeaseHeld, StoreFull, StoreUnavailable

MAX_BLOCK_MS = 500
"""Longest wait in one blocking read: it adds to the time in which a stopped server is noticed."""

Value: TypeAlias = str | bytes | int


@dataclass(frozen=True, slots=True)
class Server:
    """One Redis/Valkey as an adapter uses it.

    url: redis://, rediss:// or unix://; prefix: starts every key; timeout: seconds to wait for a connection, to get
    one from the pool, and for an answer; max_connections: of one adapter.
    """

    url: str
    prefix: str = "peregrine"
    timeout: float = 0.25
    max_connections: int = 32

    @property
    def name(self) -> str:
        """The URL without its secrets, for messages."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class CommandRefused(StoreUnavailable):
    """The server answered a command with an error: it does not know it, does not allow it, or cannot do it now."""


class FunctionMissing(CommandRefused):
    """The server does not know our functions (yet, or any more)."""


class SyncClient:
    """Commands to one server, one at a time per thread. blocking: for reads that wait up to MAX_BLOCK_MS."""

    def __init__(self, server: Server, blocking: bool = False) -> None:
        self._server = server
        with _checked(server):
            pool = redis.BlockingConnectionPool.from_url(server.url, **_options(server, blocking))
        self._redis: Any = redis.Redis.from_pool(pool)  # its commands are partly untyped

    def run(self, *command: Value) -> Any:
        """The command's answer. Raises StoreUnavailable, or what one of our functions refused with."""
        with _translated(self._server.name):
            return self._redis.execute_command(*command)

    def call(self, name: str, keys: Sequence[str], args: Sequence[Value]) -> Any:
        """Calls one of our server-side functions."""
        command = _call(name, keys, args)
        try:
            return self.run(*command)
        except FunctionMissing:
            with _loading():
                self.run("FUNCTION", "LOAD", library())
            return self.run(*command)

    def scan(self, pattern: str, count: int, *options: Value) -> Iterator[list[bytes]]:
        """Names of the keys that match, about `count` at a time."""
        cursor = 0
        while True:
            cursor, found = self.run("SCAN", cursor, "MATCH", pattern, "COUNT", count, *options)
            if found:
                yield found
            if cursor == 0:
                return

    def connection(self) -> Any:
        """One connection of the pool, for commands that belong together; to be given back."""
        return self._redis.connection_pool.get_connection()

    def give_back(self, connection: Any) -> None:
        self._redis.connection_pool.release(connection)

    def translated(self) -> AbstractContextManager[None]:
        """Turns foreign errors into ours."""
        return _translated(self._server.name)

    def fullness(self) -> float:
        """Share of the server's memory limit that is taken; 0.0 without a limit."""
        return fullness(self.run("INFO", "memory"))

    def close(self) -> None:
        self._redis.close()


class AsyncClient:
    """Commands to one server. blocking: for reads that wait up to MAX_BLOCK_MS."""

    def __init__(self, server: Server, blocking: bool = False) -> None:
        self._server = server
        with _checked(server):
            pool = redis.asyncio.BlockingConnectionPool.from_url(server.url, **_options(server, blocking))
        self._redis: Any = redis.asyncio.Redis.from_pool(pool)

    async def run(self, *command: Value) -> Any:
        """The command's answer. Raises StoreUnavailable, or what one of our functions refused with."""
        with _translated(self._server.name):
            return await self._redis.execute_command(*command)

    async def call(self, name: str, keys: Sequence[str], args: Sequence[Value]) -> Any:
        """Calls one of our server-side functions."""
        command = _call(name, keys, args)
        try:
            return await self.run(*command)
        except FunctionMissing:
            with _loading():
                await self.run("FUNCTION", "LOAD", library())
            return await self.run(*command)

    async def aclose(self) -> None:
        await self._redis.aclose()


def fullness(info: Mapping[str, Any]) -> float:
    """The same from what INFO answered. Buffers that the server leaves out of its limit are left out here, too."""
    if not info["maxmemory"]:
        return 0.0
    return float((info["used_memory"] - info["mem_not_counted_for_evict"]) / info["maxmemory"])


def check_server(server: Server) -> None:
    """Raises ConfigurationError for a server that cannot keep our promises, StoreUnavailable for none at all."""
    client = SyncClient(server)
    try:
        info = client.run("INFO")
    finally:
        client.close()
    if int(str(info["redis_version"]).split(".")[0]) < 7:
        raise ConfigurationError(f"{server.name} is Redis {info['redis_version']}: 7.0 or later, or Valkey, is needed")
    if info.get("cluster_enabled"):
        raise ConfigurationError(f"{server.name} is a Redis Cluster: commits span keys and need one primary")
    if (policy := info["maxmemory_policy"]) != "noeviction":
        raise ConfigurationError(
            f"{server.name} has maxmemory-policy {policy}, so keys would vanish one by one: `redis-cli config set "
            "maxmemory-policy noeviction` sets it now, `maxmemory-policy noeviction` in its configuration for good"
        )


def _options(server: Server, blocking: bool) -> dict[str, Any]:
    wait = MAX_BLOCK_MS / 1000 if blocking else 0.0
    # TLS 1.3 sends tickets after the handshake. Unread, they look like a late answer, and redis-py gives the connection
    # up; the answer to a first command comes behind them.
    first = {"client_name": "peregrine"} if server.url.startswith("rediss://") else {}
    return first | {
        "protocol": 2,  # saves the handshake of a new connection
        "driver_info": None,
        "retry": None,
        "socket_timeout": server.timeout + wait,
        "socket_connect_timeout": server.timeout,
        "timeout": server.timeout,
        "max_connections": server.max_connections,
    }


def _call(name: str, keys: Sequence[str], args: Sequence[Value]) -> list[Value]:
    return ["FCALL", function_name(name), len(keys), *keys, *args]


@contextmanager
def _checked(server: Server) -> Iterator[None]:
    try:
        yield
    except ValueError as exc:
        raise ConfigurationError(f"{server.name}: not a URL of a Redis or Valkey") from exc


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Foreign errors into ours; `FENCED ...` and the like come from our functions."""
    try:
        yield
    except OutOfMemoryError as exc:
        raise StoreFull(f"{name}: {exc}") from exc
    except ResponseError as exc:
        code, _, message = str(exc).partition(" ")
        if code == "FENCED":
            raise Fenced(message) from exc
        if code == "LEASEHELD":
            raise LeaseHeld(f"{message} leads") from exc
        if code == "BACKPRESSURE":
            lag, limit, pressure = message.split(" ", 2)
            raise BackPressure(int(lag), int(limit), pressure) from exc
        if str(exc) == "Function not found":
            raise FunctionMissing(f"{name}: {exc}") from exc
        raise CommandRefused(f"{name}: {exc}") from exc
    except (RedisError, OSError) as exc:
        raise StoreUnavailable(f"{name}: {exc or type(exc).__name__}") from exc


@contextmanager
def _loading() -> Iterator[None]:
    """Another process may have loaded the same library a moment before."""
    try:
        yield
    except StoreUnavailable as exc:
        if "already exists" not in str(exc):
            raise
