"""The service's state as one `State` in memory: what the demo's contenders start from, and what parity is tested on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.process.records import new_users
from model.process.state import State
from model.process.temporal_model import TemporalModel
from service.core.blobs import unpack_items, unpack_users
from service.errors import StateMismatch
from service.ports import StateStore

CHUNK = 2_000
"""Blobs read at once."""


def read_state(store: StateStore, model: TemporalModel, user_ids: Sequence[str]) -> tuple[State, list[str]]:
    """All items and these users as they stand in the store, and the ids of the items by index.

    Users the store does not know are as new. The state must not move meanwhile: StateMismatch if it did.
    """
    position = store.position()
    count = position.item_count
    item_ids = [item for start in range(0, count, CHUNK) for item in store.item_ids(start, CHUNK)][:count]
    items = [blob for start in range(0, count, CHUNK) for blob in store.items(range(start, min(start + CHUNK, count)))]
    users = [
        blob
        for start in range(0, len(user_ids), CHUNK)
        for blob in store.users([i.encode() for i in user_ids[start : start + CHUNK]])
    ]
    if store.position() != position or None in items:
        raise StateMismatch("the state moved while it was read: wait until the worker has nothing left to apply")
    blank = new_users(1, model.spec, model.initial_user).tobytes()
    rows = unpack_items([blob for blob in items if blob is not None], model.spec)
    known = unpack_users([blank if blob is None else blob for blob in users], model.spec)
    state = State(model, len(user_ids), item_ids, rows["x"], np.asarray(rows["available_from"]))
    state.restore(known, rows, position.log_time)
    return state, item_ids
