"""A profiler reads the memory of the active model: when another one takes over, it begins again with that one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.adapters.in_memory import InMemoryGenerations, InMemoryState
from service.adapters.in_memory_live import InMemoryLiveModels
from service.core.live_models import LiveModel
from service.processes import profiler as module
from service.wiring_profiles import ProfilerServices

pytestmark = pytest.mark.anyio


class Working:
    """Works until it is stopped."""

    def __init__(self, bundle: str) -> None:
        self.stop = asyncio.Event()
        self.refreshing = SimpleNamespace(bundle=bundle)

    async def run(self) -> None:
        await self.stop.wait()


async def test_it_stops_for_another_model_and_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.005)
    models, closed = InMemoryLiveModels(InMemoryGenerations(InMemoryState())), []

    async def close() -> None:
        closed.append(True)

    working: Any = Working("old")
    running = asyncio.create_task(module.run(ProfilerServices(working, close, models)))
    await asyncio.sleep(0.05)
    models.begin(LiveModel(0, "v2", "new", "ready"), LiveModel(0, "v1", "old", "ready"))
    await asyncio.sleep(0.05)
    assert not running.done()
    assert models.switch(2)
    assert await asyncio.wait_for(running, 10.0)
    assert closed == [True]
    other: Any = Working("new")
    running = asyncio.create_task(module.run(ProfilerServices(other, close, models)))
    await asyncio.sleep(0.05)
    cast("asyncio.Event", other.stop).set()
    assert not await asyncio.wait_for(running, 10.0)
