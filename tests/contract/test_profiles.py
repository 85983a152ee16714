"""The contract of profiles and their queue, run on every adapter."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from service.adapters.in_memory_profiles import InMemoryProfileEraser, InMemoryProfiles, InMemoryTokenBudget
from service.adapters.redis_clients import Server
from service.adapters.redis_profiles import DAY, RedisProfileEraser, RedisProfiles, RedisTokenBudget
from service.core.profiles import Maker, Origin, Profile, StoredProfile
from service.embedded import EmbeddedValkey
from service.errors import BudgetSpent
from service.profile_ports import DeadLetter, Due, ProfileEraser, Reason, TokenBudget, Waiting
from tests.contract.conftest import TIMEOUT, ManualClock

pytestmark = pytest.mark.anyio

MAKER = Maker("chat", "small", "1", "toy")
LETTER = DeadLetter("gave up", 1_700_000_000)


def profile(*interests: str, **origin: Any) -> Profile:
    facets = {"crowd": (), "interest": interests, "category": ("shoes",), "brand": ()}
    vectors = np.arange(16, dtype=np.float32).reshape(4, 4) / 16
    vectors[2] = 0.0
    made = Origin(MAKER, "weights", 7, 5, ("a", "b"), "hash", 1_700_000_000)
    return Profile(facets, facets, vectors, np.array([0.5, -0.25], np.float32), replace(made, **origin))


@dataclass
class Sides:
    """All sides of one deployment's profiles. sleep: lets seconds pass."""

    profiles: InMemoryProfiles | RedisProfiles
    eraser: ProfileEraser
    budget: TokenBudget
    sleep: Callable[[float], None]


@pytest.fixture(params=["in_memory", "valkey"])
async def sides(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Sides]:
    if request.param == "in_memory":
        clock = ManualClock()

        def sleep(seconds: float) -> None:
            clock.now += seconds

        profiles = InMemoryProfiles(clock)
        yield Sides(profiles, InMemoryProfileEraser(profiles), InMemoryTokenBudget(100, clock), sleep)
        return
    valkey: EmbeddedValkey = request.getfixturevalue("valkey")
    server = Server(valkey.state_url, prefix, TIMEOUT)
    store, eraser, budget = RedisProfiles(server), RedisProfileEraser(server), RedisTokenBudget(server, 100)
    yield Sides(store, eraser, budget, time.sleep)
    eraser.close()
    for each in (store, budget):
        await each.aclose()


async def claim_all(sides: Sides) -> list[str]:
    return [claim.user_id for claim in await sides.profiles.claim(100, 60)]


async def test_a_profile_is_read_as_it_was_stored(sides: Sides) -> None:
    stored = profile("跑步", "trail running")
    await sides.profiles.add([Due("ann", Reason.MISSING)])
    [claim] = await sides.profiles.claim(5, 60)
    assert (claim.user_id, claim.reason, claim.tries) == ("ann", Reason.MISSING, 1)
    assert await sides.profiles.finish(claim, stored)
    found, nobody = await sides.profiles.read(["ann", "bob"])
    assert nobody == StoredProfile()
    assert found.profile is not None
    assert (found.profile.facets, found.profile.origin) == (stored.facets, stored.origin)
    np.testing.assert_array_equal(found.profile.vectors, stored.vectors)  # sixteenths: exact in half precision
    np.testing.assert_array_equal(found.profile.memory, stored.memory)
    assert [user_id async for some in sides.profiles.user_ids() for user_id in some] == ["ann"]
    assert await sides.profiles.waiting() == Waiting(0, 0, 0, 0)


async def test_what_a_person_changed_stays_over_refreshes(sides: Sides) -> None:
    await sides.profiles.edit("ann", {"interest": ("chess",), "brand": ()})
    [claim] = await sides.profiles.claim(1, 60)
    assert claim.reason is Reason.ASKED
    await sides.profiles.finish(claim, profile("running"))
    [found] = await sides.profiles.read(["ann"])
    assert found.facets == {"crowd": (), "interest": ("chess",), "category": ("shoes",), "brand": ()}
    assert not found.is_embedded  # the vectors are those of "running"
    await sides.profiles.edit("ann", {})
    [found] = await sides.profiles.read(["ann"])
    assert found.facets["interest"] == ("running",)
    assert found.is_embedded


