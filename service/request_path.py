"""The request path: the Top-K of a user at a moment. One read of the state, no write.

    state (one round trip) -> user inputs -> temporal embedding -> pair additions -> Top-K

It degrades and says so: without a bundle it serves popular items, without an answer of the state store, too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import structlog

from model.process.batch import Users
from model.process.read import pair_scores, user_inputs
from model.process.records import NEVER, Float, Int, new_users
from model.process.score import widen_users
from model.process.temporal_model import TemporalModel
from model.spec import FACETS
from service.core.blobs import is_off, unpack_users
from service.core.log_records import UnreadableRecord
from service.core.profiles import Origin, StoredProfile, unpack_stored
from service.core.times import format_time
from service.errors import MomentPassed, StoreUnavailable
from service.ports import ItemIndex
from service.replica import Replica, View

log = structlog.get_logger("peregrine.request_path")

MIN_OFFSET_WAIT = 0.1
"""Seconds that a request waits for the offset it asks for."""


CARRIERS = 3
"""Facets, and items, that a reason names at most."""
LOOKED = 8
"""Items of the user's newest events that are looked at for that."""


@dataclass(frozen=True, slots=True)
class Request:
    """at: unix seconds, None for now; min_offset: of the log, all up to it must be in the answer (or it is stale)."""

    user_id: str
    k: int = 20
    at: int | None = None
    exclude_seen: bool = False
    min_offset: int = 0
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """What of the user carried an item's score, each as the score that goes without it; only what raises it.

    facets: by name; items: by id, those of the user's newest events; again: what the user's own events with this item
    add.
    """

    facets: dict[str, float]
    items: dict[str, float]
    again: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The Top-K, best first, and what it was made from.

    strategy: `model`, `impersonal` (the model, for a user who is switched off), `popular` (there is no bundle) or
    `fallback` (popular items because a stage is dead); personalised: False if nothing about the user went into it,
    because of the switch or of a state that does not answer; degraded: the dead stages; offset: all events up to it are
    in; items_as_of: the log's time of the items; stages: seconds by stage; profile: where the profile comes from that
    is in the list, None without one; reasons: of each item, if they were asked for and the model ranked.
    """

    item_ids: list[str]
    scores: list[float]
    strategy: str
    personalised: bool
    degraded: tuple[str, ...]
    events_seen: int
    last_event_at: int | None
    offset: int
    items_as_of: int | None
    stale: bool
    stages: dict[str, float]
    profile: Origin | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Serving:
    """What the request path works with. has_bundle: whether `model` has learned anything."""

    replica: Replica
    model: TemporalModel
    has_bundle: bool


@dataclass(slots=True)
class _Watch:
    """Seconds by stage."""

    stages: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage] = now - self.last
        self.last = now


async def recommend(request: Request, serving: Serving) -> Recommendation:
    """Raises MomentPassed if `request.at` lies before the user's last event."""
    watch = _Watch()
    if request.min_offset:
        await serving.replica.wait_for(request.min_offset, MIN_OFFSET_WAIT)
        watch.lap("wait")
    view = serving.replica.view  # users and items of one generation, though another may become active meanwhile
    index = view.index
    read = await read_user(request.user_id, view, serving.model)
    watch.lap("state")
    if read is None:
        return _popular(request, index, None, index.position.offset, watch, "fallback", ("state",))
    users, committed, stored = read
    offset = min(committed, index.position.offset)
    at = _moment(request.at, users, serving.replica.now())
    if not serving.has_bundle:
        return _popular(request, index, users, offset, watch, "popular")
    facets = None if is_off(users) else stored.inputs(serving.model.spec.embedder, serving.model.spec.facet_dim)
    query, additions = _embed(users, at, index, serving.model, facets)
    watch.lap("embed")
    if not np.isfinite(query).all():
        log.error("embedding_is_not_finite", offset=offset)
        return _popular(request, index, users, offset, watch, "fallback", ("embed",))
    found, scores = index.top_k(query, request.k, additions, _exclude(request, users, index))
    watch.lap("search")
    strategy = "impersonal" if is_off(users) else "model"
    answer = _answer(request, index, users, offset, watch, strategy, (), found, scores)
    if facets is not None and stored.profile is not None:
        answer = replace(answer, profile=stored.profile.origin)
    if not request.explain:
        return answer
    answer = replace(answer, reasons=_explain(users, at, index, serving.model, facets, found, additions))
    watch.lap("explain")
    return answer


async def read_user(user_id: str, view: View, model: TemporalModel) -> tuple[Users, int, StoredProfile] | None:
    """The user's record and pairs, blank if unknown, the committed offset, and the profile; None if the state cannot
    tell."""
    if view.reader is None:
        return None
    try:
        read = await view.reader.user(user_id)
        blob = read.blob or new_users(1, model.spec, model.initial_user).tobytes()
        return unpack_users([blob], model.spec), read.committed, unpack_stored(read.profile, read.edits)
    except (StoreUnavailable, UnreadableRecord) as exc:
        log.warning("state_not_read", reason=str(exc))
        return None


