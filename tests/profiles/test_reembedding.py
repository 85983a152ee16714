"""Facets that another embedder made get a new model's vectors before it takes over; the active one keeps its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from threading import Event as Flag
from typing import Any

import numpy as np
import pytest

from model.process.records import Float
from service.adapters.in_memory_profiles import InMemoryProfiles
from service.core.live_models import LiveModel
from service.errors import EndpointUnavailable, StoreUnavailable
from service.profile_path import Reembedding
from service.profile_ports import ProfileStore
from service.serving_ports import TextEmbedder
from tests.profiles.world import HOUR, Profiled, shop

OLD, NEW = LiveModel(1, "v1", "old", "ready"), LiveModel(2, "v2", "new", "checking")


class Lengths:
    """An embedder of two dimensions."""

    id, dim = "lengths", 2

    def embed(self, texts: Sequence[str]) -> Float:
        return np.array([[len(text), 1.0] for text in texts], np.float32)


class Broken(Lengths):
    def embed(self, texts: Sequence[str]) -> Float:
        raise EndpointUnavailable("away")


def described() -> Profiled:
    place = shop()
    for user in ("ann", "bob", "eve"):
        place.post(user, "shoe", "vest", "tea")
    asyncio.run(place.work())
    return place


def reembedding(
    profiles: ProfileStore, wanted: str | None = "lengths", embedder: TextEmbedder | None = None
) -> dict[str, Any]:
    @contextmanager
    def at_hand() -> Iterator[TextEmbedder | None]:
        yield embedder or Lengths()

    @asynccontextmanager
    async def opened() -> AsyncIterator[ProfileStore]:
        yield profiles

    return Reembedding(wanted, at_hand, opened)(OLD, NEW, Flag())


def inputs(place: Profiled, user: str, embedder: str, width: int) -> Float | None:
    return asyncio.run(place.profile(user)).inputs(embedder, width)


def test_every_profile_has_the_vectors_of_both_before_the_switch() -> None:
    place = described()
    width = place.refreshing.embedder.dim
    before = inputs(place, "ann", "words", width)
    assert inputs(place, "ann", "lengths", 2) is None
    assert reembedding(place.profiles) == {"facets": {"users": 3, "embedded": 3}}
    for user in ("ann", "bob", "eve"):
        found = inputs(place, user, "lengths", 2)
        assert found is not None
        np.testing.assert_allclose(np.linalg.norm(found[0], axis=1), [0.0, 1.0, 1.0, 1.0], atol=1e-3)  # half precision
    after = inputs(place, "ann", "words", width)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(after, before)
    assert reembedding(place.profiles) == {"facets": {"users": 3, "embedded": 0}}


@pytest.mark.parametrize(("wanted", "embedder"), [(None, Lengths()), ("another", Lengths())])
def test_nothing_is_done_for_a_model_that_reads_no_facets_or_those_of_an_embedder_that_is_not_here(
    wanted: str | None, embedder: TextEmbedder
) -> None:
    place = described()
    before = dict(place.profiles.made)
    assert reembedding(place.profiles, wanted, embedder) == {}
    assert place.profiles.made == before


def test_an_embedder_that_is_away_has_the_checks_made_once_more() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be embedded"):
        reembedding(described().profiles, embedder=Broken())


def test_a_profile_that_is_made_anew_meanwhile_is_not_overwritten_and_gets_its_vectors_too() -> None:
    place = described()

    class Meanwhile(InMemoryProfiles):
        async def replace(self, user_id: str, before: Any, after: Any) -> bool:
            if user_id == "ann" and not changed:
                changed.append(True)
                place.clock.now += 12 * HOUR
                place.post("ann", *["tea"] * 6, at=int(place.clock.now))
                await place.work()
            return await super().replace(user_id, before, after)

    changed: list[bool] = []
    profiles = Meanwhile(place.clock, place.profiles.made)
    assert reembedding(profiles) == {"facets": {"users": 3, "embedded": 3}}
    assert changed
    profile = asyncio.run(place.profile("ann")).profile
    assert profile is not None
    assert profile.origin.events == 9
    assert profile.vectors_of("lengths") is not None


def test_a_profiler_with_the_new_embedder_keeps_the_vectors_of_the_old_one_and_asks_nobody() -> None:
    place = described()
    width, asked = place.refreshing.embedder.dim, len(place.profiler.asked)
    before = inputs(place, "ann", "words", width)
    place.refreshing.embedder = Lengths()
    asyncio.run(place.feeder.look_for_outdated())
    asyncio.run(place.work())
    profile = asyncio.run(place.profile("ann")).profile
    assert profile is not None
    assert profile.origin.maker.embedder == "lengths"
    assert len(place.profiler.asked) == asked
    after = inputs(place, "ann", "words", width)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(after, before)
