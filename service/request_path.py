"""The request path: the Top-K of a user at a moment. One read of the state, no write.

    state (one round trip) -> what-if events -> user inputs -> temporal embedding -> pair additions -> Top-K under rules

It degrades and says so: without a bundle it serves popular items, without an answer of the state store, too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import structlog

from model.process.records import NEVER, Int
from model.process.temporal_model import TemporalModel
from service.core.crowd import Crowd
from service.core.cursors import Served, known_items, nothing_served, serve
from service.core.log_records import UnreadableRecord
from service.core.profiles import Origin
from service.core.rules import Rules
from service.errors import GraphFailed, StoreUnavailable
from service.lists.explaining import Reason, explain
from service.lists.history import disliked_items, seen_items
from service.lists.reading import Known, Wanted, guest, read_together
from service.lists.scoring import Question, Scored, moment, score_together, search, search_popular
from service.lists.selection import Chosen, Prepared, choose, prepare
from service.lists.together import Together
from service.lists.what_if import WhatIf, imagine
from service.ports import ItemIndex
from service.replica import Replica, View

log = structlog.get_logger("peregrine.request_path")

_NOTHING: Int = np.empty(0, dtype=np.int64)
MOST_READ = 500
"""Users read in one round trip: so many that a store which hangs makes nobody wait for more than one other timeout."""
MIN_OFFSET_WAIT = 0.1
"""Seconds that a request waits for the offset it asks for."""


@dataclass(frozen=True, slots=True)
class Request:
    """user_id: None for a guest; at: unix seconds, None for now; min_offset: of the log, all up to it must be in the
    answer (or it is stale); explain: with reasons; seen_within: with `exclude_seen`, only what the user had in so many
    seconds before the moment is left out; disliked: whether disliked items may be in; rules: None for the plain Top-K;
    served: what the session was shown; events: applied to a copy.
    """

    user_id: str | None
    k: int = 20
    at: int | None = None
    exclude_seen: bool = False
    min_offset: int = 0
    explain: bool = False
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
    in; items_as_of: the log's time of the items; stages: seconds by stage; profile: where the profile comes from that
    is in the list, None without one; reasons: of each item, if they were asked for and the model ranked; pinned,
    explored: ids that stand in the list by a rule; served: what the session has been shown, this list included;
    user_offset: of the user's newest event, 0 if none is known.
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
    pinned: frozenset[str] = frozenset()
    explored: frozenset[str] = frozenset()
    served: Served = field(default_factory=nothing_served)
    user_offset: int = 0


@dataclass(frozen=True, slots=True)
class Serving:
    """What the request path works with. has_bundle: whether `model` has learned anything; reading, scoring: what
    requests under way at the same time do together; crowd: remembers the users whose lists were made."""

    replica: Replica
    model: TemporalModel
    has_bundle: bool
    reading: Together[Wanted, Known | None] = field(default_factory=lambda: Together(read_together, MOST_READ))
    scoring: Together[Question, Scored] = field(default_factory=lambda: Together(score_together))
    crowd: Crowd = field(default_factory=Crowd)


@dataclass(slots=True)
class Watch:
    """Seconds by stage."""

    stages: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + now - self.last
        self.last = now


@dataclass(frozen=True, slots=True)
class Case:
    """One list in the making. known: the user, None if the state does not answer; index: what it is chosen from;
    offset: all events up to it are in, as items may move while others are scored."""

    request: Request
    known: Known | None
    index: ItemIndex
    model: TemporalModel
    watch: Watch
    offset: int

    @classmethod
    def begin(cls, request: Request, known: Known | None, index: ItemIndex, model: TemporalModel, watch: Watch) -> Case:
        applied = index.position.offset
        return cls(request, known, index, model, watch, applied if known is None else min(known.committed, applied))


async def recommend(request: Request, serving: Serving) -> Recommendation:
    """Raises MomentPassed if `request.at` lies before the user's last event (or what-if event), CursorRefused."""
    watch = Watch()
    if request.min_offset:
        await serving.replica.wait_for(request.min_offset, MIN_OFFSET_WAIT)
        watch.lap("wait")
    view = serving.replica.view  # users and items of one generation, though another may become active meanwhile
    known = await _read(request, view, serving)
    watch.lap("state")
    case = Case.begin(request, known, view.index, serving.model, watch)
    if known is None:
        return popular(case, "fallback", dead_stage(view))
    at = moment(request.at, known, serving.replica.now())
    if not serving.has_bundle:
        return popular(case, "popular")
    try:
        scored = await serving.scoring.ask(Question(known, at, view.index, serving.model))
    except GraphFailed as exc:
        log.warning("not_embedded", reason=str(exc))
        return popular(case, "fallback", "embed")
    watch.lap("embed")
    if request.user_id is not None and not request.events and scored.is_finite:
        _remember(serving.crowd, request.user_id, known, scored)
    return ranked(case, known, at, scored, None if request.rules is None else prepare(request.rules, view.index))


