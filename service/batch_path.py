"""Lists of many users at once: their records in one read, their scores in one matrix pass, block by block.

Between two blocks other requests come first. A list is what `recommend` gives for its user, but for floats that one row
and many round otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import structlog

from model.process.records import Int
from service.errors import GraphFailed
from service.lists.reading import Known, read_users
from service.lists.scoring import moment, score
from service.lists.selection import prepare
from service.request_path import (
    MIN_OFFSET_WAIT,
    Case,
    Recommendation,
    Request,
    Serving,
    Watch,
    dead_stage,
    popular,
    ranked,
)

log = structlog.get_logger("peregrine.batch_path")

BLOCK = 2_000_000
"""Scores computed before other requests get their turn: 8 MB."""


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
    now = serving.replica.now()
    at = np.concatenate([moment(asked.at, known.one(place), now) for place in range(len(known))])
    answers: list[Recommendation] = []
    size = max(1, BLOCK // max(1, len(view.index.ids)))
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
    scored = scored.against(index)
    rules = case.request.rules
    prepared = None if rules is None else prepare(rules, index)
    users = [known.one(place) for place in range(len(known))]
    return [
        ranked(replace(case, known=user), user, at[place : place + 1], scored.some(place, place + 1), prepared)
        for place, user in enumerate(users)
    ]
