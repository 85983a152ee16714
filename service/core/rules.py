"""What a shop may ask of a list beyond its order, and how a list is put together from what a search found.

pins at their ranks, a seeded share of slots for exploration, the best of the rest under caps and with diversity
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.process.records import Float, Int
from service.core.attributes import NONE
from service.core.filters import EVERYTHING, Match

POOL = 4
"""How many candidates a place of the list is chosen from where caps or diversity choose."""


@dataclass(frozen=True, slots=True)
class Rules:
    """only, include_ids: what the list is chosen from; hide, exclude_ids: what is in it under no circumstances;
    boosts: each factor multiplies the odds of the items that match; pins: (id, rank from 1), whatever `only`,
    `include_ids` and the user's history say; caps: (`category` or `brand`, items of one value at most); diversity:
    0 is by score alone, 1 by difference alone; exploration: share of places that go to items drawn evenly from all
    that may be in the list, by `seed`.
    """

    only: Match = EVERYTHING
    include_ids: tuple[str, ...] = ()
    hide: tuple[Match, ...] = ()
    exclude_ids: tuple[str, ...] = ()
    boosts: tuple[tuple[Match, float], ...] = ()
    pins: tuple[tuple[str, int], ...] = ()
    caps: tuple[tuple[str, int], ...] = ()
    diversity: float = 0.0
    exploration: float = 0.0
    seed: int = 0


class Caps:
    """Counts the items of a list by category and brand. columns: (N,) codes and how many of one code may be in."""

    def __init__(self, columns: Sequence[tuple[NDArray[np.int32], int]]) -> None:
        self._columns = [(codes, most, Counter[int]()) for codes, most in columns]

    def __bool__(self) -> bool:
        return bool(self._columns)

    def copy(self) -> Caps:
        """The same counts, to try with."""
        other = Caps([])
        other._columns = [(codes, most, taken.copy()) for codes, most, taken in self._columns]
        return other

    def admits(self, index: int) -> bool:
        """Whether there is room for this item."""
        return all((code := int(codes[index])) == NONE or taken[code] < most for codes, most, taken in self._columns)

    def take(self, index: int) -> None:
        for codes, _, taken in self._columns:
            taken[int(codes[index])] += 1

    def shortlist(self, found: Int) -> Int:
        """Places in `found` without those that stand so far behind others of their kind that they have no chance."""
        keep = np.ones(len(found), np.bool_)
        for codes, most, _ in self._columns:
            own = codes[found]
            order = np.argsort(own, kind="stable")
            starts = np.searchsorted(own[order], own[order])
            nth = np.empty(len(found), np.int64)
            nth[order] = np.arange(len(found)) - starts
            keep &= (own == NONE) | (nth < POOL * most)
        return np.flatnonzero(keep)


def pick(found: Int, scores: Float, vectors: Float | None, k: int, caps: Caps, diversity: float) -> list[int]:
    """Places in `found` (best first) of the k that make the list, in its order; `caps` has counted them.

    vectors: (M, d), needed above diversity 0: maximal marginal relevance (Carbonell and Goldstein, 1998), which takes
    the item with the highest (1 - diversity) relevance - diversity max cosine with what was taken; relevance is the
    score scaled to 0..1.
    """
    if vectors is None or not diversity:
        return _pick_in_order(found, k, caps)
    relevance = (1.0 - diversity) * _scaled(scores)
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    closest = np.zeros(len(found), np.float32)
    left = np.ones(len(found), np.bool_)
    picked: list[int] = []
    while len(picked) < k and left.any():
        at = int(np.argmax(np.where(left, relevance - diversity * closest, -np.inf)))
        left[at] = False
        if caps.admits(int(found[at])):
            caps.take(int(found[at]))
            picked.append(at)
            closest = np.maximum(closest, units @ units[at])
    return picked


def _pick_in_order(found: Int, k: int, caps: Caps) -> list[int]:
    if not caps:
        return list(range(min(k, len(found))))
    picked: list[int] = []
    for place, index in enumerate(found.tolist()):
        if len(picked) == k:
            break
        if caps.admits(index):
            caps.take(index)
            picked.append(place)
    return picked


def _scaled(scores: Float) -> Float:
    low, high = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 0.0)
    return (scores - low) / (high - low or 1.0)


def draw(eligible: Int, count: int, caps: Caps, rng: np.random.Generator) -> list[int]:
    """Up to `count` of the `eligible` indexes, each as likely as another, as far as caps admit them."""
    tries = min(len(eligible), POOL * count + 16)
    drawn: list[int] = []
    for index in rng.choice(eligible, tries, replace=False).tolist() if tries else []:
        if len(drawn) < count and caps.admits(index):
            caps.take(index)
            drawn.append(index)
    return drawn


def lay_out(
    pins: Mapping[int, int], drawn: Sequence[int], ranked: Sequence[int], rng: np.random.Generator | None
) -> Int:
    """The list: pins (slot from 0 -> index) at their slots, or as near to them as a short list allows, drawn ones at
    random slots, the ranked ones in order between them. rng: None where nothing was drawn."""
    total = len(pins) + len(drawn) + len(ranked)
    slots = np.full(total, -1, np.int64)
    last = total - 1
    for slot in sorted(pins, reverse=True):
        last = min(slot, last)
        slots[last] = pins[slot]
        last -= 1
    if rng is not None:
        slots[rng.choice(np.flatnonzero(slots < 0), len(drawn), replace=False)] = drawn
    slots[slots < 0] = ranked
    return slots
