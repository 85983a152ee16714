"""Temporal neighbours: a user's most recent items, in a total order that no arrival order can change.

The order is (timestamp descending, stable hash of the item, item, type); at most n/4 of them share a timestamp, so a
large basket does not push out everything before it. Dropping is final: whatever comes later only ranks a dropped one
lower, so keeping the best n at each step equals choosing from the whole history.
"""

from __future__ import annotations

import numpy as np

from model.process.batch import Events, Items, Users
from model.process.groups import place_in_group
from model.process.records import NEVER, UNSET_ITEM


def add_neighbours(users: Users, items: Items, events: Events, item_hash: np.ndarray) -> None:
    """Merges the events into their users' neighbours, in place.

    item_hash: stable hashes by catalogue index, for the neighbours that `items` does not hold.
    """
    alone = np.bincount(events.user, minlength=len(users))[events.user] == 1
    newest = alone & (events.timestamp > users.rows["nb_time"][events.user, 0])
    _push(users, items, events.take(newest))
    if not newest.all():
        _merge(users, items, events.take(~newest), item_hash)


def _push(users: Users, items: Items, events: Events) -> None:
    """For users with one event, which is newer than all they had: it goes to the front, the others move on."""
    rows = users.rows[events.user]
    for name, first in (("nb_time", events.timestamp), ("nb_item", items.index[events.item]), ("nb_type", events.type)):
        rows[name][:, 1:] = rows[name][:, :-1].copy()
        rows[name][:, 0] = first
    users.rows[events.user] = rows


def _merge(users: Users, items: Items, events: Events, item_hash: np.ndarray) -> None:
    """For all others: the best n of what there is, in the order of the module."""
    touched, local = np.unique(events.user, return_inverse=True)
    old = users.rows[touched]
    n = old["nb_item"].shape[1]
    user = np.concatenate([np.repeat(np.arange(len(touched)), n), local])
    time = np.concatenate([old["nb_time"].ravel(), events.timestamp])
    item = np.concatenate([old["nb_item"].ravel(), items.index[events.item]])
    kind = np.concatenate([old["nb_type"].ravel(), events.type])
    tie = np.concatenate([_hash_of(old["nb_item"].ravel(), item_hash), items.hash[events.item]])

    order = np.lexsort((kind, item, tie, -time, user))
    order = order[time[order] != NEVER]
    moment = _runs(user[order], time[order])
    order = order[place_in_group(moment) < max(1, n // 4)]
    place = place_in_group(user[order])
    order, place = order[place < n], place[place < n]

    fresh = old.copy()
    fresh["nb_time"], fresh["nb_item"], fresh["nb_type"] = NEVER, UNSET_ITEM, 0
    fresh["nb_time"][user[order], place] = time[order]
    fresh["nb_item"][user[order], place] = item[order]
    fresh["nb_type"][user[order], place] = kind[order]
    users.rows[touched] = fresh


def _hash_of(index: np.ndarray, item_hash: np.ndarray) -> np.ndarray:
    known = index != UNSET_ITEM
    out = np.zeros(len(index), dtype=np.uint64)
    out[known] = item_hash[index[known]]
    return out


def _runs(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """A number per run of equal (user, time)."""
    if not len(user):
        return user
    fresh = np.ones(len(user), dtype=np.bool_)
    fresh[1:] = (user[1:] != user[:-1]) | (time[1:] != time[:-1])
    return np.cumsum(fresh)
