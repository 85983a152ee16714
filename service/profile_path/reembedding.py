"""Stored facets for a model that reads another embedder's vectors: made before it takes over, beside those that the
active model reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, replace
from threading import Event as Flag
from typing import Any

import structlog

from service.core.live_models import LiveModel
from service.core.profiles import Profile
from service.errors import EndpointRefused, EndpointUnavailable, StoreUnavailable
from service.profile_path.hygiene import facet_vectors
from service.profile_ports import ProfileStore
from service.serving_ports import TextEmbedder

log = structlog.get_logger("peregrine.reembedding")

MOST_PASSES = 3
"""Over all profiles: those that a profiler makes meanwhile are found by the next one."""


@dataclass(frozen=True)
class Reembedding:
    """wanted: the embedder that the new model reads facets of, None if it reads none; embedder: the one at hand, None
    for none."""

    wanted: str | None
    embedder: Callable[[], AbstractContextManager[TextEmbedder | None]]
    profiles: Callable[[], AbstractAsyncContextManager[ProfileStore]]

    def __call__(self, serving: LiveModel, new: LiveModel, stop: Flag) -> dict[str, Any]:
        """How many users have a profile, and how many of these were given vectors. Blocks. Raises StoreUnavailable."""
        if self.wanted is None:
            return {}
        with self.embedder() as embedder:
            if embedder is None or embedder.id != self.wanted:
                return {}
            try:
                return asyncio.run(self._run(embedder, stop))
            except (EndpointUnavailable, EndpointRefused) as exc:
                raise StoreUnavailable(f"facets cannot be embedded: {exc}") from exc  # the checks are made once more

    async def _run(self, embedder: TextEmbedder, stop: Flag) -> dict[str, Any]:
        users, given = 0, 0
        async with self.profiles() as store:
            for _ in range(MOST_PASSES):
                users, fresh = 0, 0
                async for some in store.user_ids():
                    users += len(some)
                    fresh += await reembed(some, store, embedder)
                    if stop.is_set():
                        break
                given += fresh
                if not fresh or stop.is_set():
                    break
        log.info("facets_embedded", embedder=embedder.id, users=users, given=given)
        return {"facets": {"users": users, "embedded": given}}


async def reembed(user_ids: Sequence[str], store: ProfileStore, embedder: TextEmbedder) -> int:
    """Gives the profiles of these users the embedder's vectors, where they have none; how many were given some."""
    stored = await store.read(user_ids)
    found = [(user, one.profile) for user, one in zip(user_ids, stored, strict=True) if one.profile is not None]
    lacking = [(user, profile) for user, profile in found if profile.vectors_of(embedder.id) is None]
    if not lacking:
        return 0
    made = await asyncio.to_thread(_with_vectors, [profile for _, profile in lacking], embedder)
    pairs = zip(lacking, made, strict=True)
    return sum([await store.replace(user, before, after) for (user, before), after in pairs])


def _with_vectors(profiles: Sequence[Profile], embedder: TextEmbedder) -> list[Profile]:
    return [
        replace(profile, also={**profile.also, embedder.id: facet_vectors(profile.embedded, embedder)})
        for profile in profiles
    ]
