"""What users and items take in the store, against the bytes packed: records of a plain shape, written as commits do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import redis

from model.process.batch import Users
from model.process.records import PAIR, Records, layout
from model.spec import FORMAT, ModelSpec
from service.adapters.redis_clients import Server
from service.adapters.redis_state import RedisStateStore
from service.commands import terminal
from service.core.blobs import pack_items, pack_users
from service.core.types import Commit, Position
from service.embedded import EmbeddedValkey

DIMS = (64, 128, 256)
PAIRS = 20
"""Distinct items of a user, on average: 1 to 39, evenly."""
_STEP = 5_000


def measure(folder: Path, entities: int) -> dict[str, Any]:
    """Bytes per user and per item at `entities` of each, for each width. The first width's also at the top."""
    by_dim = {dim: _measure(folder / str(dim), entities, dim) for dim in DIMS}
    first = by_dim[DIMS[0]]
    return {
        "entities": entities,
        "bytes_per_user": first["user"]["bytes"],
        "bytes_per_item": first["item"]["bytes"],
        "memory": {f"d={dim}": found for dim, found in by_dim.items()},
    }


def _measure(folder: Path, entities: int, dim: int) -> dict[str, Any]:
    spec, rng = ModelSpec(dim=dim, time_dim=32, neighbours=20), np.random.default_rng(0)
    with EmbeddedValkey(folder) as valkey, redis.Redis.from_url(valkey.state_url) as raw:
        raw.config_set("appendonly", "no")  # memory is measured, not the disk
        store = RedisStateStore(Server(valkey.state_url, timeout=60.0))
        fill = _Filling(store, raw)
        users = fill.run(f"users, d = {dim}", entities, lambda at: _users(spec, rng, at))
        items = fill.run(f"items, d = {dim}", entities, lambda at: _items(spec, rng, at))
        store.close()
    return {"user": users, "item": items}


class _Filling:
    """Commits records and looks at the server's memory before and after."""

    def __init__(self, store: RedisStateStore, raw: redis.Redis) -> None:
        self._store, self._raw = store, raw
        self._epoch = store.acquire("bench", 3_600_000)
        self._offset = 0

    def run(self, what: str, entities: int, make: Callable[[range], Commit]) -> dict[str, float]:
        """Bytes of the server and bytes packed (key and record), each per entity, and how much the first is above."""
        before, packed = self._used(), 0
        with terminal.progress("") as bar:
            task = bar.add_task(what, total=entities)
            for start in range(0, entities, _STEP):
                commit = make(range(start, min(start + _STEP, entities)))
                packed += sum(len(blob) for blob in (*commit.users.values(), *commit.items.values()))
                self._offset += 1
                self._store.commit(
                    replace(commit, epoch=self._epoch, previous=self._offset - 1, position=Position(self._offset))
                )
                bar.advance(task, min(_STEP, entities - start))
        used = self._used() - before
        return {
            "bytes": round(used / entities, 1),
            "packed": round(packed / entities, 1),
            "overhead": round(used / packed - 1, 3),
        }

    def _used(self) -> int:
        return int(self._raw.info("memory")["used_memory"])


def _users(spec: ModelSpec, rng: np.random.Generator, at: range) -> Commit:
    counts = rng.integers(1, 2 * PAIRS, size=len(at))
    starts = np.concatenate([[0], np.cumsum(counts)])
    users = Users(_noise(layout(spec).user, len(at), rng), _noise(PAIR, int(starts[-1]), rng), starts)
    users.rows["version"] = FORMAT
    return Commit(0, 0, Position(), users=dict(zip((b"user-%07d" % n for n in at), pack_users(users), strict=True)))


def _items(spec: ModelSpec, rng: np.random.Generator, at: range) -> Commit:
    rows = _noise(layout(spec).item, len(at), rng)
    return Commit(0, 0, Position(), items=dict(zip(at, pack_items(rows), strict=True)))


def _noise(dtype: np.dtype[np.void], count: int, rng: np.random.Generator) -> Records:
    return np.frombuffer(bytearray(rng.bytes(count * dtype.itemsize)), dtype=dtype)
