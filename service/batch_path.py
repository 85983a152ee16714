"""Lists of many users at once: their records in one read, their scores in one matrix pass, block by block.

Between two blocks other requests come first. A list is what `recommend` gives for its user, but for floats that one row
and many round otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import numpy as np
import structlog

from model.process.batch import Users
from model.process.records import Float, Int, new_users
from model.process.temporal_model import TemporalModel
from service.core.attributes import Mask
from service.core.blobs import unpack_users
from service.core.log_records import UnreadableRecord
from service.core.rules import Rules
from service.errors import StoreUnavailable
from service.lists.history import one, some
from service.lists.selection import choose, prepare
from service.ports import ItemIndex
from service.replica import View
from service.request_path import (
    MIN_OFFSET_WAIT,
    Recommendation,
    Request,
    Serving,
    Watch,
    answer,
    embed,
    is_off,
    left_out,
    moment,
    popular,
)

log = structlog.get_logger("peregrine.batch_path")

BLOCK = 2_000_000
"""Scores computed before other requests get their turn."""
_NOBODY: Int = np.empty(0, dtype=np.int64)


async def recommend_many(user_ids: Sequence[str], asked: Request, serving: Serving) -> list[Recommendation]:
    """The lists of `user_ids`, each asked for as in `asked`, whose own user, session and events do not count.

    Raises MomentPassed if `asked.at` lies before the last event of one of them.
    """
    watch = Watch()
    if asked.min_offset:
        await serving.replica.wait_for(asked.min_offset, MIN_OFFSET_WAIT)
        watch.lap("wait")
    view = serving.replica.view
    read = await _read(user_ids, view, serving.model)
    watch.lap("state")
    if read is None:
        applied = view.index.position.offset
        same = popular(asked, serving.model, view.index, None, applied, watch, "fallback", ("state",))
        return [same] * len(user_ids)
    users, committed = read
    offset = min(committed, view.index.position.offset)
    everyone = [one(users, place) for place in range(len(users))]
    at = np.concatenate([moment(asked.at, user, serving.replica.now()) for user in everyone])
    answers: list[Recommendation] = []
    if not serving.has_bundle:
        for user in everyone:
            answers.append(popular(asked, serving.model, view.index, user, offset, watch, "popular"))
            await asyncio.sleep(0)
        return answers
    size = max(1, BLOCK // max(1, len(view.index.ids)))
    for start in range(0, len(users), size):
        block = some(users, start, start + size)
        answers += _block(block, at[start : start + size], asked, view.index, offset, watch, serving.model)
        await asyncio.sleep(0)
    watch.lap("search")
    return answers


async def _read(user_ids: Sequence[str], view: View, model: TemporalModel) -> tuple[Users, int] | None:
    if view.reader is None:
        return None
    try:
        reads = await view.reader.users(user_ids)
        blank = new_users(1, model.spec, model.initial_user).tobytes()
        return unpack_users([read.blob or blank for read in reads], model.spec), min(read.committed for read in reads)
    except (StoreUnavailable, UnreadableRecord) as exc:
        log.warning("state_not_read", reason=str(exc))
        return None


def _block(
    users: Users, at: Int, asked: Request, index: ItemIndex, offset: int, watch: Watch, model: TemporalModel
) -> list[Recommendation]:
    queries, additions = embed(users, at, index, model)
    scores = index.score_many(queries, additions)
    prepared = prepare(asked.rules or Rules(), index)
    answers = []
    for place, query in enumerate(queries):
        user = one(users, place)
        if not np.isfinite(query).all():
            log.error("embedding_is_not_finite", offset=offset)
            answers.append(popular(asked, model, index, user, offset, watch, "fallback", ("embed",)))
            continue
        exclude = left_out(asked, user, index, int(at[place]), model)
        chosen = choose(prepared, asked.k, exclude, _NOBODY, partial(_search, index, scores[place]))
        answers.append(answer(asked, index, user, offset, watch, "impersonal" if is_off(user) else "model", (), chosen))
    return answers


def _search(
    index: ItemIndex, scores: Float, k: int, exclude: Int, allowed: Mask | None, bonus: Float | None
) -> tuple[Int, Float]:
    """Among scores (N,) that are there already."""
    return index.best(scores if bonus is None else scores + bonus, k, exclude, allowed)