def _remember(crowd: Crowd, user_id: str, known: Known, scored: Scored) -> None:
    """Of whom nothing is known, or may be, resembles nobody."""
    if known.users.rows["events"][0] and not known.is_off():
        crowd.note(user_id, scored.queries[0, : known.users.rows["m"].shape[1]])


def ranked(case: Case, known: Known, at: Int, scored: Scored, prepared: Prepared | None) -> Recommendation:
    """The model's list for the user at the moment (1,), under the request's rules if it has some."""
    request, index, model, watch = case.request, case.index, case.model, case.watch
    if not scored.is_finite:
        log.error("embedding_is_not_finite", offset=case.offset)
        return popular(case, "fallback", "embed")
    exclude = left_out(case, int(at[0]))
    watch.lap("rules")
    if prepared is None:
        chosen = Chosen(*search(index, scored, request.k, exclude, None, None))
    else:
        served = known_items(request.served, index.ids)
        chosen = choose(prepared, request.k, exclude, served, partial(search, index, scored))
    watch.lap("search")
    found = answer(case, "impersonal" if known.is_off() else "model", chosen, scored.dead)
    if not request.explain:
        return found
    bonus = None if prepared is None else prepared.bonus
    reasons = explain(known, at, scored, chosen.found, bonus, index, model)
    watch.lap("explain")
    return replace(found, reasons=reasons)


async def _read(request: Request, view: View, serving: Serving) -> Known | None:
    """The user after the request's events, which are applied to a copy. None if the state cannot tell."""
    if view.reader is None:
        return None
    if request.user_id is None:
        known: Known | None = guest(view.index.position.offset, serving.model)
    else:
        known = await serving.reading.ask(Wanted(request.user_id, view.reader, serving.model))
    if known is None or not request.events:
        return known
    after = known.copy()
    try:
        await imagine(after.users, request.events, view.index, view.reader, serving.model)
    except GraphFailed as exc:
        log.warning("what_if_not_applied", reason=str(exc))
        return replace(known, dead=((*known.dead[0], "events"),))
    except (StoreUnavailable, UnreadableRecord) as exc:
        log.warning("items_not_read", reason=str(exc))
        return None
    return after


def dead_stage(view: View) -> str:
    """Which stage is to blame for a user who could not be read."""
    return "items" if view.reader is None else "state"


def left_out(case: Case, at: int) -> Int:
    """Indexes to leave out: what the user dislikes and, with `exclude_seen`, the items of the user's history."""
    if case.known is None:
        return _NOTHING
    request, users, index = case.request, case.known.users, case.index
    pushed = _NOTHING if request.disliked else disliked_items(users, 0, index, case.model.spec)
    if not request.exclude_seen:
        return pushed
    since = None if request.seen_within is None else at - request.seen_within
    return np.concatenate([pushed, seen_items(users, index, since)])


def popular(case: Case, strategy: str, dead: str | None = None) -> Recommendation:
    """A list by counts, under the same rules. dead: the stage that is to blame."""
    request, index = case.request, case.index
    at = index.position.log_time if request.at is None else request.at
    prepared, served = prepare(request.rules or Rules(), index), known_items(request.served, index.ids)
    chosen = choose(prepared, request.k, left_out(case, at), served, partial(search_popular, index))
    case.watch.lap("search")
    return answer(case, strategy, chosen, () if dead is None else (dead,))


def answer(case: Case, strategy: str, chosen: Chosen, degraded: tuple[str, ...] = (), place: int = 0) -> Recommendation:
    """The list, and what it was made from. place: of the user among those that are known."""
    request, known, index = case.request, case.known, case.index
    ids, log_time = index.ids, index.position.log_time
    item_ids = [ids[i] for i in chosen.found.tolist()]
    row = None if known is None else known.users.rows[place]
    last = NEVER if row is None else int(row["last"])
    ranked = known is not None and strategy in {"model", "impersonal"}
    return Recommendation(
        item_ids=item_ids,
        scores=chosen.scores.tolist(),
        strategy=strategy,
        personalised=known is not None and not known.is_off(place),
        degraded=degraded + known.dead[place] if known is not None and ranked else degraded,
        events_seen=0 if row is None else int(row["events"]),
        last_event_at=None if last == NEVER else last,
        offset=case.offset,
        items_as_of=None if log_time == NEVER else log_time,
        stale=known is None or case.offset < request.min_offset,
        stages=case.watch.stages,
        profile=known.origins[place] if known is not None and ranked else None,
        pinned=frozenset(ids[i] for i in chosen.pinned),
        explored=frozenset(ids[i] for i in chosen.explored),
        user_offset=0 if known is None else int(known.users.rows["offset"][0]),
        served=request.served if request.rules is None else serve(request.served, chosen.found, item_ids),
    )
