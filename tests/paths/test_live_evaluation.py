"""Lists are judged on events before these are taken, beside popular items and a memory that no longer learns."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import pytest

from service.adapters.bundle import Bundle
from service.core.live_models import Live, LiveModel
from service.core.types import Event
from service.lines import Line, Lines
from service.live_evaluation import FROZEN, MOST_PER_SECOND, POPULAR, LiveEvaluation
from service.ports import StateReader
from service.replica import Replica, View
from service.request_path import Request, recommend
from tests.paths.world import World

pytestmark = pytest.mark.anyio

ITEMS = [f"item-{n:02}" for n in range(40)]
ROWS = [(f"user-{n % 7}", ITEMS[n * n % 40], 1_000 + 9 * n) for n in range(120)]


def event(user: str, item: str, at: int) -> Event:
    return Event("", user, item, "purchase", at, 1.0)


async def evaluation_of(replica: Replica, world: World, share: float = 1.0) -> LiveEvaluation:
    lines = Lines(Line(Bundle(world.model, "v1", "toy"), replica))
    seconds = iter(range(10_000))
    made = LiveEvaluation(lines, share, lambda: float(next(seconds)))
    await made.freeze(lines.default)
    return made


async def observe(evaluation: LiveEvaluation, events: list[Event], fresh: bool = True) -> None:
    looked = await evaluation.look(events)
    evaluation.count(events, [fresh] * len(events), looked)


async def test_each_event_is_looked_for_in_the_list_from_before_it() -> None:
    world = World()
    world.post(ROWS)
    async with world.serving() as serving:
        evaluation = await evaluation_of(serving.replica, world)
        hits, gains = 0.0, 0.0
        for n in range(30):
            user, item, at = f"user-{n % 7}", ITEMS[(7 * n) % 40], 3_000 + 50 * n
            listed = (await recommend(Request(user, 20, at), serving)).item_ids
            if item in listed:
                hits += 1
                rank = listed.index(item) + 1
                gains += 1 / math.log2(1 + rank) if rank <= 10 else 0.0
            await observe(evaluation, [event(user, item, at)])
            await serving.replica.wait_for(world.post([(user, item, at)]), 2.0)
        assert evaluation.evaluated == {"v1": 30, POPULAR: 30, FROZEN: 30}
        assert evaluation.recall["v1"] == hits > 0
        assert evaluation.ndcg["v1"] == pytest.approx(gains)
        assert evaluation.gaps == 30
        assert (sum(evaluation.gap_counts), evaluation.gap_counts[-1]) == (30, 0)
        assert evaluation.gap_counts[1] > 0  # a user comes back after some minutes
        assert evaluation.gap_seconds > 30 * 60
        assert evaluation.recall["v1"] <= 30


async def test_while_a_new_model_is_checked_everybody_is_looked_for_in_its_lists_beside_those_of_the_active_one() -> (
    None
):
    world = World()
    world.post(ROWS)
    async with world.serving() as serving:
        evaluation = await evaluation_of(serving.replica, world, 0.0)
        lines = evaluation.lines
        lines._lines["new"] = Line(Bundle(world.model, "v2", "new"), serving.replica)
        lines.live = Live(1, None, (LiveModel(1, "v1", "toy", "ready"), LiveModel(2, "v2", "new", "checking")))
        await observe(evaluation, [event(f"user-{n % 7}", ITEMS[n], 3_000) for n in range(7)])
        beside = lines.beside["new"]
        assert beside.events == 7
        assert beside.hits == beside.others > 0  # toys are all alike
        assert beside.ndcg == beside.others_ndcg > 0
        assert evaluation.evaluated == {}  # nobody is sampled
        evaluation.share = 1.0
        await observe(evaluation, [event("user-1", ITEMS[0], 3_100)])
        assert evaluation.evaluated == {"v1": 1, "v2": 1, POPULAR: 1, FROZEN: 1}
        assert lines.beside["new"].events == 8
        evaluation.share = 0.0
        lines.live = replace(lines.live, models=lines.live.models[:1])
        await observe(evaluation, [event("user-1", ITEMS[0], 3_200)])
        assert lines.beside["new"].events == 8


async def test_the_frozen_memory_learns_nothing_that_the_other_one_does() -> None:
    world = World()
    world.post(ROWS)
    async with world.serving() as serving:
        evaluation = await evaluation_of(serving.replica, world)
        await observe(evaluation, [event("user-1", ITEMS[0], 3_000)])
        found = evaluation._frozen_now(evaluation.lines.default)
        assert found is not None
        before = (await recommend(Request("user-1", 20, 90_000), serving)).item_ids
        await serving.replica.wait_for(world.post([("user-1", ITEMS[n], 3_010 + n) for n in range(30)]), 2.0)
        moved = await recommend(Request("user-1", 20, 90_000), serving)
        still = await recommend(Request("user-1", 20, 90_000), found)
        assert moved.item_ids != before
        assert (still.item_ids, still.events_seen) == (before, moved.events_seen - 30)
        assert found.replica.index.position.offset == 120


async def test_new_items_are_counted_and_are_no_hit_for_anybody() -> None:
    world = World()
    world.post(ROWS)
    async with world.serving() as serving:
        evaluation = await evaluation_of(serving.replica, world)
        await observe(evaluation, [event("user-1", "never seen", 3_000), event("user-2", ITEMS[0], 3_000)])
        assert (evaluation.events, evaluation.new_items) == (2, 1)
        assert evaluation.recall["v1"] <= 1


async def test_only_the_sampled_users_are_evaluated_and_a_flood_is_not() -> None:
    world = World()
    world.post(ROWS)
    async with world.serving() as serving:
        nobody = await evaluation_of(serving.replica, world, 0.0)
        await observe(nobody, [event(f"u{n}", ITEMS[0], 3_000) for n in range(50)])
        assert (nobody.events, nobody.evaluated) == (50, {})
        flooded = await evaluation_of(serving.replica, world)
        flooded.clock = lambda: 7.0
        await observe(flooded, [event(f"u{n}", ITEMS[0], 3_000) for n in range(50)])
        assert flooded.evaluated["v1"] == MOST_PER_SECOND


async def test_a_state_that_does_not_answer_and_an_event_that_is_late_cost_nothing_but_the_figure() -> None:
    world = World()
    world.post(ROWS)
    async with world.serving() as serving:
        evaluation = await evaluation_of(serving.replica, world)
        await observe(evaluation, [event("user-1", ITEMS[0], 10)])
        assert evaluation.evaluated == {}
        world.active.down = True
        await observe(evaluation, [event("user-1", ITEMS[0], 3_000)])
        assert cast("dict[str, int]", evaluation.evaluated) == {}


async def test_an_event_that_is_sent_again_is_not_counted_again() -> None:
    world = World()
    world.post(ROWS)
    async with world.serving() as serving:
        evaluation = await evaluation_of(serving.replica, world)
        await observe(evaluation, [event("user-1", ITEMS[0], 3_000)], fresh=False)
        assert (evaluation.events, evaluation.evaluated) == (0, {})


async def test_nothing_waits_for_the_copy_of_the_items() -> None:
    world = World()
    world.post(ROWS)
    async with world.serving() as serving:
        lines = Lines(Line(Bundle(world.model, "v1", "toy"), serving.replica))
        evaluation = LiveEvaluation(lines, 1.0)
        assert await evaluation.look([event("user-1", ITEMS[0], 3_000)]) == []
        assert evaluation._freezing is not None
        await evaluation._freezing
        assert len(await evaluation.look([event("user-1", ITEMS[0], 3_000)])) == 1


async def test_no_event_is_refused_because_of_a_figure() -> None:
    world = World()
    world.post(ROWS)
    async with world.serving() as serving:
        evaluation = await evaluation_of(serving.replica, world)
        view = serving.replica.view
        serving.replica.view = View(view.index, None, view.generation)  # as at the start, and between two generations
        assert await evaluation.look([event("user-1", ITEMS[0], 3_000)]) == []
        serving.replica.view = View(view.index, cast("StateReader", object()), view.generation)
        assert await evaluation.look([event("user-1", ITEMS[0], 3_000)]) == []
        serving.replica.view = view
        assert len(await evaluation.look([event("user-1", ITEMS[0], 3_000)])) == 1
