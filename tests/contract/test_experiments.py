"""The contract of experiments: what they are is kept, and what comes of them is summed by variant, day and bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from service.adapters.in_memory_experiments import InMemoryExperiments
from service.adapters.in_memory_impressions import InMemoryImpressions
from service.adapters.redis_clients import Server
from service.adapters.redis_experiments import RedisExperiments
from service.adapters.redis_impressions import RedisImpressions
from service.core.experiments import BUCKETS, Experiment, Exposure, Variant, bucket_of, draw
from service.core.impressions import Impression
from service.embedded import EmbeddedValkey
from service.ports import Experiments, Impressions
from tests.contract.conftest import TIMEOUT

pytestmark = pytest.mark.anyio

TRIAL = Experiment("trial", (Variant("a", "v1", 0.25), Variant("b", "v2", 0.75)), started=100)


@dataclass
class Kept:
    experiments: Experiments
    impressions: Impressions


@pytest.fixture(params=["in_memory", "valkey"])
async def kept(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Kept]:
    if request.param == "in_memory":
        impressions = InMemoryImpressions(100, 60)
        yield Kept(InMemoryExperiments(impressions), impressions)
        return
    valkey: EmbeddedValkey = request.getfixturevalue("valkey")
    server = Server(valkey.state_url, prefix, TIMEOUT)
    experiments, shown = RedisExperiments(server), RedisImpressions(server, 100, 60)
    yield Kept(experiments, shown)
    await experiments.aclose()
    await shown.aclose()


async def test_experiments_are_kept_as_they_were_put_oldest_first(kept: Kept) -> None:
    newer = replace(TRIAL, id="another", started=200)
    for one in (newer, TRIAL, replace(newer, ended=300)):
        await kept.experiments.put(one)
    assert await kept.experiments.all() == [TRIAL, replace(newer, ended=300)]


async def test_lists_are_summed_by_day_and_bucket_and_users_counted_once(kept: Kept) -> None:
    lists = [
        Exposure("a", 0, 3, 7, False, 5, ("x", "y")),
        Exposure("a", 0, 3, 7, True, 900, ("x",)),
        Exposure("a", 1, 4, 8, False, 5, ("z",)),
        Exposure("b", 1, 5, 9, False, 1),
    ]
    await kept.experiments.shown(TRIAL, lists)
    counted = await kept.experiments.counted(TRIAL, 2)
    a, b = counted["a"], counted["b"]
    assert (a.sums["lists"][0, 3], a.sums["lists"][1, 4], a.sums["lists"].sum()) == (2, 1, 3)
    assert (a.users, a.fallbacks, a.covered, b.users, b.covered) == (2, 1, 3, 1, 0)
    assert (dict(a.latencies), dict(b.latencies)) == ({3: 2, 10: 1}, {0: 1})
    assert (await kept.experiments.counted(TRIAL, 1))["b"].sums["lists"].sum() == 0


async def test_an_event_counts_for_the_variant_that_showed_the_list_it_names_and_once(kept: Kept) -> None:
    shown = Impression("r1", 100, ("x",), "model", "v2", experiment="trial", variant="b", bucket=11)
    await kept.impressions.store([shown, replace(shown, request_id="r2", experiment="older")])
    named = [
        ("r1", "clicks", 0),
        ("r1", "clicks", 0),
        ("r1", "conversions", 1),
        ("r2", "clicks", 0),
        ("r3", "clicks", 0),
    ]
    assert await kept.experiments.credited(TRIAL, named) == 2
    sums = (await kept.experiments.counted(TRIAL, 2))["b"].sums
    assert (sums["clicks"][0, 11], sums["conversions"][1, 11]) == (1, 1)
    assert (sums["clicks"].sum(), sums["conversions"].sum()) == (1, 1)


async def test_users_are_drawn_in_the_shares_that_were_asked_for_and_stay_where_they_are() -> None:
    drawn = [draw(TRIAL, f"user-{n}").name for n in range(20_000)]
    assert drawn.count("b") / len(drawn) == pytest.approx(0.75, abs=0.012)  # four standard errors
    assert drawn == [draw(TRIAL, f"user-{n}").name for n in range(20_000)]
    other = [draw(replace(TRIAL, id="other"), f"user-{n}").name for n in range(20_000)]
    both = sum(one == two == "b" for one, two in zip(drawn, other, strict=True))
    assert both / len(drawn) == pytest.approx(0.75**2, abs=0.014)  # one experiment does not tell of another
    buckets = [bucket_of(TRIAL, f"user-{n}")[0] for n in range(20_000)]
    of_b = [bucket for bucket, name in zip(buckets, drawn, strict=True) if name == "b"]
    assert len(set(of_b)) == BUCKETS