def _moment(asked: int | None, users: Users, now: int | None) -> Int:
    """(1,) the moment [s] to score at: the one asked for, or now."""
    last = int(users.rows["last"][0])
    if asked is not None and asked < last:
        raise MomentPassed(
            f"at={format_time(asked)} lies before the user's last event at {format_time(last)}, and memory has moved "
            "past it"
        )
    at = asked if asked is not None else max(now or 0, last)
    return np.array([at], dtype=np.int64)


def _embed(
    users: Users, at: Int, index: ItemIndex, model: TemporalModel, facets: Float | None
) -> tuple[Float, tuple[Int, Float]]:
    """(d + P,) the query against the item index, and what the user's own pairs add: (indexes, scores)."""
    inputs = user_inputs(users, at, index.vectors, index.counters, model.spec, facets)
    embedded = model.embed_users(inputs)
    _, item, score = pair_scores(inputs, embedded, model)
    return widen_users(embedded.h, embedded.w_pop)[0], (item, score)


def _explain(
    users: Users,
    at: Int,
    index: ItemIndex,
    model: TemporalModel,
    facets: Float | None,
    found: Int,
    additions: tuple[Int, Float],
) -> tuple[Reason, ...]:
    """The user is embedded again without each facet, and without each of the newest items: what h . v loses is what
    that carried."""
    row = users.rows[0]
    newest = list(dict.fromkeys(row["nb_item"][row["nb_time"] != NEVER].tolist()))[:LOOKED]
    variants = _without_each(users, newest)
    count = len(variants)
    if facets is None:
        facets = np.zeros((1, len(FACETS), model.spec.facet_dim), np.float32)
    without = np.repeat(facets, count, axis=0)
    without[np.arange(1, 1 + len(FACETS)), np.arange(len(FACETS))] = 0.0
    inputs = user_inputs(variants, np.repeat(at, count), index.vectors, index.counters, model.spec, without)
    scores = model.embed_users(inputs).h @ index.vectors[found].T  # (count, K)
    lost = scores[0] - scores[1:]
    names = [index.ids[item] if item < len(index.ids) else "" for item in newest]
    again = dict(zip(additions[0].tolist(), additions[1].tolist(), strict=True))
    return tuple(
        Reason(_raising(FACETS, of[: len(FACETS)]), _raising(names, of[len(FACETS) :]), again.get(item, 0.0))
        for item, of in zip(found.tolist(), lost.T, strict=True)
    )


def _without_each(users: Users, items: Sequence[int]) -> Users:
    """The first user once as they are, once for each facet, and once without each of `items`."""
    whole = 1 + len(FACETS)
    rows, pairs = np.repeat(users.rows[:1], whole + len(items)), users.pairs_of(0)
    for place, item in enumerate(items, start=whole):
        rows["nb_time"][place, rows["nb_item"][place] == item] = NEVER
    return Users.gather(rows, [pairs] * whole + [pairs[pairs["item"] != item] for item in items])


def _raising(names: Sequence[str], lost: Float) -> dict[str, float]:
    """The three that carry most, most first."""
    order = np.argsort(-lost, kind="stable")[:CARRIERS].tolist()
    return {names[place]: float(lost[place]) for place in order if lost[place] > 0.0 and names[place]}


def _exclude(request: Request, users: Users | None, index: ItemIndex) -> Int:
    """Indexes to leave out: with `exclude_seen`, the items of the user's history."""
    if not request.exclude_seen or users is None:
        return np.empty(0, dtype=np.int64)
    seen = users.pairs["item"].astype(np.int64)
    return seen[seen < len(index.ids)]


def _popular(
    request: Request,
    index: ItemIndex,
    users: Users | None,
    offset: int,
    watch: _Watch,
    strategy: str,
    degraded: tuple[str, ...] = (),
) -> Recommendation:
    found, counts = index.popular(request.k, _exclude(request, users, index))
    watch.lap("search")
    return _answer(request, index, users, offset, watch, strategy, degraded, found, counts)


def _answer(
    request: Request,
    index: ItemIndex,
    users: Users | None,
    offset: int,
    watch: _Watch,
    strategy: str,
    degraded: tuple[str, ...],
    found: Int,
    scores: Float,
) -> Recommendation:
    ids, log_time = index.ids, index.position.log_time
    last = NEVER if users is None else int(users.rows["last"][0])
    return Recommendation(
        item_ids=[ids[i] for i in found.tolist()],
        scores=scores.tolist(),
        strategy=strategy,
        personalised=users is not None and not is_off(users),
        degraded=degraded,
        events_seen=0 if users is None else int(users.rows["events"][0]),
        last_event_at=None if last == NEVER else last,
        offset=offset,
        items_as_of=None if log_time == NEVER else log_time,
        stale=users is None or offset < request.min_offset,
        stages=watch.stages,
    )
