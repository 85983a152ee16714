"""Users who resemble one another, among those whose lists this process made lately."""

from __future__ import annotations

from model.process.records import Int
from model.process.temporal_model import TemporalModel
from service.core.crowd import Crowd
from service.lists.reading import Known, read_users
from service.lists.scoring import score
from service.ports import ItemIndex, StateReader

_SPARE = 3
"""Candidates looked up for each place: some may be gone by now."""


async def similar_users(
    user_id: str,
    known: Known,
    at: Int,
    k: int,
    crowd: Crowd,
    index: ItemIndex,
    reader: StateReader,
    model: TemporalModel,
) -> list[tuple[str, float]]:
    """Up to k others by the cosine of their embeddings. Each is looked up again: who was erased or switched off since
    is forgotten. Raises GraphFailed."""
    h = score(known, at, index, model).queries[0, : model.spec.dim]
    candidates = crowd.nearest(h, _SPARE * k, user_id)
    if not candidates:
        return []
    now = await read_users([other for other, _ in candidates], reader, model)
    if now is None:
        return []
    there = [bool(now.users.rows["events"][place]) and not now.is_off(place) for place in range(len(now))]
    crowd.forget([other for (other, _), one in zip(candidates, there, strict=True) if not one])
    return [candidate for candidate, one in zip(candidates, there, strict=True) if one][:k]
