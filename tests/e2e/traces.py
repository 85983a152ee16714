"""Looks for an id everywhere: keys and values of both servers, files as they are and as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from pyarrow import parquet

from service.processes.all_in_one import Stack


def in_stores(stack: Stack, wanted: str) -> set[str]:
    """Where the two servers hold it: `<server>:<type>` of keys and values, and lists of slow commands."""
    found = set()
    for name, url in zip(("log", "state"), stack.settings.stores(), strict=True):
        with redis.Redis.from_url(url) as client:
            found |= {f"{name}:{kind}" for kind, content in _contents(client) if wanted.encode() in content}
    return found


def _contents(client: Any) -> Iterator[tuple[str, bytes]]:
    read = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": client.hgetall,
        b"stream": client.xrange,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
    }
    for key in client.scan_iter(count=1_000):
        kind = client.type(key)
        yield "key", key
        yield kind.decode(), b"".join(_bytes_of(read[kind](key)))
    yield "slow", b"".join(_bytes_of(client.slowlog_get(1_000)))


def _bytes_of(value: Any) -> Iterator[bytes]:
    """All bytes in a nested answer."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _bytes_of(list(pair))
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from _bytes_of(part)


def in_files(folder: Path, wanted: str) -> set[str]:
    """Files under `folder` that hold it, by their kind."""
    return {_kind(path) for path in folder.rglob("*") if path.is_file() and wanted.encode() in _readable(path)}


def _kind(path: Path) -> str:
    return f"{path.parent.parent.name}/{path.suffix}" if path.parent.name == "appendonlydir" else path.suffix


def _readable(path: Path) -> bytes:
    """A file's bytes; of Parquet, also what its columns hold."""
    try:
        content = path.read_bytes()
        if path.suffix != ".parquet":
            return content
        columns = parquet.read_table(path).columns
    except FileNotFoundError:  # a server has replaced it meanwhile
        return b""
    return content + b"".join(_bytes_of([_encoded(value) for column in columns for value in column.to_pylist()]))


def _encoded(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value
