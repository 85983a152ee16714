"""Work that is shared: everybody gets the answer to their own question, and nobody another's trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from service.lists.together import MOST, Together
from service.request_path import Recommendation, Request, Serving, recommend
from tests.paths.stage import ITEMS, Stage

pytestmark = pytest.mark.anyio


async def test_who_asks_in_one_turn_is_answered_by_one_call_and_later_ones_by_the_next() -> None:
    calls: list[list[int]] = []

    async def double(some: Sequence[int]) -> list[int]:
        calls.append(list(some))
        await asyncio.sleep(0.01)
        return [2 * one for one in some]

    together = Together(double)
    first = [asyncio.create_task(together.ask(n)) for n in range(3)]
    await asyncio.sleep(0.005)
    later = [asyncio.create_task(together.ask(n)) for n in range(3, 3 + MOST + 1)]
    assert await asyncio.gather(*first, *later) == [2 * n for n in range(3 + MOST + 1)]
    assert [len(call) for call in calls] == [3, MOST, 1]


async def test_who_was_answered_goes_on_before_the_next_call_so_that_what_comes_of_it_is_in_it() -> None:
    calls: list[list[int]] = []

    async def same(some: Sequence[int]) -> Sequence[int]:
        calls.append(list(some))
        await asyncio.sleep(0.01)
        return some

    together = Together(same)

    async def ask_twice() -> None:
        await together.ask(1)
        await together.ask(3)

    first = asyncio.create_task(ask_twice())
    await asyncio.sleep(0.005)
    await asyncio.gather(first, together.ask(2))
    assert calls == [[1], [2, 3]]


async def test_one_that_fails_and_one_that_goes_away_cost_the_others_nothing() -> None:
    async def invert(some: Sequence[int]) -> list[float]:
        return [1 / one for one in some]

    together = Together(invert)
    tasks = [asyncio.create_task(together.ask(n)) for n in (1, 0, 2, 4)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert (found[0], found[3]) == (1.0, 0.25)
    assert isinstance(found[1], ZeroDivisionError)
    assert isinstance(found[2], asyncio.CancelledError)


def test_lists_that_are_asked_for_at_once_are_those_that_are_asked_for_one_by_one(stage: Stage) -> None:
    users = ["user-0", "user-1", "stranger", None, "user-2", "user-0", "user-3"]
    requests = [Request(user, k=30, exclude_seen=n % 2 == 0, explain=True) for n, user in enumerate(users)]

    async def at_once(serving: Serving) -> list[Recommendation]:
        return await asyncio.gather(*(recommend(request, serving) for request in requests))

    together = stage.run(at_once)
    for request, found in zip(requests, together, strict=True):
        alone = stage.ask(request)
        assert found.item_ids == alone.item_ids
        assert found.scores == pytest.approx(alone.scores, abs=1e-5)  # rows that are alone round otherwise
        assert (found.events_seen, found.offset, len(found.reasons)) == (
            alone.events_seen, alone.offset, len(alone.reasons),
        )  # fmt: skip
    assert {item for found in together for item in found.item_ids} <= set(ITEMS)
