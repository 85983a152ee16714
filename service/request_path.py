"""The request path: the Top-K of a user at a moment. One read of the state, no write.

    state (one round trip) -> what-if events -> user inputs -> temporal embedding -> pair additions -> Top-K under rules

It degrades and says so: without a bundle it serves popular items, without an answer of the state store, too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import structlog

from model.process.batch import Users
from model.process.read import pair_scores, user_inputs
from model.process.records import NEVER, PAIR, SWITCHED_OFF, Float, Int, new_users
from model.process.score import widen_users
from model.process.temporal_model import TemporalModel
from service.core.attributes import Mask
from service.core.blobs import unpack_users
from service.core.cursors import Served, known, nothing_served, serve
from service.core.log_records import UnreadableRecord
from service.core.rules import Rules
from service.core.times import format_time
from service.errors import MomentPassed, StoreUnavailable
from service.lists.history import disliked_items, seen_items, turn_away
from service.lists.selection import Chosen, choose, prepare
from service.lists.what_if import WhatIf, imagine
from service.ports import ItemIndex
from service.replica import Replica, View

log = structlog.get_logger("peregrine.request_path")

_NOTHING: Int = np.empty(0, dtype=np.int64)
MIN_OFFSET_WAIT = 0.1
"""Seconds that a request waits for the offset it asks for."""


@dataclass(frozen=True, slots=True)
class Request:
    """user_id: None for a guest; at: unix seconds, None for now; min_offset: of the log, all up to it must be in the
    answer (or it is stale); seen_within: with `exclude_seen`, only what the user had in so many seconds before the
    moment is left out; disliked: whether disliked items may be in; rules: None for the plain Top-K; served: what the
    session was shown; events: applied to a copy.
    """

    user_id: str | None
    k: int = 20
    at: int | None = None
    exclude_seen: bool = False
    min_offset: int = 0
    seen_within: int | None = None
    disliked: bool = False
    rules: Rules | None = None
    served: Served = field(default_factory=nothing_served)
    events: tuple[WhatIf, ...] = ()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The Top-K, best first, and what it was made from.

    strategy: `model`, `impersonal` (the model, for a user who is switched off), `popular` (there is no bundle) or
    `fallback` (popular items because a stage is dead); personalised: False if nothing about the user went into it,
    because of the switch or of a state that does not answer; degraded: the dead stages; offset: all events up to it are
    in; items_as_of: the log's time of the items; stages: seconds by stage; pinned, explored: ids that stand in the list
    by a rule; served: what the session has been shown, this list included.
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
    pinned: frozenset[str] = frozenset()
    explored: frozenset[str] = frozenset()
    served: Served = field(default_factory=nothing_served)


@dataclass(frozen=True, slots=True)
class Serving:
    """What the request path works with. has_bundle: whether `model` has learned anything."""

    replica: Replica
    model: TemporalModel
    has_bundle: bool


@dataclass(slots=True)
class Watch:
    """Seconds by stage."""

    stages: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage] = now - self.last
        self.last = now


async def recommend(request: Request, serving: Serving) -> Recommendation:
    """Raises MomentPassed if `request.at` lies before the user's last event (or what-if event), CursorRefused."""
    watch = Watch()
    if request.min_offset:
        await serving.replica.wait_for(request.min_offset, MIN_OFFSET_WAIT)
        watch.lap("wait")
    view = serving.replica.view  # users and items of one generation, though another may become active meanwhile
    index = view.index
    read = await read_user(request.user_id, view, serving.model)
    if read is not None and request.events:
        read = await _imagine(request, read, view, serving.model)
    watch.lap("state")
    if read is None:
        return popular(request, serving.model, index, None, index.position.offset, watch, "fallback", ("state",))
    users, committed = read
    offset = min(committed, index.position.offset)
    at = moment(request.at, users, serving.replica.now())
    if not serving.has_bundle:
        return popular(request, serving.model, index, users, offset, watch, "popular")
    queries, (_, item, addition) = embed(users, at, index, serving.model)
    watch.lap("embed")
    if not np.isfinite(queries).all():
        log.error("embedding_is_not_finite", offset=offset)
        return popular(request, serving.model, index, users, offset, watch, "fallback", ("embed",))
    exclude = left_out(request, users, index, int(at[0]), serving.model)
    if request.rules is None:
        chosen = Chosen(*index.top_k(queries[0], request.k, (item, addition), exclude))
    else:
        search = partial(_search, index, queries[0], (item, addition))
        served = known(request.served, index.ids)
        chosen = choose(prepare(request.rules, index), request.k, exclude, served, search)
    watch.lap("search")
    strategy = "impersonal" if is_off(users) else "model"
    return answer(request, index, users, offset, watch, strategy, (), chosen)


