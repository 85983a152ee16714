"""The profiler without a language model."""

from __future__ import annotations

import pytest

from service.adapters.extractive_profiler import ExtractiveProfiler
from service.profile_ports import History
from tests.profiles.histories import RUNNER, history, item

pytestmark = pytest.mark.anyio


async def test_categories_and_brands_stand_in_order_of_weight() -> None:
    found = await ExtractiveProfiler().describe(RUNNER)
    assert found["brand"] == ["Kestrel", "Wren"]
    assert found["category"] == ["shoes", "apparel"]
    old = History((item("a b c", "tea", age=90), item("d e f", "tea", age=90), item("g h i", "coffee")))
    assert (await ExtractiveProfiler().describe(old))["category"] == ["coffee", "tea"]


async def test_terms_that_titles_share_come_first() -> None:
    found = await ExtractiveProfiler().describe(RUNNER)
    assert found["interest"][:2] == ["running", "trail running"]
    chinese = await ExtractiveProfiler().describe(history("山地越野跑鞋", "越野背包", "儿童绘本"))
    assert chinese["interest"][0] == "越野"


async def test_no_crowd_is_invented() -> None:
    assert (await ExtractiveProfiler().describe(RUNNER))["crowd"] == []


async def test_one_history_gives_one_answer() -> None:
    first, second = [await ExtractiveProfiler().describe(RUNNER) for _ in range(2)]
    assert first == second
