"""The record of live models in Redis/Valkey (`keys` has the layout, `live_models.lua` the writes)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import astuple, replace

from pydantic_core import from_json, to_json

from service.adapters.keys import FIRST, StateKeys
from service.adapters.redis_clients import Server, SyncClient
from service.core.live_models import Live, LiveModel, pack_live, unpack_live
from service.core.side_by_side import NOTHING, SideBySide

SILENT_SECONDS = 5.0
"""A replica that has not reported for so long is not waited for."""
_FORGOTTEN_SECONDS = 600.0


class RedisLiveModels:
    """`LiveModels`. feed_length: entries of an item feed that are kept; client: to share connections."""

    def __init__(self, server: Server, feed_length: int = 2_000, client: SyncClient | None = None) -> None:
        self._client = client or SyncClient(server)
        self._prefix = server.prefix
        self._keys = StateKeys(server.prefix)
        self._feed_length = feed_length

    def live(self) -> Live:
        active, before = self._client.run("MGET", self._keys.active, self._keys.before)
        found = self._client.run("HGETALL", self._keys.live)
        models = sorted((unpack_live(int(n), packed) for n, packed in found.items()), key=lambda m: m.generation)
        return Live(int(active or FIRST), None if before is None else int(before), tuple(models))

    def begin(self, model: LiveModel, serving: LiveModel) -> LiveModel:
        keys = self._keys
        args = (keys.generations, model.bundle, pack_live(model), pack_live(serving))
        number = self._client.call("live_begin", (keys.active, keys.live, keys.retired), args)
        return replace(model, generation=int(number))

    def note(self, model: LiveModel) -> None:
        self._client.call("live_note", (self._keys.live,), (model.generation, pack_live(model)))

    def switch(self, generation: int) -> bool:
        active = int(self._client.run("GET", self._keys.active) or FIRST)
        new, old = StateKeys(self._prefix, generation), StateKeys(self._prefix, active)
        names = (new.active, new.live, new.before, new.offset, old.offset)
        return bool(self._client.call("live_switch", names, (generation, active)))

    def end(self, generation: int) -> bool:
        keys = StateKeys(self._prefix, generation)
        names = (keys.active, keys.live, keys.retired, keys.before, keys.meta, keys.feed)
        return bool(self._client.call("live_end", names, (generation, self._feed_length)))

    def report(self, replica: str, ready: Collection[int], beside: Mapping[int, SideBySide] = NOTHING) -> None:
        value = " ".join(map(str, (self._now(), *sorted(ready))))
        if beside:
            self._client.run(
                "HSET", self._keys.beside, replica, to_json({n: astuple(one) for n, one in beside.items()})
            )
        self._client.run("HSET", self._keys.replicas, replica, value)

    def withdraw(self, replica: str) -> None:
        for key in (self._keys.replicas, self._keys.beside):
            self._client.run("HDEL", key, replica)

    def replicas(self) -> dict[str, frozenset[int]]:
        found, now = self._client.run("HGETALL", self._keys.replicas), self._now()
        reports = {name: [int(part) for part in value.split()] for name, value in found.items()}
        silent = {name: now - numbers[0] for name, numbers in reports.items()}
        for name in [name for name, since in silent.items() if since > 1_000 * _FORGOTTEN_SECONDS]:
            self.withdraw(name.decode())
        return {
            name.decode(): frozenset(numbers[1:])
            for name, numbers in reports.items()
            if silent[name] <= 1_000 * SILENT_SECONDS
        }

    def beside(self, generation: int) -> dict[str, SideBySide]:
        found = {
            name.decode(): from_json(value) for name, value in self._client.run("HGETALL", self._keys.beside).items()
        }
        return {name: SideBySide(*by[str(generation)]) for name, by in found.items() if str(generation) in by}

    def fullness(self) -> float:
        return self._client.fullness()

    def _now(self) -> int:
        """Milliseconds by the server's clock, which all replicas share."""
        seconds, microseconds = self._client.run("TIME")
        return int(seconds) * 1_000 + int(microseconds) // 1_000

    def close(self) -> None:
        self._client.close()
