"""What profilers count for /metrics."""

from __future__ import annotations

import pytest

from service.errors import AnswerRejected, BudgetSpent
from service.profile_path.working import FIRST_DELAY
from tests.profiles.world import HOUR, START, shop

pytestmark = pytest.mark.anyio


async def test_what_becomes_of_users_is_counted() -> None:
    place = shop()
    counts = place.refreshing.counts
    place.post("ann", "shoe", "vest", "tea")
    place.profiler.raising = [AnswerRejected("no")]
    await place.work()
    assert (counts["rejected"], counts["met"], counts["met_described"]) == (1, 1, 0)
    place.clock.now += FIRST_DELAY
    await place.work()
    assert counts["described"] == 1
    place.clock.now += 7 * HOUR
    place.post("ann", *["tea"] * 5, at=START + 100)
    place.profiler.raising = [BudgetSpent("none left")]
    await place.work()
    assert (counts["budget"], counts["met"], counts["met_described"], counts["met_age"]) == (1, 2, 1, 7 * HOUR)
    await place.working._count()
    assert await place.profiles.counted() == {
        "rejected": 1, "described": 1, "budget": 1, "met": 2, "met_described": 1, "met_age": 7 * HOUR,
    }  # fmt: skip
    assert not counts
