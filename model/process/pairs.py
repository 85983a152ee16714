"""Pairs: what a user did with each item, exact up to a cap, and the items' repurchase statistics they imply."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.process.batch import Events, Items, Users
from model.process.decay import decay
from model.process.groups import place_in_group
from model.process.records import NEVER, PAIR, Float, Int, Records
from model.spec import ModelSpec


def add_pairs(
    users: Users, items: Items, events: Events, moment: Int, spec: ModelSpec, item_hash: NDArray[np.uint64]
) -> None:
    """Counts the events into `users.pairs` (new pairs are inserted) and repeats into `items.rows`, in place.

    moment: (E,) 0 for the user's open moment, 1, 2, ... for those that these events open. A user above the cap loses
    pairs when a moment opens, never inside one, so that the order inside a timestamp cannot decide which.
    """
    crowded = _crowded(users, items, events, spec.max_pairs)
    free = np.flatnonzero(~crowded[events.user])
    _add(users, items, events.take(free), spec)
    for step in range(int(moment[crowded[events.user]].max(initial=-1)) + 1):
        here = np.flatnonzero(crowded[events.user] & (moment == step))
        if step:
            _evict(users, np.unique(events.user[here]), spec.max_pairs, item_hash)
        _add(users, items, events.take(here), spec)


def _crowded(users: Users, items: Items, events: Events, cap: int) -> NDArray[np.bool_]:
    """(B,) users who may pass the cap within these events."""
    added = np.bincount(np.unique(_keys(events.user, items.index[events.item])) >> 32, minlength=len(users))
    return np.asarray(np.diff(users.starts) + added > cap)


def _add(users: Users, items: Items, events: Events, spec: ModelSpec) -> None:
    keys = _keys(events.user, items.index[events.item])
    _insert_new(users, np.unique(keys))
    place = np.searchsorted(_keys(users.owner(), users.pairs["item"]), keys)
    weight = np.asarray(spec.weights(), dtype=np.float32)[events.type]
    order = np.argsort(place, kind="stable")  # inside a pair in log order
    nth = place_in_group(place[order])
    for step in range(int(nth.max(initial=-1)) + 1):
        which = order[nth == step]
        _count(users.pairs, items.rows, place[which], events.item[which], events.timestamp[which], weight[which], spec)


def _keys(user: Int, item: np.ndarray) -> Int:
    return (user.astype(np.int64) << 32) | item.astype(np.int64)


def _insert_new(users: Users, keys: Int) -> None:
    """Inserts blank records for the (user, item) keys that have none; keeps (user, item) order."""
    present = _keys(users.owner(), users.pairs["item"])
    at = np.searchsorted(present, keys)
    missing = np.ones(len(keys), dtype=np.bool_)
    inside = at < len(present)
    missing[inside] = present[at[inside]] != keys[inside]
    if not missing.any():
        return
    blank = np.zeros(int(missing.sum()), dtype=PAIR)
    blank["item"] = keys[missing] & 0xFFFFFFFF
    blank["first"], blank["last"] = -NEVER, NEVER
    users.pairs = np.insert(users.pairs, at[missing], blank)
    added = np.bincount(keys[missing] >> 32, minlength=len(users))
    users.starts = users.starts + np.concatenate([[0], np.cumsum(added)])


def _count(
    pairs: Records, items: Records, place: Int, item: Int, timestamp: Int, weight: Float, spec: ModelSpec
) -> None:
    """One event for each of some distinct pairs."""
    pair = pairs[place]
    new = pair["count"] == 0
    later = timestamp > pair["last"]
    repeat = later & ~new
    np.add.at(items["buyers"], item[new], 1)
    np.add.at(items["repeats"], item[repeat], 1)
    gaps = np.log1p((timestamp - pair["last"])[repeat]).astype(np.float32)
    np.add.at(items["repeat_log_gap_sum"], item[repeat], gaps)

    last = np.maximum(pair["last"], timestamp)
    half_lives = spec.pair_half_lives
    before = pair["decayed"] * decay(np.where(new, 0, last - pair["last"]), half_lives)
    pair["decayed"] = before + weight[:, None] * decay(last - timestamp, half_lives)
    pair["moments"] += (later | (timestamp < pair["first"])).astype(np.uint32)
    pair["count"] += 1
    pair["first"] = np.minimum(pair["first"], timestamp)
    pair["last"] = last
    pairs[place] = pair


def _evict(users: Users, which: Int, cap: int, item_hash: NDArray[np.uint64]) -> None:
    """Drops the least recent pairs of `which` above the cap; equal times go by the item's hash."""
    keep = np.ones(len(users.pairs), dtype=np.bool_)
    for user in which.tolist():
        mine = users.pairs_of(user)
        order = np.lexsort((item_hash[mine["item"]], -mine["last"]))
        keep[users.starts[user] + order[cap:]] = False
        users.rows["evicted"][user] += max(0, len(mine) - cap)
    owner = users.owner()[keep]
    users.pairs = users.pairs[keep]
    users.starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(users)))]).astype(np.int64)
