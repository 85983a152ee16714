"""The promises of the request path: what it ranks by, what it never does, and how it degrades."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import numpy as np
import pytest

from model.process.batch import Events
from model.process.records import NEVER
from model.process.state import State
from model.process.temporal_model import UserEmbeddings, UserInputs
from service.errors import MomentPassed
from service.request_path import Recommendation, Request, Serving, recommend
from tests.paths.world import World, frozen
from tests.process.toy import TOY_SPEC, ToyModel

T = TypeVar("T")

USERS, ITEMS = ["ann", "bob", "cid"], [f"item-{i}" for i in range(9)]


def purchases(count: int = 60, seed: int = 3) -> list[tuple[str, str, int]]:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(1_000, 2_000, count))
    return [(str(rng.choice(USERS)), str(rng.choice(ITEMS)), int(t)) for t in times]


def ask(world: World, request: Request, **options: bool | str) -> Recommendation:
    return during(world, lambda serving: recommend(request, serving), **options)


def during(world: World, action: Callable[[Serving], Awaitable[T]], **options: bool | str) -> T:
    async def run() -> T:
        async with world.serving(**options) as serving:  # type: ignore[arg-type]
            return await action(serving)

    return asyncio.run(run())


def offline_state(rows: list[tuple[str, str, int]], item_ids: list[str]) -> State:
    state = State(
        ToyModel(),
        len(USERS),
        item_ids,
        np.zeros((len(item_ids), TOY_SPEC.static_dim), np.float32),
        np.full(len(item_ids), -NEVER),
    )
    count = len(rows)
    state.apply(
        Events(
            np.array([USERS.index(user) for user, _, _ in rows]),
            np.array([item_ids.index(item) for _, item, _ in rows]),
            np.array([at for _, _, at in rows]),
            np.full(count, TOY_SPEC.type_code("purchase"), np.uint8),
            np.ones(count, np.float32),
            np.arange(1, count + 1),
        )
    )
    return state


def test_the_list_is_the_one_that_evaluation_scores() -> None:
    rows = purchases()
    world = World()
    for row in rows:
        world.post([row])
    state = offline_state(rows, world.state.ids)
    for user in USERS:
        at = rows[-1][2] + 500
        found = ask(world, Request(user, k=len(ITEMS), at=at))
        expected = state.score(np.array([USERS.index(user)]), np.array([at]))[0]
        assert found.strategy == "model"
        assert sorted(found.item_ids) == sorted(world.state.ids)
        by_id = dict(zip(found.item_ids, found.scores, strict=True))
        # sums in another order than in one batch: a few ulp of float32 a step
        np.testing.assert_allclose([by_id[i] for i in world.state.ids], expected, rtol=1e-4, atol=1e-5)
        assert found.scores == sorted(found.scores, reverse=True)


def test_a_purchase_changes_the_next_list() -> None:
    world = World()
    world.post(purchases())
    before = ask(world, Request("ann", at=3_000))
    world.post([("ann", ITEMS[4], 2_500)])
    after = ask(world, Request("ann", at=3_000))
    assert before.scores != after.scores
    assert (after.events_seen, after.last_event_at) == (before.events_seen + 1, 2_500)
    assert after.offset == before.offset + 1


def test_asking_writes_nothing() -> None:
    world = World()
    world.post(purchases())
    before = (dict(world.state.users), dict(world.state.items), world.state.position)
    ask(world, Request("ann", at=5_000, exclude_seen=True))
    ask(world, Request("nobody"))
    assert (world.state.users, world.state.items, world.state.position) == before


def test_an_unknown_user_gets_the_list_of_the_initial_memory() -> None:
    world = World()
    world.post(purchases())
    found = ask(world, Request("nobody", k=3))
    assert (found.strategy, len(found.item_ids), found.events_seen, found.last_event_at) == ("model", 3, 0, None)


def test_a_moment_before_the_last_event_is_refused_and_later_ones_differ() -> None:
    world = World()
    world.post([*purchases(), ("ann", ITEMS[0], 2_100)])
    with pytest.raises(MomentPassed, match="1970-01-01T00:34:59Z lies before"):
        ask(world, Request("ann", at=2_099))
    soon, later = (ask(world, Request("ann", at=at)).scores for at in (2_100, 2_100 + 30 * 86_400))
    assert soon != later


def test_the_default_moment_is_the_logs_time_when_events_are_the_clock() -> None:
    world = World()
    world.post([*purchases(), ("bob", ITEMS[1], 7_000)])
    assert ask(world, Request("ann")).scores == ask(world, Request("ann", at=7_000)).scores
    assert ask(world, Request("ann")).items_as_of == 7_000


def test_exclude_seen_leaves_out_the_whole_history() -> None:
    world = World()
    world.post([*((("ann", item, 1_000)) for item in ITEMS[:4]), *(("bob", item, 1_000) for item in ITEMS)])
    found = ask(world, Request("ann", exclude_seen=True))
    assert sorted(found.item_ids) == ITEMS[4:]
    assert (
        sorted(
            ask(
                world,
                Request("ann"),
            ).item_ids
        )
        == ITEMS
    )


def test_min_offset_waits_for_what_comes_in_time() -> None:
    world = World()
    offset = world.post(purchases())

    async def write_meanwhile(serving: Serving) -> Recommendation:
        asking = asyncio.create_task(recommend(Request("ann", min_offset=offset + 1, at=9_000), serving))
        await asyncio.sleep(0.02)
        assert not asking.done()
        world.post([("ann", ITEMS[3], 8_000)])
        return await asking

    found = during(world, write_meanwhile)
    assert (found.stale, found.last_event_at, found.offset) == (False, 8_000, offset + 1)


def test_min_offset_answers_stale_after_a_tenth_of_a_second() -> None:
    world = World()
    offset = world.post(purchases())
    started = time.perf_counter()
    found = ask(world, Request("ann", min_offset=offset + 1))
    assert found.stale
    assert found.offset == offset
    assert 0.1 <= found.stages["wait"] < time.perf_counter() - started


def test_the_offset_is_the_lower_one_of_state_and_items() -> None:
    world = World()
    offset = world.post(purchases())

    async def ask_before_the_feed_arrives(serving: Serving) -> Recommendation:
        before = frozen(serving)
        world.post([("ann", ITEMS[3], 8_000)])
        return await recommend(Request("ann"), before)

    found = during(world, ask_before_the_feed_arrives)
    assert (found.last_event_at, found.offset, found.items_as_of) == (8_000, offset, purchases()[-1][2])


def test_without_the_state_store_popular_items_are_served_and_the_dead_stage_is_named() -> None:
    world = World()
    world.post([("ann", ITEMS[2], 1_000), ("bob", ITEMS[2], 1_001), ("cid", ITEMS[5], 1_002)])

    async def ask_while_down(serving: Serving) -> Recommendation:
        world.active.down = True
        return await recommend(Request("ann", at=5), serving)

    found = during(world, ask_while_down)
    assert found.item_ids == [ITEMS[2], ITEMS[5]]
    assert (found.strategy, found.degraded, found.stale) == ("fallback", ("state",), True)


def test_a_record_that_cannot_be_read_counts_as_a_dead_state_store() -> None:
    world = World()
    world.post(purchases())
    world.state.users[b"ann"] = b"\x63" + world.state.users[b"ann"][1:]
    found = ask(world, Request("ann"))
    assert (found.strategy, found.degraded) == ("fallback", ("state",))


def test_without_a_bundle_popular_items_are_served() -> None:
    world = World()
    world.post([("ann", ITEMS[2], 1_000), ("bob", ITEMS[2], 1_001), ("cid", ITEMS[5], 1_002)])
    found = ask(world, Request("cid", exclude_seen=True), has_bundle=False)
    assert (found.item_ids, found.strategy, found.degraded) == ([ITEMS[2]], "popular", ())


def test_state_of_another_bundle_is_not_read() -> None:
    world = World()
    world.post(purchases())

    async def ask_soon(serving: Serving) -> Recommendation:
        await asyncio.sleep(0.02)
        assert "made by bundle toy, this process serves other" in serving.replica.reasons[0]
        return await recommend(Request("ann"), serving)

    found = during(world, ask_soon, bundle="other")
    assert (found.strategy, found.degraded, found.item_ids) == ("fallback", ("items",), [])


class BrokenModel(ToyModel):
    """Its embeddings are not finite."""

    def embed_users(self, inputs: UserInputs) -> UserEmbeddings:
        found = super().embed_users(inputs)
        return UserEmbeddings(found.h * np.nan, found.w_pop, found.q_pair)


def test_an_embedding_that_is_not_finite_never_ranks() -> None:
    world = World(BrokenModel())
    world.post([("ann", ITEMS[2], 1_000), ("bob", ITEMS[5], 1_001)])
    found = ask(world, Request("ann"))
    assert (found.strategy, found.degraded) == ("fallback", ("embed",))
    assert sorted(found.item_ids) == [ITEMS[2], ITEMS[5]]
