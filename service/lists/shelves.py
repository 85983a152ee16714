"""Lists that are nobody's own: similar, trending, popular and latest items, all under filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model.process.records import NEVER, Float, Int
from model.spec import ModelSpec
from service.core.filters import Match, born
from service.core.rankings import rises, youth
from service.lists.selection import mask_of
from service.ports import ItemIndex

_NOTHING: Int = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Items best first. shown: figures of each, by name, (k,) each; the list is in order of the first."""

    item_ids: list[str]
    shown: Mapping[str, Float]


def similar(item_id: str, match: Match, k: int, index: ItemIndex) -> Shelf | None:
    """By the cosine of the items' vectors, text half and memory; None for an item that nobody knows."""
    item = index.find(item_id)
    if item is None:
        return None
    found, cosines = index.nearest(index.vectors[item], k, np.array([item]), mask_of(match, index))
    return _shelf(found, index, {"score": cosines})


def trending(match: Match, k: int, index: ItemIndex, spec: ModelSpec, by_velocity: bool) -> Shelf:
    """By the rise of counts, or by how fast memory moves; both are shown. Items without an event are in neither."""
    moved = index.counters["first_event"] != NEVER
    rise, velocity = rises(index.counters, index.position.log_time, spec), index.velocity
    allowed = mask_of(match, index)
    found, _ = index.best(velocity if by_velocity else rise, k, _NOTHING, moved if allowed is None else moved & allowed)
    return _shelf(found, index, {"rise": rise[found], "velocity": velocity[found], "count": index.popularity()[found]})


def popular(match: Match, k: int, index: ItemIndex) -> Shelf:
    """By counts with a half-life of 7 days."""
    found, counts = index.best(index.popularity(), k, _NOTHING, mask_of(match, index))
    return _shelf(found, index, {"count": counts})


def latest(match: Match, k: int, index: ItemIndex) -> tuple[Shelf, Int]:
    """By release or first event, whichever was earlier; and those times [s]."""
    log_time = index.position.log_time
    found, _ = index.best(youth(index.counters, log_time), k, _NOTHING, mask_of(match, index))
    return _shelf(found, index, {}), born(index.counters[found])


def _shelf(found: Int, index: ItemIndex, shown: Mapping[str, Float]) -> Shelf:
    return Shelf([index.ids[item] for item in found.tolist()], shown)
