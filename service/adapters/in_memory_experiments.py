"""Experiments inside one process."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from service.adapters.in_memory_impressions import InMemoryImpressions
from service.core.experiments import Counted, Experiment, Exposure, summed


class InMemoryExperiments:
    """`Experiments`. impressions: that events name."""

    def __init__(self, impressions: InMemoryImpressions) -> None:
        self._impressions = impressions
        self._all: dict[str, Experiment] = {}
        self._lists = defaultdict[tuple[str, str], list[Exposure]](list)
        self._events = defaultdict[tuple[str, str], list[tuple[int, int, str, int]]](list)
        self._users = defaultdict[str, set[int]](set)
        self._new = Counter[tuple[str, str]]()
        self._credited: set[tuple[str, str]] = set()

    async def all(self) -> list[Experiment]:
        return sorted(self._all.values(), key=lambda one: (one.started, one.id))

    async def put(self, experiment: Experiment) -> None:
        self._all[experiment.id] = experiment

    async def shown(self, experiment: Experiment, exposures: Sequence[Exposure]) -> None:
        for one in exposures:
            self._lists[experiment.id, one.variant].append(one)
            if one.place not in self._users[experiment.id]:
                self._users[experiment.id].add(one.place)
                self._new[experiment.id, one.variant] += 1

    async def credited(self, experiment: Experiment, events: Sequence[tuple[str, str, int]]) -> int:
        counted = 0
        for request_id, what, day in events:
            found = await self._impressions.read(request_id)
            if found is None or found.impression.experiment != experiment.id:
                continue
            if (request_id, what) not in self._credited:
                self._credited.add((request_id, what))
                shown = found.impression
                self._events[experiment.id, shown.variant].append((day, shown.bucket, what, 1))
                counted += 1
        return counted

    async def counted(self, experiment: Experiment, days: int) -> dict[str, Counted]:
        found = {}
        for variant in experiment.variants:
            key = (experiment.id, variant.name)
            lists = self._lists[key]
            fields = [(one.day, one.bucket, "lists", 1) for one in lists] + self._events[key]
            powers = Counter(max(0, one.milliseconds - 1).bit_length() for one in lists)
            items = {item for one in lists for item in one.items}
            fallbacks = sum(one.fallback for one in lists)
            found[variant.name] = Counted(summed(fields, days), self._new[key], fallbacks, powers, len(items))
        return found
