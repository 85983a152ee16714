"""The contract of what was shown, run on every adapter."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from service.adapters.in_memory_impressions import InMemoryImpressions
from service.adapters.redis_clients import Server
from service.adapters.redis_impressions import RedisImpressions
from service.core.impressions import Impression, Outcome, Shown
from service.embedded import EmbeddedValkey
from service.ports import Impressions
from tests.contract.conftest import TIMEOUT, ManualClock

pytestmark = pytest.mark.anyio

MOST, SECONDS = 5, 2


@dataclass
class Kept:
    """sleep: lets seconds pass."""

    impressions: Impressions
    sleep: Callable[[float], None]


@pytest.fixture(params=["in_memory", "valkey"])
async def kept(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Kept]:
    if request.param == "in_memory":
        clock = ManualClock()

        def sleep(seconds: float) -> None:
            clock.now += seconds

        yield Kept(InMemoryImpressions(MOST, SECONDS, clock), sleep)
        return
    valkey: EmbeddedValkey = request.getfixturevalue("valkey")
    store = RedisImpressions(Server(valkey.state_url, prefix, TIMEOUT), MOST, SECONDS)
    yield Kept(store, time.sleep)
    await store.aclose()


def shown(request_id: str, *items: str) -> Impression:
    return Impression(request_id, 1_700_000_000, items, "model", "toy-1", 21, items[:1], items[1:2])


async def test_what_was_shown_is_told_with_the_events_that_named_it(kept: Kept) -> None:
    one, other = shown("r 1", "shoe 42", "ä"), shown("r2")
    await kept.impressions.store([one, other])
    named = [Outcome("r 1", "click", "shoe 42")] * 2 + [Outcome("r 1", "purchase", "boot"), Outcome("r2", "view", "x")]
    assert await kept.impressions.credit(named) == 4
    counts = {("click", "shoe 42"): 2, ("purchase", "boot"): 1}
    assert await kept.impressions.read("r 1") == Shown(one, counts)
    assert await kept.impressions.read("r2") == Shown(other, {("view", "x"): 1})


async def test_an_event_that_names_no_known_request_counts_for_none(kept: Kept) -> None:
    assert await kept.impressions.credit([Outcome("r", "click", "a")]) == 0
    await kept.impressions.store([shown("r", "a")])
    assert await kept.impressions.read("r") == Shown(shown("r", "a"), {})
    assert await kept.impressions.read("other") is None


async def test_only_the_newest_are_kept(kept: Kept) -> None:
    await kept.impressions.store([shown(f"r{n}", "a") for n in range(MOST)])
    assert await kept.impressions.credit([Outcome("r0", "click", "a"), Outcome("r1", "click", "a")]) == 2
    await kept.impressions.store([shown("new", "a"), shown("new", "b")])
    assert await kept.impressions.read("r0") is None
    assert (await kept.impressions.read("new")) == Shown(shown("new", "b"), {})
    assert (await kept.impressions.read("r1")) == Shown(shown("r1", "a"), {("click", "a"): 1})
    assert await kept.impressions.credit([Outcome("r0", "click", "a")]) == 0


async def test_what_was_shown_goes_after_its_time_with_what_came_of_it(kept: Kept) -> None:
    await kept.impressions.store([shown("r", "a")])
    assert await kept.impressions.credit([Outcome("r", "click", "a")]) == 1
    kept.sleep(SECONDS + 0.2)
    assert await kept.impressions.read("r") is None
    assert await kept.impressions.credit([Outcome("r", "click", "a")]) == 0
    await kept.impressions.store([shown("r", "b")])
    assert await kept.impressions.read("r") == Shown(shown("r", "b"), {})
