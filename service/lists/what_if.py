"""What a user's list would be after some events more: applied to a copy by the process and the graphs that apply every
event, and forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.process.apply import apply
from model.process.batch import Events, Items, Users, stable_hash
from model.process.records import NEVER, UNSET_ITEM, Int
from model.process.temporal_model import TemporalModel
from service.core.blobs import unpack_items
from service.errors import StoreUnavailable
from service.ports import ItemIndex, StateReader


@dataclass(frozen=True, slots=True)
class WhatIf:
    """One event that is not stored. timestamp: unix seconds."""

    item_id: str
    type: str
    timestamp: int
    value: float = 0.0


async def imagine(
    users: Users, events: Sequence[WhatIf], index: ItemIndex, reader: StateReader, model: TemporalModel
) -> None:
    """Applies `events`, in order of time, to the one user of `users`, in place; the store hears nothing of it. Events
    of items that nobody knows are passed over.

    Raises StoreUnavailable, and UnreadableRecord for items that other weights made.
    """
    ordered = sorted(events, key=lambda event: event.timestamp)
    there = [(event, item) for event in ordered if (item := index.find(event.item_id)) is not None]
    if not there:
        return
    touched, place = np.unique(np.array([item for _, item in there], np.int64), return_inverse=True)
    blobs = await reader.items(touched.tolist())
    rows = unpack_items([blob for blob in blobs if blob is not None], model.spec)
    if len(rows) < len(touched):
        raise StoreUnavailable("the state is being made anew")
    spec, hashes = model.spec, _hashes(users, touched, index.ids)
    batch = Events(
        np.zeros(len(there), np.int64),
        place,
        np.array([event.timestamp // spec.time_resolution * spec.time_resolution for event, _ in there], np.int64),
        np.array([spec.type_code(event.type) for event, _ in there], np.uint8),
        np.array([event.value for event, _ in there], np.float32),
        np.zeros(len(there), np.int64),
    )
    items = Items(rows, touched.astype(np.uint32), hashes[touched])
    apply(users, items, batch, index.position.log_time, model, hashes)


def _hashes(users: Users, touched: Int, ids: Sequence[str]) -> NDArray[np.uint64]:
    """Stable hashes by catalogue index, of all items that the user has to do with; 0 for the others."""
    recent = users.rows["nb_item"][(users.rows["nb_time"] != NEVER) & (users.rows["nb_item"] != UNSET_ITEM)]
    own = np.unique(np.concatenate([users.pairs["item"], recent, touched])).astype(np.int64)
    hashes = np.zeros(int(own.max()) + 1, np.uint64)
    known = own[own < len(ids)]
    hashes[known] = stable_hash([ids[item] for item in known.tolist()])
    return hashes