async def read_user(user_id: str | None, view: View, model: TemporalModel) -> tuple[Users, int] | None:
    """The user's record and pairs, blank if unknown or a guest's, and the committed offset; None if the state cannot
    tell."""
    if view.reader is None:
        return None
    if user_id is None:
        blank = new_users(1, model.spec, model.initial_user)
        return Users.gather(blank, [np.empty(0, PAIR)]), view.index.position.offset
    try:
        read = await view.reader.user(user_id)
        blob = read.blob or new_users(1, model.spec, model.initial_user).tobytes()
        return unpack_users([blob], model.spec), read.committed
    except (StoreUnavailable, UnreadableRecord) as exc:
        log.warning("state_not_read", reason=str(exc))
        return None


async def _imagine(
    request: Request, read: tuple[Users, int], view: View, model: TemporalModel
) -> tuple[Users, int] | None:
    """The user after the request's events. What was read is a copy of what the state holds."""
    users, committed = read
    if view.reader is None:
        return None
    try:
        await imagine(users, request.events, view.index, view.reader, model)
    except (StoreUnavailable, UnreadableRecord) as exc:
        log.warning("items_not_read", reason=str(exc))
        return None
    return users, committed


def is_off(users: Users) -> bool:
    """Whether the first of `users` is switched off."""
    return bool(users.rows["flags"][0] & SWITCHED_OFF)


def moment(asked: int | None, users: Users, now: int | None) -> Int:
    """(1,) the moment [s] to score at: the one asked for, or now."""
    last = int(users.rows["last"][0])
    if asked is not None and asked < last:
        raise MomentPassed(
            f"at={format_time(asked)} lies before the user's last event at {format_time(last)}, and memory has moved "
            "past it"
        )
    at = asked if asked is not None else max(now or 0, last)
    return np.array([at], dtype=np.int64)


def embed(users: Users, at: Int, index: ItemIndex, model: TemporalModel) -> tuple[Float, tuple[Int, Int, Float]]:
    """(B, d + P) the queries against the item index at moments (B,), and what the users' own pairs add: (user, index,
    score)."""
    inputs = user_inputs(users, at, index.vectors, index.counters, model.spec)
    embedded = model.embed_users(inputs)
    pairs = pair_scores(inputs, embedded, model)
    return widen_users(turn_away(embedded.h, users, index, model.spec), embedded.w_pop), pairs


def _search(
    index: ItemIndex,
    query: Float,
    additions: tuple[Int, Float],
    k: int,
    exclude: Int,
    allowed: Mask | None,
    bonus: Float | None,
) -> tuple[Int, Float]:
    return index.top_k(query, k, additions, exclude, allowed, bonus)


def search_popular(
    index: ItemIndex, k: int, exclude: Int, allowed: Mask | None, bonus: Float | None
) -> tuple[Int, Float]:
    """By counts; a boost's factor multiplies them."""
    counts = index.popularity()
    return index.best(counts if bonus is None else counts * np.exp(bonus), k, exclude, allowed)


def left_out(request: Request, users: Users | None, index: ItemIndex, at: int, model: TemporalModel) -> Int:
    """Indexes to leave out: what the user dislikes and, with `exclude_seen`, the items of the user's history."""
    if users is None:
        return _NOTHING
    pushed = _NOTHING if request.disliked else disliked_items(users.rows[0], index, model.spec)
    if not request.exclude_seen:
        return pushed
    since = None if request.seen_within is None else at - request.seen_within
    return np.concatenate([pushed, seen_items(users, index, since)])


def popular(
    request: Request,
    model: TemporalModel,
    index: ItemIndex,
    users: Users | None,
    offset: int,
    watch: Watch,
    strategy: str,
    degraded: tuple[str, ...] = (),
) -> Recommendation:
    """A list by counts, under the same rules."""
    at = index.position.log_time if request.at is None else request.at
    prepared, served = prepare(request.rules or Rules(), index), known(request.served, index.ids)
    exclude = left_out(request, users, index, at, model)
    chosen = choose(prepared, request.k, exclude, served, partial(search_popular, index))
    watch.lap("search")
    return answer(request, index, users, offset, watch, strategy, degraded, chosen)


def answer(
    request: Request,
    index: ItemIndex,
    users: Users | None,
    offset: int,
    watch: Watch,
    strategy: str,
    degraded: tuple[str, ...],
    chosen: Chosen,
) -> Recommendation:
    """The list of a user (None: nobody's, for the state does not answer), and what it was made from."""
    ids, log_time = index.ids, index.position.log_time
    item_ids = [ids[i] for i in chosen.found.tolist()]
    last = NEVER if users is None else int(users.rows["last"][0])
    return Recommendation(
        item_ids=item_ids,
        scores=chosen.scores.tolist(),
        strategy=strategy,
        personalised=users is not None and not is_off(users),
        degraded=degraded,
        events_seen=0 if users is None else int(users.rows["events"][0]),
        last_event_at=None if last == NEVER else last,
        offset=offset,
        items_as_of=None if log_time == NEVER else log_time,
        stale=users is None or offset < request.min_offset,
        stages=watch.stages,
        pinned=frozenset(ids[i] for i in chosen.pinned),
        explored=frozenset(ids[i] for i in chosen.explored),
        served=request.served if request.rules is None else serve(request.served, chosen.found, item_ids),
    )
