"""Attribution never stands in the way: a store that is slow or dead costs what was to be kept, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from service.adapters.in_memory_impressions import InMemoryImpressions
from service.attribution import MOST_WAITING, Attribution
from service.core.impressions import Impression, Outcome
from service.errors import StoreUnavailable

pytestmark = pytest.mark.anyio


def shown(request_id: str) -> Impression:
    return Impression(request_id, 0, ("a",), "model", "toy")


class DeadStore(InMemoryImpressions):
    async def store(self, shown: Sequence[Impression]) -> None:
        raise StoreUnavailable("gone")


async def test_what_is_noted_is_in_the_store_when_the_service_has_stopped() -> None:
    store = InMemoryImpressions(1_000, 60)
    attribution = Attribution(store)
    async with attribution.flushing():
        for n in range(500):
            attribution.note(shown(f"r{n}"))
        attribution.credit(Outcome("r499", "click", "a"))
        attribution.credit(Outcome("unknown", "click", "a"))
    assert len(store.shown) == 500
    assert attribution.counts == {"shown": 500, "credited": 1}


async def test_more_than_may_wait_is_dropped_and_counted() -> None:
    attribution = Attribution(InMemoryImpressions(10**6, 60))
    for n in range(MOST_WAITING + 3):
        attribution.note(shown(f"r{n}"))
    assert attribution.counts == {"dropped": 3}


async def test_a_dead_store_costs_what_was_to_be_kept() -> None:
    attribution = Attribution(DeadStore(10, 60))
    async with attribution.flushing():
        attribution.note(shown("r1"))
        while not attribution.counts["dropped"]:
            await asyncio.sleep(0.01)
        attribution.note(shown("r2"))
    assert attribution.counts == {"dropped": 2}


async def test_without_a_store_nothing_waits() -> None:
    attribution = Attribution(None)
    async with attribution.flushing():
        attribution.note(shown("r1"))
    assert not attribution.counts
