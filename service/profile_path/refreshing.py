"""One user's profile made anew: history -> profiler -> hygiene -> vectors -> store.

claim -> state (user, profile) -> still due? -> history -> the same input? else profiler -> check -> embed -> finish
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from model.process.batch import Users
from model.process.records import Float
from model.spec import ModelSpec
from service.core.blobs import is_off, unpack_users
from service.core.profiles import Facets, Maker, Origin, Profile, StoredProfile, in_force, unpack_stored
from service.profile_path.due import Rules, Standing, due
from service.profile_path.history import ItemIds, input_hash, read_history
from service.profile_path.hygiene import check, facet_vectors
from service.profile_ports import Claim, History, ProfileQueue, Profiler, ProfileStore, Reason
from service.serving_ports import ActiveState, Generation, StateReader, TextEmbedder

log = structlog.get_logger("peregrine.profiler")

BEHIND_SECONDS = 60.0
"""A user whom the state does not know yet, for it is being made again, is looked at again after that."""


@dataclass(frozen=True, slots=True)
class Limits:
    """items: of a history at most; window: seconds of it; nearness: least cosine of a phrase to the user's own texts;
    embedding: threads that embed at once."""

    items: int = 30
    window: int = 90 * 86_400
    nearness: float = 0.15
    embedding: int = 1


@dataclass
class Refreshing:
    """What all refreshes of a process share. spec, bundle: of the weights that made the state."""

    state: ActiveState
    store: ProfileStore
    queue: ProfileQueue
    profiler: Profiler
    embedder: TextEmbedder
    spec: ModelSpec
    bundle: str
    rules: Rules
    limits: Limits
    clock: Callable[[], float] = time.time
    calls: int = 0
    """Of the profiler, so far."""
    counts: Counter[str] = field(default_factory=Counter)
    """What is to be added to the deployment's; `service.profile_ports` has the names."""
    _ids: tuple[int, ItemIds] | None = None
    _current: tuple[float, Generation] | None = None
    _embedding: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._embedding = asyncio.Semaphore(self.limits.embedding)

    @property
    def standing(self) -> Standing:
        profiler = self.profiler
        maker = Maker(profiler.source, profiler.model, profiler.prompt, self.embedder.id)
        return Standing(maker, self.bundle, self.rules)

    async def refresh(self, claim: Claim) -> bool:
        """True if the profiler was asked. Raises StoreUnavailable and what stands under ProfilerError; the claim has
        not ended then."""
        generation = await self._generation()
        found = await self._read(claim, generation.reader)
        if found is None:
            return False
        users, stored, committed = found
        now = self.clock()
        wanted = due(claim.user_id, users.rows[0], stored, None, now, self.standing)
        if wanted is None and claim.reason is not Reason.ASKED:
            await self.queue.drop(claim)
            return False
        if wanted is not None and wanted.ready_at > now and claim.reason is not Reason.ASKED:
            await self.queue.put_off(claim, wanted.ready_at - now, counted=False)
            return False
        limits = self.limits
        history = await read_history(
            users, generation.reader, self._item_ids(generation), self.spec, limits.items, limits.window
        )
        before, maker = self.calls, self.standing.maker
        key = input_hash(history, maker)
        facets = self._known(history, stored, key)
        draft = {} if facets is not None else await self._draft(history)
        async with self._embedding:
            made = await asyncio.to_thread(self._made, facets, draft, history, stored.edits)
        origin = self._origin(users, history, maker, committed, key)
        profile = Profile(*made, users.rows["m"][0], origin, _others(stored, made[1], maker))
        await self.queue.finish(claim, profile)
        return self.calls > before

    async def _generation(self) -> Generation:
        """The one that is read, looked up once a second; the one before it stays for longer than that."""
        if self._current is None or self._current[0] < time.monotonic() - 1.0:
            self._current = (time.monotonic(), await self.state.current())
        return self._current[1]

    async def _read(self, claim: Claim, reader: StateReader) -> tuple[Users, StoredProfile, int] | None:
        """Record, profile and offset; None if there is nothing to be done, and the claim has ended."""
        read = await reader.user(claim.user_id)
        if read.blob is None:
            _, fed = await self.queue.cursor()
            if read.committed < fed:
                await self.queue.put_off(claim, BEHIND_SECONDS, counted=False)
            else:
                await self.queue.drop(claim)
            return None
        users = unpack_users([read.blob], self.spec)
        if is_off(users):
            await self.store.forget([claim.user_id])
            return None
        return users, unpack_stored(read.profile, read.edits), read.committed

    def _item_ids(self, generation: Generation) -> ItemIds:
        if self._ids is None or self._ids[0] != generation.number:
            self._ids = (generation.number, ItemIds(generation.reader))
        return self._ids[1]

    def _known(self, history: History, stored: StoredProfile, key: str) -> Facets | None:
        """Those of the profile there is, if it was made from the same, whatever embedded it."""
        if (profile := stored.profile) is None:
            return None
        embedded_then = replace(self.standing.maker, embedder=profile.origin.maker.embedder)
        return profile.facets if profile.origin.input_hash in {key, input_hash(history, embedded_then)} else None

    async def _draft(self, history: History) -> Mapping[str, Sequence[str]]:
        """What the profiler says; nobody is asked about no items."""
        if not history.items:
            return {}
        self.calls += 1
        return await self.profiler.describe(history)

    def _made(
        self, facets: Facets | None, draft: Mapping[str, Sequence[str]], history: History, edits: Facets
    ) -> tuple[Facets, Facets, Float]:
        """(facets, those in force, their vectors), from the draft where no facets are given. Embedding blocks."""
        if facets is None:
            checked = check(draft, history, self.embedder, self.limits.nearness)
            if checked.dropped:
                log.debug("phrases_dropped", **{why.replace(" ", "_"): count for why, count in checked.dropped.items()})
            facets = checked.facets
        counting = in_force(facets, edits)
        return facets, counting, facet_vectors(counting, self.embedder)

    def _origin(self, users: Users, history: History, maker: Maker, committed: int, key: str) -> Origin:
        items = tuple(item.item_id for item in history.items)
        return Origin(maker, self.bundle, committed, int(users.rows["events"][0]), items, key, int(self.clock()))


def _others(stored: StoredProfile, counting: Facets, maker: Maker) -> dict[str, Float]:
    """Vectors of other embedders that are still those of what counts: another live model may read them."""
    profile = stored.profile
    if profile is None or dict(profile.embedded) != dict(counting):
        return {}
    known = {profile.origin.maker.embedder: profile.vectors, **profile.also}
    return {embedder: vectors for embedder, vectors in known.items() if embedder != maker.embedder}
