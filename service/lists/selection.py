"""A list under rules: what may be in it is decided inside the search, so there are k items wherever there are k."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.process.records import Float, Int
from service.core.attributes import Mask
from service.core.filters import EVERYTHING, Match, matching, named, places
from service.core.rules import POOL, Caps, Rules, draw, lay_out, pick
from service.ports import ItemIndex

Search = Callable[[int, Int, Mask | None, Float | None], tuple[Int, Float]]
"""(k, indexes to leave out, allowed (N,), bonus (N,) on log odds) -> (index, score), best first."""

_NONE: Int = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Chosen:
    """found, scores: the list in its order; pinned, explored: indexes of those that stand there by a rule."""

    found: Int
    scores: Float
    pinned: frozenset[int] = frozenset()
    explored: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rules as masks over the items of one index, the same for all users. open_to: what even a pin must fulfil;
    allowed: what all other items must; bonus: on their log odds; each (N,), or None where nothing is asked."""

    rules: Rules
    index: ItemIndex
    open_to: Mask | None
    allowed: Mask | None
    bonus: Float | None

    @property
    def is_a_search(self) -> bool:
        """Whether nothing is asked of the list as a whole, so that the best of what may be in it are the list."""
        rules = self.rules
        return not (rules.pins or rules.caps or rules.diversity or rules.exploration)


def prepare(rules: Rules, index: ItemIndex) -> Prepared:
    """Holds until the index is written again."""
    open_to, allowed = _masks(rules, index)
    return Prepared(rules, index, open_to, allowed, _bonus(rules, index))


def choose(prepared: Prepared, k: int, exclude: Int, served: Int, search: Search) -> Chosen:
    """A list of k. exclude: indexes that the user's history leaves out; served: those of the session's former pages,
    whose next one begins at rank len(served) + 1."""
    rules, index = prepared.rules, prepared.index
    allowed, bonus = prepared.allowed, prepared.bonus
    pins = _pins(rules, index, prepared.open_to, served, k)
    pinned = places([item_id for item_id, _ in rules.pins], index.find)  # on another page, too, they are not ranked
    exclude = np.concatenate([exclude, served, pinned])
    caps = Caps([(index.attributes.codes(field), most) for field, most in rules.caps])
    for item in pins.values():
        caps.take(item)
    rng = np.random.default_rng([rules.seed, len(served)]) if rules.exploration else None
    drawn = [] if rng is None else _explore(rules, k - len(pins), allowed, exclude, caps, index, rng)
    exclude = np.concatenate([exclude, np.array(drawn, np.int64)])
    found, scores = _rank(rules, k - len(pins) - len(drawn), exclude, allowed, bonus, caps, search, index)
    placed = lay_out(pins, drawn, found.tolist(), rng)
    by_rule = np.array([*pins.values(), *drawn], np.int64)
    score_of = dict(zip(found.tolist(), scores.tolist(), strict=True)) | _scores(by_rule, bonus, search, index)
    return Chosen(
        placed,
        np.array([score_of[item] for item in placed.tolist()], np.float32),
        frozenset(pins.values()),
        frozenset(drawn),
    )


def mask_of(match: Match, index: ItemIndex) -> Mask | None:
    """(N,) the items that match; None if all do."""
    if match == EVERYTHING:
        return None
    return matching(match, index.attributes, index.counters, index.position.log_time, index.find)


def both(left: Mask | None, right: Mask | None) -> Mask | None:
    """What two conditions leave; None is a condition that all fulfil."""
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _masks(rules: Rules, index: ItemIndex) -> tuple[Mask | None, Mask | None]:
    """(what even a pin may be, what all else may be)."""
    open_to = None
    for match in (*rules.hide, Match(item_ids=rules.exclude_ids)):
        if (hidden := mask_of(match, index)) is not None:
            open_to = both(open_to, ~hidden)
    included = named(rules.include_ids, len(index.ids), index.find) if rules.include_ids else None
    return open_to, both(both(open_to, mask_of(rules.only, index)), included)


def _bonus(rules: Rules, index: ItemIndex) -> Float | None:
    """(N,) the logs of the boosts' factors: scores are log odds."""
    if not rules.boosts:
        return None
    bonus = np.zeros(len(index.ids), np.float32)
    for match, factor in rules.boosts:
        mask = mask_of(match, index)
        bonus[slice(None) if mask is None else mask] += np.float32(np.log(factor))
    return bonus


def _pins(rules: Rules, index: ItemIndex, open_to: Mask | None, served: Int, k: int) -> dict[int, int]:
    """By slot of this page, from 0: the pinned items that are there to be shown."""
    pins = {}
    for item_id, rank in rules.pins:
        item, slot = index.find(item_id), rank - 1 - len(served)
        if item is None or not 0 <= slot < k or not index.available[item] or item in served:
            continue
        if open_to is None or open_to[item]:
            pins[slot] = item
    return pins


def _explore(
    rules: Rules,
    room: int,
    allowed: Mask | None,
    exclude: Int,
    caps: Caps,
    index: ItemIndex,
    rng: np.random.Generator,
) -> list[int]:
    """Items drawn evenly from all that may be in the list; the share holds on the average of many lists."""
    count = min(room, int(rules.exploration * room + rng.random()))
    if count <= 0:
        return []
    eligible = index.available.copy() if allowed is None else index.available & allowed
    eligible[exclude[exclude < len(eligible)]] = False
    return draw(np.flatnonzero(eligible), count, caps, rng)


def _rank(
    rules: Rules,
    k: int,
    exclude: Int,
    allowed: Mask | None,
    bonus: Float | None,
    caps: Caps,
    search: Search,
    index: ItemIndex,
) -> tuple[Int, Float]:
    """The best k under caps and diversity; looks at more candidates until there are k, or no more candidates."""
    plain = not caps and not rules.diversity
    size = k if plain else POOL * k
    while True:
        found, scores = search(size, exclude, allowed, bonus)
        short = caps.shortlist(found) if caps else np.arange(len(found))
        vectors = index.vectors[found[short]] if rules.diversity else None
        trial = caps.copy()
        picked = short[pick(found[short], scores[short], vectors, k, trial, rules.diversity)]
        if len(picked) >= k or len(found) < size:
            return found[picked], scores[picked]
        size *= POOL


def _scores(wanted: Int, bonus: Float | None, search: Search, index: ItemIndex) -> dict[int, float]:
    """Scores of the items at `wanted`, which are available."""
    if not len(wanted):
        return {}
    mask = np.zeros(len(index.ids), np.bool_)
    mask[wanted] = True
    found, scores = search(len(wanted), _NONE, mask, bonus)
    return dict(zip(found.tolist(), scores.tolist(), strict=True))
