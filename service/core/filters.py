"""Which items a rule speaks of: conditions on attributes, as one mask over the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model.process.records import NEVER, Int, Records
from service.core.attributes import Attributes, Mask, Scalar, attribute_term, tag_term

Find = Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class Match:
    """An item matches if it fulfils every condition that is given; of several values of one condition, any will do.

    tags: any of them; all_tags: all of them; attributes: name and values; prices: both ends belong to it, and an item
    without a price matches neither; max_age: seconds since the item was first to be had.
    """

    item_ids: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    brand: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    all_tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, tuple[Scalar, ...]], ...] = ()
    min_price: float | None = None
    max_price: float | None = None
    max_age: int | None = None


EVERYTHING = Match()


def matching(match: Match, items: Attributes, counters: Records, log_time: int, find: Find) -> Mask:
    """(N,) the items that match. counters: (N,) records; log_time: unix seconds that ages are judged by."""
    mask = np.ones(len(counters), np.bool_)
    if match.item_ids:
        mask &= named(match.item_ids, len(mask), find)
    for field, values in (("category", match.category), ("brand", match.brand)):
        if values:
            mask &= _coded(items, field, values)
    if match.tags:
        mask &= _bearing(items, [tag_term(tag) for tag in match.tags])
    for tag in match.all_tags:
        mask &= _bearing(items, [tag_term(tag)])
    for name, scalars in match.attributes:
        mask &= _bearing(items, [attribute_term(name, scalar) for scalar in scalars])
    if match.min_price is not None:
        mask &= items.price >= match.min_price
    if match.max_price is not None:
        mask &= items.price <= match.max_price
    if match.max_age is not None:
        mask &= log_time - born(counters) <= match.max_age
    return mask


def born(counters: Records) -> Int:
    """(N,) when each item was first to be had [s]: its first event or its release, whichever came first; NEVER if
    neither is known."""
    first, release = counters["first_event"], counters["available_from"]
    earliest = np.minimum(np.where(first == NEVER, -NEVER, first), release)
    return np.where(earliest == -NEVER, NEVER, earliest)


def places(item_ids: Sequence[str], find: Find) -> Int:
    """Indexes of the ids that are known."""
    found = (find(item_id) for item_id in item_ids)
    return np.array([index for index in found if index is not None], dtype=np.int64)


def named(item_ids: Sequence[str], count: int, find: Find) -> Mask:
    """(count,) the items of these ids."""
    mask = np.zeros(count, np.bool_)
    mask[places(item_ids, find)] = True
    return mask


def _coded(items: Attributes, field: str, values: Sequence[str]) -> Mask:
    codes = [code for value in values if (code := items.code(field, value)) is not None]
    column = items.codes(field)
    if len(codes) == 1:
        return np.asarray(column == codes[0])
    return np.isin(column, codes)


def _bearing(items: Attributes, terms: Sequence[str]) -> Mask:
    mask = np.zeros(len(items), np.bool_)
    for term in terms:
        mask[items.owners(term)] = True
    return mask
