"""The record of live models inside one process."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from service.adapters.in_memory import InMemoryGenerations
from service.core.live_models import Live, LiveModel
from service.core.side_by_side import NOTHING, SideBySide
from service.errors import Fenced, LeaseHeld


class InMemoryLiveModels:
    """`LiveModels`. Replicas that report are never silent."""

    def __init__(self, generations: InMemoryGenerations) -> None:
        self._generations = generations
        self._replicas: dict[str, frozenset[int]] = {}
        self._beside: dict[str, dict[int, SideBySide]] = {}

    def live(self) -> Live:
        generations = self._generations
        with generations.active.lock:
            models = tuple(model for _, (_, model) in sorted(generations.live.items()))
            return Live(generations.active.number, generations.before, models)

    def begin(self, model: LiveModel, serving: LiveModel) -> LiveModel:
        generations = self._generations
        with generations.active.lock:
            if self.live().of(model.bundle):
                raise Fenced("this bundle is live already")
            left = generations.upcoming
            if left is not None and left.holder() is not None:
                raise LeaseHeld(f"{left.holder()} leads")
            active = generations.active
            numbers = (active.number, *generations.live, *(state.number for state, _ in generations.retired))
            model = replace(model, generation=1 + max(numbers))
            state = generations.blank(model.generation) if left is None else left
            state.number, generations.upcoming = model.generation, None
            generations.live.setdefault(active.number, (active, replace(serving, generation=active.number)))
            generations.live[model.generation] = (state, model)
        return model

    def note(self, model: LiveModel) -> None:
        live = self._generations.live
        with self._generations.active.lock:
            if model.generation not in live:
                raise Fenced(f"generation {model.generation} is not live any more")
            live[model.generation] = (live[model.generation][0], model)

    def switch(self, generation: int) -> bool:
        generations = self._generations
        with (active := generations.active).lock:
            if active.number == generation:
                return True
            if generation not in generations.live:
                raise Fenced(f"generation {generation} is not live any more")
            state = generations.live[generation][0]
            if state.position.offset < active.position.offset:
                return False
            generations.before, generations.active = active.number, state
        return True

    def end(self, generation: int) -> bool:
        generations = self._generations
        with generations.active.lock:
            if generation == generations.active.number:
                raise Fenced(f"generation {generation} is active: switch to another one before")
            if generation not in generations.live:
                return False
            state, _ = generations.live.pop(generation)
            generations.before = None if generations.before == generation else generations.before
            generations.retire(state)
        return True

    def report(self, replica: str, ready: Collection[int], beside: Mapping[int, SideBySide] = NOTHING) -> None:
        self._replicas[replica], self._beside[replica] = frozenset(ready), dict(beside)

    def withdraw(self, replica: str) -> None:
        self._replicas.pop(replica, None)
        self._beside.pop(replica, None)

    def replicas(self) -> dict[str, frozenset[int]]:
        return dict(self._replicas)

    def beside(self, generation: int) -> dict[str, SideBySide]:
        return {name: found[generation] for name, found in self._beside.items() if generation in found}

    def fullness(self) -> float:
        return self._generations.active.fullness
