"""The score of a user's items: user inputs -> temporal embedding -> query against the item index and pair additions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import structlog

from model.process.read import pair_scores, user_inputs
from model.process.records import Float, Int
from model.process.score import widen_users
from model.process.temporal_model import TemporalModel
from service.core.attributes import Mask
from service.core.times import format_time
from service.errors import GraphFailed, MomentPassed
from service.lists.history import turn_away
from service.lists.reading import Known, join
from service.ports import ItemIndex

log = structlog.get_logger("peregrine.scoring")


@dataclass(frozen=True, slots=True)
class Scored:
    """queries: (B, d + P) against the item index; additions: what the users' own pairs add: (user, index, score); dead:
    stages without which this was made; scores: (B, N) of all items, where they were computed in one pass; is_sound:
    whether all of them are finite."""

    queries: Float
    additions: tuple[Int, Int, Float]
    dead: tuple[str, ...] = ()
    scores: Float | None = None
    is_sound: bool = False

    def some(self, start: int, stop: int) -> Scored:
        """Of the users [start, stop); their pairs stand side by side."""
        owner, item, addition = self.additions
        own = slice(*np.searchsorted(owner, (start, stop)))
        additions = owner[own] - start, item[own], addition[own]
        scores = None if self.scores is None else self.scores[start:stop]
        return Scored(self.queries[start:stop], additions, self.dead, scores, self.is_sound)

    def against(self, index: ItemIndex) -> Scored:
        """With the scores of all items, in one matrix pass."""
        return replace(self, scores=index.score_many(self.queries, self.additions))

    @property
    def is_finite(self) -> bool:
        return self.is_sound or bool(np.isfinite(self.queries).all())


def moment(asked: int | None, known: Known, now: int | None) -> Int:
    """(B,) the moment [s] to score each user at: the one asked for, or now. Raises MomentPassed."""
    last = known.users.rows["last"]
    if asked is None:
        return np.asarray(np.maximum(now or 0, last))
    if (passed := last > asked).any():
        newest = int(last[passed][0])
        raise MomentPassed(
            f"at={format_time(asked)} lies before the user's last event at {format_time(newest)}, and memory has moved "
            "past it"
        )
    return np.full(len(last), asked)


def score(known: Known, at: Int, index: ItemIndex, model: TemporalModel) -> Scored:
    """at: (B,) the moment [s] of each user. Raises GraphFailed if there is no embedding."""
    inputs = user_inputs(known.users, at, index.vectors, index.counters, model.spec, known.facets)
    embedded = model.embed_users(inputs)
    h = turn_away(embedded.h, known.users, index, model.spec)
    queries = widen_users(h, embedded.w_pop)
    is_sound = bool(np.isfinite(queries).all())
    try:
        return Scored(queries, pair_scores(inputs, embedded, model), is_sound=is_sound)
    except GraphFailed as exc:
        log.warning("pairs_not_scored", reason=str(exc))
        nothing = np.empty(0, np.int64)
        return Scored(queries, (nothing, nothing, np.empty(0, np.float32)), ("pairs",), is_sound=is_sound)


@dataclass(frozen=True, slots=True)
class Question:
    """Some users to score, each at its moment `at` (B,) [s], against one index."""

    known: Known
    at: Int
    index: ItemIndex
    model: TemporalModel


async def score_together(questions: Sequence[Question]) -> list[Scored]:
    """Each one's answer as `score` gives it, those of one index by one call. Each searches alone: one pass over
    the items for several of them rounds otherwise, and a list must not depend on who else is there."""
    answers: dict[int, Scored] = {}
    for index in {id(one.index): one.index for one in questions}.values():
        places = [place for place, one in enumerate(questions) if one.index is index]
        asked = [questions[place] for place in places]
        known, at = join([one.known for one in asked]), np.concatenate([one.at for one in asked])
        whole = score(known, at, index, asked[0].model)
        starts = np.cumsum([0, *(len(one.known) for one in asked)])
        for place, (start, stop) in zip(places, pairwise(starts.tolist()), strict=True):
            answers[place] = whole.some(start, stop)
    return [answers[place] for place in range(len(questions))]


def search(
    index: ItemIndex, scored: Scored, k: int, exclude: Int, allowed: Mask | None, bonus: Float | None
) -> tuple[Int, Float]:
    """The first user's Top-K."""
    if scored.scores is not None:
        scores = scored.scores[0]
        return index.best(scores if bonus is None else scores + bonus, k, exclude, allowed)
    _, item, addition = scored.additions
    return index.top_k(scored.queries[0], k, (item, addition), exclude, allowed, bonus)


def search_popular(
    index: ItemIndex, k: int, exclude: Int, allowed: Mask | None, bonus: Float | None
) -> tuple[Int, Float]:
    """By counts; a boost's factor multiplies them."""
    counts = index.popularity()
    return index.best(counts if bonus is None else counts * np.exp(bonus), k, exclude, allowed)
