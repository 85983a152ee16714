"""Two live models side by side before one takes the other's place: lists for the same users at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from threading import Event as Flag
from typing import Any

import numpy as np

from model.process.records import Float
from service.batch_path import recommend_many
from service.core.live_models import LiveModel
from service.errors import StoreUnavailable
from service.ports import ItemIndex
from service.request_path import Recommendation, Request, Serving

K = 20
LEAST_COVERAGE = 0.1
"""A model whose lists show so much fewer items than the other's has collapsed."""
_READY_SECONDS = 120.0

Serve = Callable[[LiveModel], AbstractAsyncContextManager[Serving]]


@dataclass(frozen=True)
class Comparing:
    """serve: follows a live model's items for the time of the block; users: whom to compare lists of."""

    serve: Serve
    users: Callable[[], Sequence[str]]

    def __call__(self, serving: LiveModel, new: LiveModel, _: Flag) -> dict[str, Any]:
        """What the lists have in common; `reason`, if the new ones must not be shown. Blocks."""
        return asyncio.run(self._compare(serving, new))

    async def _compare(self, serving: LiveModel, new: LiveModel) -> dict[str, Any]:
        users = list(self.users())
        if not users:
            return {"lists": {"users": 0}}
        async with self.serve(serving) as old_serving, self.serve(new) as new_serving:
            old = await _lists(users, old_serving)
            ours = await _lists(users, new_serving)
            index = new_serving.replica.index
        return judge(old, ours, index)


async def _lists(users: Sequence[str], serving: Serving) -> list[Recommendation]:
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while serving.replica.reasons:
                await asyncio.sleep(0.05)
    except TimeoutError as exc:
        raise StoreUnavailable(f"the items were not loaded: {'; '.join(serving.replica.reasons)}") from exc
    return await recommend_many(users, Request(None, K), serving)


def judge(old: Sequence[Recommendation], new: Sequence[Recommendation], index: ItemIndex) -> dict[str, Any]:
    """overlap: mean share of the old list's items that are in the new one; coverage: share of all items that are on any
    list; popularity: mean percentile of listed items by their recent counts; answered: share of lists by the model."""
    overlaps = [
        len(set(a.item_ids) & set(b.item_ids)) / len(a.item_ids) for a, b in zip(old, new, strict=True) if a.item_ids
    ]
    percentiles = _percentiles(index.popularity())
    sides = {"old": old, "new": new}
    figures = {
        "users": len(new),
        "overlap": float(np.mean(overlaps)) if overlaps else None,
        "coverage": {name: _coverage(side, len(index.ids)) for name, side in sides.items()},
        "popularity": {name: _popularity(side, index, percentiles) for name, side in sides.items()},
        "answered": {
            name: float(np.mean([one.strategy != "fallback" for one in side])) for name, side in sides.items()
        },
    }
    return {"lists": figures, "reason": _objection(figures)}


def _objection(figures: dict[str, Any]) -> str:
    answered, coverage = figures["answered"], figures["coverage"]
    if answered["new"] < answered["old"]:
        return f"the model cannot make the lists of {1 - answered['new']:.1%} of the sampled users"
    if coverage["new"] < LEAST_COVERAGE * coverage["old"]:
        return f"its lists show {coverage['new']:.2%} of the items, those of the active model {coverage['old']:.2%}"
    return ""


def _coverage(lists: Sequence[Recommendation], items: int) -> float:
    return len({item for one in lists for item in one.item_ids}) / max(1, items)


def _popularity(lists: Sequence[Recommendation], index: ItemIndex, percentiles: Float) -> float | None:
    places = [place for one in lists for item in one.item_ids if (place := index.find(item)) is not None]
    return float(percentiles[places].mean()) if places else None


def _percentiles(counts: Float) -> Float:
    """(N,) share of the items with lower counts, equal ones by half."""
    ordered = np.sort(counts)
    below, upto = np.searchsorted(ordered, counts, "left"), np.searchsorted(ordered, counts, "right")
    found: Float = ((below + upto) / (2 * max(1, len(counts)))).astype(np.float32)
    return found
