"""Experiments in Redis/Valkey: what they are, and what was counted (`experiments.lua` has the writes)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from service.adapters.keys import ExperimentKeys, ImpressionKeys
from service.adapters.redis_clients import AsyncClient, Server, Value
from service.core.experiments import DAY, Counted, Experiment, Exposure, pack_experiment, summed, unpack_experiment

KEPT_SECONDS = 400 * DAY
"""What was counted outlives the experiment for so long."""


class RedisExperiments:
    """`Experiments`."""

    def __init__(self, server: Server) -> None:
        self._client = AsyncClient(server)
        self._keys = ExperimentKeys(server.prefix)
        self._shown = ImpressionKeys(server.prefix)

    async def all(self) -> list[Experiment]:
        found = await self._client.run("HVALS", self._keys.all)
        return sorted((unpack_experiment(packed) for packed in found), key=lambda one: (one.started, one.id))

    async def put(self, experiment: Experiment) -> None:
        await self._client.run("HSET", self._keys.all, experiment.id, pack_experiment(experiment))

    async def shown(self, experiment: Experiment, exposures: Sequence[Exposure]) -> None:
        args: list[Value] = [KEPT_SECONDS]
        items = defaultdict[str, list[str]](list)
        for one in exposures:
            power = max(0, one.milliseconds - 1).bit_length()
            args += (one.variant, one.day, one.bucket, one.place, int(one.fallback), power)
            items[one.variant] += one.items
        keys = self._keys
        await self._client.call("experiment_shown", (keys.counts(experiment.id), keys.users(experiment.id)), args)
        for variant, shown in items.items():
            if shown:
                await self._client.run("PFADD", keys.covered(experiment.id, variant), *shown)
                await self._client.run("EXPIRE", keys.covered(experiment.id, variant), KEPT_SECONDS)

    async def credited(self, experiment: Experiment, events: Sequence[tuple[str, str, int]]) -> int:
        args: list[Value] = [self._shown.own, experiment.id]
        args += [part for event in events for part in event]
        return int(await self._client.call("experiment_credited", (self._keys.counts(experiment.id),), args))

    async def counted(self, experiment: Experiment, days: int) -> dict[str, Counted]:
        found = await self._client.run("HGETALL", self._keys.counts(experiment.id))
        sums = defaultdict[str, list[tuple[int, int, str, int]]](list)
        totals, latencies = defaultdict[tuple[str, str], int](int), defaultdict[str, dict[int, int]](dict)
        for name, value in found.items():
            variant, what, *rest = name.decode().split(" ")
            if what == "latency":
                latencies[variant][int(rest[0])] = int(value)
            elif rest:
                sums[variant].append((int(rest[0]), int(rest[1]), what, int(value)))
            else:
                totals[variant, what] = int(value)
        counted = {}
        for variant in experiment.variants:
            name = variant.name
            covered = int(await self._client.run("PFCOUNT", self._keys.covered(experiment.id, name)))
            users, fallbacks = totals[name, "users"], totals[name, "fallbacks"]
            counted[name] = Counted(summed(sums[name], days), users, fallbacks, latencies[name], covered)
        return counted

    async def aclose(self) -> None:
        await self._client.aclose()
