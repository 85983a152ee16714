"""A world with profiles: log, state and profiles in memory, a profiler beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from service.adapters.extractive_profiler import ExtractiveProfiler
from service.adapters.in_memory_profiles import InMemoryProfiles
from service.adapters.in_memory_reading import InMemoryActiveState
from service.core.profiles import StoredProfile
from service.core.types import ItemChange
from service.profile_path import Breaker, Feeder, Limits, Refreshing, Rules, Working
from service.profile_ports import History
from tests.paths.world import BUNDLE, World
from tests.profiles.words import WordEmbedder

START = 1_700_000_000
HOUR = 3_600


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Scripted:
    """A profiler that says, or raises, what it is told to, and the extractive one's answer otherwise."""

    source: str = "chat"
    model: str = "small"
    prompt: str = "1"
    raising: list[Exception] = field(default_factory=list)
    asked: list[History] = field(default_factory=list)

    async def describe(self, history: History) -> Mapping[str, Sequence[str]]:
        self.asked.append(history)
        if self.raising:
            raise self.raising.pop(0)
        return await ExtractiveProfiler().describe(history)


class Profiled:
    """A world, and what makes its profiles. `work` feeds the queue and refreshes until nobody is due."""

    def __init__(self, rules: Rules = Rules(drift=0.0)) -> None:  # noqa: B008 - frozen; a toy memory turns with every event
        self.world = World()
        self.clock = Clock()
        self.profiles: InMemoryProfiles = self.world.state.profiles
        self.profiles.clock = self.clock
        self.profiler = Scripted()
        state = InMemoryActiveState(self.world.generations, self.world.model.spec)
        self.refreshing = Refreshing(
            state, self.profiles, self.profiles, self.profiler, WordEmbedder(), self.world.model.spec, BUNDLE, rules,
            Limits(nearness=0.1), self.clock,
        )  # fmt: skip
        self.feeder = Feeder(self.world.source, lambda: 1, self.refreshing, "tests", self.clock)
        breaker = Breaker(self.clock, chance=lambda: 0.0)
        self.working = Working(self.refreshing, self.feeder, 1, 60.0, 0.01, breaker, self.clock)

    def put(self, item_id: str, title: str, **more: str) -> None:
        document: dict[str, Any] = {"item_id": item_id, "title": title, **more}
        self.world.put([ItemChange(item_id, to_json(document))])

    def post(self, user: str, *items: str, at: int = START) -> None:
        self.world.post([(user, item, at + place) for place, item in enumerate(items)])

    async def feed(self) -> None:
        while await self.feeder.turn():
            pass

    async def work(self) -> None:
        await self.feed()
        while claims := await self.profiles.claim(10, 60):
            for claim in claims:
                await self.working._refresh(claim)

    async def profile(self, user: str) -> StoredProfile:
        [stored] = await self.profiles.read([user])
        return stored


def shop() -> Profiled:
    """With three items."""
    found = Profiled()
    found.put("shoe", "Trail running shoe", category="shoes", brand="Kestrel")
    found.put("vest", "Trail running vest", category="apparel", brand="Kestrel")
    found.put("tea", "Green tea", category="food")
    return found
