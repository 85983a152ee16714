"""Whatever fails, there is a list, and it says what it was made without."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from model.process.records import Float, Records
from model.process.temporal_model import UserEmbeddings, UserInputs
from service.batch_path import recommend_many
from service.core.types import ItemChange
from service.errors import GraphFailed
from service.lists.what_if import WhatIf
from service.request_path import Recommendation, Request, Serving, recommend
from tests.paths.world import World
from tests.process.toy import ToyModel

ITEMS = ["a", "b", "c", "d"]
EVENTS = [("ann", "a", 1_000), ("ann", "b", 1_100), ("bob", "a", 1_200), ("bob", "c", 1_300)]


class Failing(ToyModel):
    """Its graphs of these names fail from `broken` on."""

    def __init__(self, *graphs: str) -> None:
        super().__init__()
        self.graphs = graphs
        self.broken = False

    def _check(self, graph: str) -> None:
        if self.broken and graph in self.graphs:
            raise GraphFailed(graph, "is missing")

    def embed_users(self, inputs: UserInputs) -> UserEmbeddings:
        self._check("embed_users")
        return super().embed_users(inputs)

    def score_pairs(self, features: Float, query: Float) -> Float:
        self._check("score_pairs")
        return super().score_pairs(features, query)

    def update_users(self, rows: Records) -> Float:
        self._check("update_users")
        return super().update_users(rows)


def ask(model: Failing, requests: Sequence[Request], unreadable: str | None = None) -> list[Recommendation]:
    """The answers when the model has begun to fail, then the same as one batch of the users."""
    world = World(model)
    world.put([ItemChange(item, json.dumps({"item_id": item}).encode(), available_from=10) for item in ITEMS])
    world.post(EVENTS)
    if unreadable is not None:
        world.state.profiles.made[unreadable] = b"\x01{not json\0"

    async def run() -> list[Recommendation]:
        async with world.serving() as serving:
            await settle(serving)
            model.broken = True
            alone = [await recommend(request, serving) for request in requests]
            users = [request.user_id for request in requests if request.user_id is not None]
            return alone + await recommend_many(users, Request(None, k=4), serving)

    async def settle(serving: Serving) -> None:
        assert await serving.replica.wait_for(world.writer.position.offset, 5.0)

    return asyncio.run(run())


@pytest.mark.parametrize("explain", [False, True])
def test_without_pairs_the_rest_ranks(explain: bool) -> None:
    for found in ask(Failing("score_pairs"), [Request("ann", k=4, explain=explain)]):
        assert (found.strategy, found.degraded, len(found.item_ids)) == ("model", ("pairs",), 4)


def test_without_an_embedding_popular_items_are_served() -> None:
    for found in ask(Failing("embed_users"), [Request("ann", k=4)]):
        assert (found.strategy, found.degraded, found.item_ids[0]) == ("fallback", ("embed",), "a")
        assert found.events_seen == 2


def test_without_an_updater_what_ifs_are_left_out_and_named() -> None:
    class Model(Failing):
        def embed_users(self, inputs: UserInputs) -> UserEmbeddings:
            held, self.broken = self.broken, False
            try:
                return super().embed_users(inputs)  # a graph of its own, whatever the toy shares
            finally:
                self.broken = held

    what_if, plain = Request("ann", k=4, events=(WhatIf("c", "view", 2_000),)), Request("ann", k=4)
    imagined, real, *_ = ask(Model("update_users"), [what_if, plain])
    assert (imagined.strategy, imagined.degraded) == ("model", ("events",))
    assert (imagined.item_ids, imagined.events_seen) == (real.item_ids, 2)
    assert real.degraded == ()


def test_a_profile_that_cannot_be_read_is_none_and_named() -> None:
    first, second, *batch = ask(Failing(), [Request("ann", k=4), Request("bob", k=4)], unreadable="ann")
    assert (first.strategy, first.degraded, first.profile) == ("model", ("profile",), None)
    assert (second.strategy, second.degraded) == ("model", ())
    assert [found.degraded for found in batch] == [("profile",), ()]