async def test_the_lowest_reason_comes_first_and_then_who_waits_longest(sides: Sides) -> None:
    for user, reason in (
        ("old", Reason.OUTDATED), ("grown", Reason.GROWN), ("new", Reason.MISSING), ("later-new", Reason.MISSING),
        ("asked", Reason.ASKED), ("moved", Reason.MOVED),
    ):  # fmt: skip
        await sides.profiles.add([Due(user, reason)])
        sides.sleep(0.002)
    await sides.profiles.add([Due("grown", Reason.OUTDATED), Due("old", Reason.MISSING)])
    assert await claim_all(sides) == ["asked", "new", "later-new", "old", "moved", "grown"]


async def test_a_claimed_user_is_nobody_elses_until_the_lease_ends(sides: Sides) -> None:
    await sides.profiles.add([Due("ann", Reason.GROWN)])
    [first] = await sides.profiles.claim(1, 0.05)
    await sides.profiles.add([Due("ann", Reason.MISSING)])
    assert await claim_all(sides) == []
    sides.sleep(0.1)
    [second] = await sides.profiles.claim(1, 60)
    assert (second.user_id, second.tries) == ("ann", 2)
    assert not await sides.profiles.finish(first, profile("late"))
    await sides.profiles.drop(first)
    assert await sides.profiles.finish(second, profile("in time"))
    [found] = await sides.profiles.read(["ann"])
    assert found.facets["interest"] == ("in time",)


async def test_whoever_asks_ends_a_claim_and_a_pause(sides: Sides) -> None:
    await sides.profiles.add([Due("ann", Reason.GROWN), Due("bob", Reason.GROWN, time.time() + 1_000)])
    [claim] = await sides.profiles.claim(5, 60)
    await sides.profiles.add([Due("ann", Reason.ASKED), Due("bob", Reason.ASKED)])
    assert not await sides.profiles.finish(claim, profile("before"))
    assert sorted(await claim_all(sides)) == ["ann", "bob"]


async def test_a_user_who_is_put_off_comes_back_and_is_not_hurried_by_events(sides: Sides) -> None:
    await sides.profiles.add([Due("ann", Reason.MISSING), Due("bob", Reason.MISSING)])
    ann, bob = await sides.profiles.claim(2, 60)
    await sides.profiles.put_off(ann, 0.05, counted=True)
    await sides.profiles.put_off(bob, 0.05, counted=False)
    await sides.profiles.add([Due("ann", Reason.MISSING)])
    assert await claim_all(sides) == []
    assert (await sides.profiles.waiting()).later == 2
    sides.sleep(0.1)
    tries = {claim.user_id: claim.tries for claim in await sides.profiles.claim(5, 60)}
    assert tries == {"ann": 2, "bob": 1}


async def test_a_dead_letter_stays_until_there_is_a_profile(sides: Sides) -> None:
    await sides.profiles.add([Due("ann", Reason.MISSING)])
    [claim] = await sides.profiles.claim(1, 60)
    await sides.profiles.bury(claim, LETTER)
    assert await sides.profiles.dead(["ann", "bob"]) == [LETTER, None]
    assert await sides.profiles.waiting() == Waiting(0, 0, 0, 1)
    await sides.profiles.add([Due("ann", Reason.GROWN)])
    [claim] = await sides.profiles.claim(1, 60)
    assert claim.tries == 1
    await sides.profiles.finish(claim, profile("again"))
    assert await sides.profiles.dead(["ann"]) == [None]


