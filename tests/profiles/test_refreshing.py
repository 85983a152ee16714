"""Who is due, what they are described from, and what becomes of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.profiles import StoredProfile
from service.core.types import Erase, Switch
from service.errors import AnswerRejected, BudgetSpent, EndpointRefused, EndpointUnavailable
from service.profile_path.history import ItemIds
from service.profile_path.working import BUDGET_PAUSE, FIRST_DELAY, MOST_TRIES, REFUSED_PAUSE
from service.profile_ports import Due, Reason, Waiting
from service.serving_ports import StateReader
from tests.profiles.world import HOUR, START, Profiled, shop

pytestmark = pytest.mark.anyio
NOBODY = Waiting(0, 0, 0, 0)


async def test_a_user_with_enough_events_is_described_from_what_they_had() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    place.post("bob", "shoe", "vest")
    await place.work()
    stored = await place.profile("ann")
    assert stored.profile is not None
    assert stored.facets["brand"] == ("Kestrel",)
    assert stored.facets["category"] == ("food", "apparel", "shoes")
    assert "trail running" in stored.facets["interest"]
    origin = stored.profile.origin
    assert (origin.items, origin.events, origin.made_at) == (("tea", "vest", "shoe"), 3, START)
    assert (origin.maker.source, origin.maker.embedder, origin.bundle) == ("chat", "words", "toy")
    assert origin.offset == place.world.writer.position.offset
    assert [item.type for item in place.profiler.asked[0].items] == ["purchase"] * 3
    assert [bool(row.any()) for row in stored.profile.vectors] == [False, True, True, True]
    assert await place.profile("bob") == StoredProfile()
    assert await place.profiles.waiting() == NOBODY


async def test_new_events_count_only_when_they_are_enough_and_the_profile_is_old() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    await place.work()
    place.clock.now += 7 * HOUR
    place.post("ann", *["tea"] * 4, at=START + 100)
    await place.work()
    assert len(place.profiler.asked) == 1
    place.post("ann", "tea", at=START + 200)
    await place.work()
    assert len(place.profiler.asked) == 2
    place.post("ann", *["shoe"] * 6, at=START + 300)
    await place.work()
    assert len(place.profiler.asked) == 2  # too young
    assert (await place.profiles.waiting()).later == 1
    place.clock.now += 6 * HOUR
    await place.work()
    assert len(place.profiler.asked) == 3


async def test_a_memory_that_has_moved_does_not_wait_for_its_time() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    await place.work()
    stored = (await place.profile("ann")).profile
    assert stored is not None
    place.profiles.queued["ann"] = (Reason.ASKED, 0.0)
    [claim] = await place.profiles.claim(1, 60)
    await place.profiles.finish(claim, replace(stored, memory=-stored.memory))
    place.clock.now += HOUR
    place.post("ann", "tea", at=START + 100)
    await place.feed()
    assert place.profiles.queued["ann"][0] is Reason.MOVED
    await place.work()
    assert len(place.profiler.asked) == 2


async def test_the_same_input_is_not_asked_about_twice() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    await place.work()
    place.clock.now += 60
    await place.profiles.add([Due("ann", Reason.ASKED)])
    await place.work()
    stored = await place.profile("ann")
    assert stored.profile is not None
    assert (len(place.profiler.asked), stored.profile.origin.made_at) == (1, START + 60)


async def test_another_maker_makes_profiles_anew_after_everybody_else() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    await place.work()
    place.profiler.prompt = "2"
    assert await place.feeder.look_for_outdated() == 1
    assert place.profiles.queued["ann"][0] is Reason.OUTDATED
    place.post("new", "shoe", "vest", "tea")
    await place.work()
    assert [len(history.items) for history in place.profiler.asked] == [3, 3, 3]
    assert [user for user, blob in place.profiles.made.items()] == ["ann", "new"]
    assert await place.feeder.look_for_outdated() == 0


async def test_what_was_changed_is_embedded_and_stays_over_refreshes() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    await place.work()
    await place.profiles.edit("ann", {"interest": ("chess",), "brand": ()})
    changed = await place.profile("ann")
    assert changed.profile is not None
    inputs = changed.inputs("words", 256)
    assert inputs is not None
    assert [bool(row.any()) for row in inputs[0]] == [False, False, True, False]  # neither old interest nor brand
    await place.work()
    assert len(place.profiler.asked) == 1
    place.clock.now += 7 * HOUR
    place.post("ann", *["vest"] * 5, at=START + 100)
    await place.work()
    assert len(place.profiler.asked) == 2
    stored = await place.profile("ann")
    assert (stored.facets["interest"], stored.facets["brand"]) == (("chess",), ())
    assert stored.profile is not None
    np.testing.assert_allclose(stored.profile.vectors[1], place.refreshing.embedder.embed(["chess"])[0], atol=3e-4)


async def test_vectors_of_another_embedder_or_width_are_not_used() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    await place.work()
    stored = await place.profile("ann")
    assert stored.inputs("words", 256) is not None
    assert stored.inputs("others", 256) is None
    assert stored.inputs("words", 128) is None
    assert stored.inputs(None, 256) is None


async def test_a_user_of_items_without_texts_gets_an_empty_profile_and_nobody_is_asked() -> None:
    place = Profiled()
    place.post("ann", "x", "y", "z")
    await place.work()
    stored = await place.profile("ann")
    assert stored.profile is not None
    assert not any(stored.facets.values())
    assert place.profiler.asked == []


async def test_old_items_and_more_than_enough_are_left_out() -> None:
    place = shop()
    place.refreshing.limits = replace(place.refreshing.limits, items=2)
    place.post("ann", "shoe", at=START - 100 * 24 * HOUR)
    place.post("ann", "tea", "vest", "shoe")
    await place.work()
    assert [item.item_id for item in place.profiler.asked[0].items] == ["shoe", "vest"]


async def test_switching_off_deletes_the_profile_and_ends_what_is_under_way() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    place.post("bob", "shoe", "vest", "tea")
    await place.work()
    place.world.mark(Switch("ann", False), Switch("bob", False))
    await place.profiles.add([Due("bob", Reason.ASKED)])  # asked for before the switch
    await place.work()
    assert await place.profile("ann") == await place.profile("bob") == StoredProfile()
    place.post("ann", "shoe", "vest", "tea", at=START + 100)
    await place.work()
    assert await place.profile("ann") == StoredProfile()
    assert len(place.profiler.asked) == 2
    assert await place.profiles.waiting() == NOBODY


async def test_an_erased_user_is_taken_out_of_the_queue_unasked() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    await place.feed()
    place.world.mark(Erase("ann"))
    await place.work()
    assert (place.profiler.asked, await place.profiles.waiting()) == ([], NOBODY)


async def test_a_user_whom_a_state_does_not_know_yet_stays_in_the_queue() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    await place.feed()
    await place.profiles.move(place.world.log.id, 10**6)  # the state is being made again, and is far behind
    user = place.world.state.users.pop(b"ann")
    await place.work()
    assert (await place.profiles.waiting()).later == 1
    place.world.state.users[b"ann"] = user
    place.clock.now += 100
    await place.work()
    assert (await place.profile("ann")).profile is not None


async def test_an_answer_that_cannot_be_used_is_tried_again_and_then_given_up_without_titles() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    place.profiler.raising = [AnswerRejected("the answer is empty") for _ in range(MOST_TRIES)]
    for tries in range(MOST_TRIES):
        await place.work()
        assert len(place.profiler.asked) == tries + 1
        place.clock.now += FIRST_DELAY * 2**tries
    assert await place.profiles.waiting() == Waiting(0, 0, 0, 1)
    assert "shoe" not in repr(place.profiles.letters).casefold()
    place.post("ann", *["tea"] * 10, at=START + 100)
    await place.work()
    assert len(place.profiler.asked) == MOST_TRIES  # left alone
    place.clock.now += 6 * HOUR
    await place.work()
    assert (await place.profile("ann")).profile is not None
    assert await place.profiles.waiting() == NOBODY


@pytest.mark.parametrize(
    ("error", "pause"),
    [(EndpointRefused("wants money"), REFUSED_PAUSE), (BudgetSpent("spent"), BUDGET_PAUSE),
     (EndpointUnavailable("busy", 7.0), 7.0)],
)  # fmt: skip
async def test_trouble_with_the_endpoint_pauses_everybody_and_costs_no_try(error: Exception, pause: float) -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    place.profiler.raising = [error]
    await place.work()
    assert abs(place.working.breaker.wait() - pause) < 1e-6
    place.clock.now += max(pause, FIRST_DELAY)
    assert place.working.breaker.wait() == 0.0  # this one tries
    assert place.working.breaker.wait() > 0.0  # and nobody else
    await place.work()
    assert place.working.breaker.wait() == 0.0
    assert (await place.profile("ann")).profile is not None


async def test_one_failure_does_not_stop_the_others_and_three_in_a_row_do() -> None:
    place = shop()
    for user in ("ann", "bob", "cem", "dan"):
        place.post(user, "shoe", "vest", "tea")
    place.profiler.raising = [EndpointUnavailable("no answer") for _ in range(2)]
    await place.work()
    assert len(place.profiles.made) == 2
    assert place.working.breaker.wait() == 0.0
    place.profiler.raising = [EndpointUnavailable("no answer") for _ in range(3)]
    for user in ("eve", "fay", "gil"):
        place.post(user, "shoe", "vest", "tea")
    await place.work()
    assert place.working.breaker.wait() > 0.0


async def test_a_trimmed_log_is_passed_over() -> None:
    place = shop()
    place.post("ann", "shoe", "vest", "tea")
    first = place.world.writer.position.offset + 1
    place.world.log.trim(first - 1)
    place.feeder.first = lambda: first
    place.post("bob", "shoe", "vest", "tea")
    await place.work()
    assert list(place.profiles.made) == ["bob"]


async def test_users_who_are_described_at_once_share_what_is_known_of_items() -> None:
    place = shop()
    reader = (await place.refreshing.state.current()).reader
    ids = ItemIds(Slow(reader))
    place.post("ann", "shoe", "vest", "tea")
    assert await asyncio.gather(ids.of([0]), ids.of([2, 1]), ids.of([]), ids.of([1])) == [
        ["shoe"], ["tea", "vest"], [], ["vest"],
    ]  # fmt: skip


class Slow:
    """A reader whose answers take turns."""

    def __init__(self, reader: StateReader) -> None:
        self._reader = reader

    async def item_ids(self, start: int, count: int) -> list[str]:
        await asyncio.sleep(0.01 / count)
        return await self._reader.item_ids(start, count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)
