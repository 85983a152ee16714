"""Markers: records of the log that are about a user and no event. Erase, switch off, switch on.

Switching off forgets what was learned of the user and leaves a blank record with a flag; switching on takes the flag
away, so that the user starts again as one who did nothing yet. Switching on a user who is on changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.process.batch import Users
from model.process.records import PAIR, SWITCHED_OFF, Int, new_users
from model.process.temporal_model import TemporalModel
from service.core.blobs import pack_users
from service.core.log_records import ERASE, Columns


@dataclass(frozen=True, slots=True)
class Marked:
    """What markers leave: users to be deleted, and records to be written by user id (UTF-8)."""

    deleted: tuple[bytes, ...]
    users: dict[bytes, bytes] = field(default_factory=dict)


def mark(
    kind: int, columns: Columns, places: Int, load: Callable[[Sequence[bytes]], Users], model: TemporalModel
) -> Marked:
    """What the markers at `places` leave, which are all of one kind; nothing if there are none. load: records of users
    by id."""
    ids = [columns.user[place] for place in places.tolist()]
    if kind == ERASE:
        return Marked(tuple(dict.fromkeys(ids)))
    switched = list(zip(ids, columns.value[places].astype(bool).tolist(), strict=True))
    off_at_times = {user_id for user_id, on in switched if not on}
    off = [user_id for user_id, on in dict(switched).items() if not on]
    on = [user_id for user_id, on in dict(switched).items() if on]
    was_off = load(on).rows["flags"] & SWITCHED_OFF != 0
    deleted = (user_id for user_id, was in zip(on, was_off.tolist(), strict=True) if was or user_id in off_at_times)
    return Marked(tuple(deleted), _switched_off(off, model))


def _switched_off(user_ids: Sequence[bytes], model: TemporalModel) -> dict[bytes, bytes]:
    rows = new_users(len(user_ids), model.spec, model.initial_user)
    rows["flags"] |= SWITCHED_OFF
    users = Users.gather(rows, [np.empty(0, PAIR)] * len(user_ids))
    return dict(zip(user_ids, pack_users(users), strict=True))