@pytest.mark.parametrize("by_keeper", [False, True])
async def test_a_forgotten_user_is_nowhere_and_their_claim_ends(sides: Sides, by_keeper: bool) -> None:
    users = ["made", "dead", "claimed", "later", "due"]
    await sides.profiles.add([Due(user, Reason.MISSING) for user in users[:2]])
    for claim in await sides.profiles.claim(2, 60):
        if claim.user_id == "made":
            await sides.profiles.finish(claim, profile("x"))
        else:
            await sides.profiles.bury(claim, LETTER)
    await sides.profiles.edit("made", {"interest": ()})
    await sides.profiles.drop((await sides.profiles.claim(1, 60))[0])
    await sides.profiles.add([Due("claimed", Reason.MISSING)])
    [claim] = await sides.profiles.claim(1, 60)
    await sides.profiles.add([Due("later", Reason.GROWN, time.time() + 1_000), Due("due", Reason.GROWN)])
    assert await sides.profiles.waiting() == Waiting(1, 1, 1, 1)
    if by_keeper:
        sides.eraser.forget(users)
    else:
        await sides.profiles.forget(users)
    assert await sides.profiles.waiting() == Waiting(0, 0, 0, 0)
    assert await sides.profiles.read(users) == [StoredProfile()] * 5
    assert not await sides.profiles.finish(claim, profile("too late"))
    assert await sides.profiles.read(["claimed"]) == [StoredProfile()]


async def test_one_feeds_the_queue_at_a_time(sides: Sides) -> None:
    assert await sides.profiles.cursor() == ("", 0)
    await sides.profiles.move("log-1", 17)
    assert await sides.profiles.cursor() == ("log-1", 17)
    assert await sides.profiles.lead("first", 60)
    assert await sides.profiles.lead("first", 60)
    assert not await sides.profiles.lead("second", 60)
    sides.sleep(0.1)
    assert await sides.profiles.lead("second", 60_000)
    await sides.profiles.leave("first")
    assert not await sides.profiles.lead("first", 60)
    await sides.profiles.leave("second")
    assert await sides.profiles.lead("first", 60)


async def test_tokens_are_set_aside_before_they_are_spent(sides: Sides) -> None:
    day = await sides.budget.reserve(60)
    assert day == int(time.time()) // DAY
    with pytest.raises(BudgetSpent, match="100 tokens"):
        await sides.budget.reserve(41)
    await sides.budget.settle(day, 20)
    assert await sides.budget.spent() == 40
    await sides.budget.reserve(41)
    assert await sides.budget.spent() == 81
    with pytest.raises(BudgetSpent):
        await sides.budget.reserve(20)


async def test_what_all_workers_count_is_added_up(sides: Sides) -> None:
    assert await sides.profiles.counted() == {}
    await sides.profiles.count({"described": 3, "kept": 1})
    await sides.profiles.count({})
    await sides.profiles.count({"described": 2})
    assert await sides.profiles.counted() == {"described": 5, "kept": 1}


async def test_vectors_of_another_embedder_are_kept_beside_and_replace_only_what_was_read(sides: Sides) -> None:
    await sides.profiles.add([Due("ann", Reason.MISSING)])
    [claim] = await sides.profiles.claim(5, 60)
    await sides.profiles.finish(claim, profile("trail running"))
    [found] = await sides.profiles.read(["ann"])
    assert found.profile is not None
    other = np.zeros((4, 2), np.float32)
    other[3] = 0.5
    more = replace(found.profile, also={"other": other})
    assert not await sides.profiles.replace("ann", more, found.profile)
    assert await sides.profiles.replace("ann", found.profile, more)
    assert not await sides.profiles.replace("bob", found.profile, more)
    [after] = await sides.profiles.read(["ann"])
    assert after.profile is not None
    np.testing.assert_array_equal(after.profile.vectors_of("other"), other)
    np.testing.assert_array_equal(after.profile.vectors_of("toy"), found.profile.vectors)
    np.testing.assert_array_equal(after.profile.memory, found.profile.memory)
    assert after.profile.origin == found.profile.origin
