"""Lists of many users at once: their records in one read, their scores in one matrix pass, block by block.

Where a search looks at few items only, each list is a search of its own. Between two blocks other requests come first.
A list is what `recommend` gives for its user, but for floats that one row and many round otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from model.process.records import Int
from service.errors import GraphFailed
from service.lists.history import left_out_of_each
from service.lists.reading import Known, read_users
from service.lists.scoring import Scored, moment, score
from service.lists.selection import Chosen, Prepared, prepare
from service.request_path import (
    MIN_OFFSET_WAIT,
    Case,
    Recommendation,
    Request,
    Serving,
    Watch,
    answer,
    dead_stage,
    popular,
    ranked,
)

log = structlog.get_logger("peregrine.batch_path")

BLOCK = 2_000_000
"""Scores computed before other requests get their turn: 8 MB."""
SEARCHES = 16
"""The same where each user's list is searched for by itself, for a search looks at few items."""


async def recommend_many(user_ids: Sequence[str], asked: Request, serving: Serving) -> list[Recommendation]:
    """The lists of `user_ids`, each asked for as in `asked`, whose own user, session and events do not count.

    Raises MomentPassed if `asked.at` lies before the last event of one of them.
    """
    watch = Watch()
    if asked.min_offset:
        await serving.replica.wait_for(asked.min_offset, MIN_OFFSET_WAIT)
        watch.lap("wait")
    view = serving.replica.view
    known = None if view.reader is None else await read_users(user_ids, view.reader, serving.model)
    watch.lap("state")
    case = Case.begin(asked, known, view.index, serving.model, watch)
    if known is None:
        return [popular(case, "fallback", dead_stage(view))] * len(user_ids)
    at = moment(asked.at, known, serving.replica.now())
    answers: list[Recommendation] = []
    size = max(1, BLOCK // max(1, len(view.index.ids))) if view.index.looks_at_all else SEARCHES
    for start in range(0, len(known), size):
        block = known.some(start, start + size)
        answers += (
            _ranked(case, block, at[start : start + size]) if serving.has_bundle else _popular(case, block, "popular")
        )
        await asyncio.sleep(0)
    watch.lap("search")
    return answers


def _popular(case: Case, known: Known, strategy: str, dead: str | None = None) -> list[Recommendation]:
    return [popular(replace(case, known=known.one(place)), strategy, dead) for place in range(len(known))]


def _ranked(case: Case, known: Known, at: Int) -> list[Recommendation]:
    index = case.index
    try:
        scored = score(known, at, index, case.model)
    except GraphFailed as exc:
        log.warning("not_embedded", reason=str(exc))
        return _popular(case, known, "fallback", "embed")
    rules = case.request.rules
    prepared = None if rules is None else prepare(rules, index)
    if index.looks_at_all:
        if scored.is_sound and not case.request.disliked and (prepared is None or prepared.is_a_search):
            return _searched(case, known, at, scored, prepared)
        scored = scored.against(index)
    users = [known.one(place) for place in range(len(known))]
    return [
        ranked(replace(case, known=user), user, at[place : place + 1], scored.some(place, place + 1), prepared)
        for place, user in enumerate(users)
    ]


def _searched(case: Case, known: Known, at: Int, scored: Scored, prepared: Prepared | None) -> list[Recommendation]:
    """Where each list is the best of what may be in it: all of them found at once."""
    request, index = case.request, case.index
    scores = index.score_many(scored.queries, scored.additions)
    if prepared is not None and prepared.bonus is not None:
        scores += prepared.bonus
    spec, seen, within = case.model.spec, request.exclude_seen, request.seen_within
    exclude = left_out_of_each(known.users, at, index, spec, seen, within)
    allowed = None if prepared is None else prepared.allowed
    case = replace(case, known=known, request=replace(request, rules=None))  # nobody turns the page of a batch
    return [
        answer(case, "impersonal" if known.is_off(place) else "model", Chosen(*found), scored.dead, place)
        for place, found in enumerate(index.best_many(scores, request.k, exclude, allowed))
    ]
