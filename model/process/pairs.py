"""Pairs: what a user did with each item, exact up to a cap, and the items' repurchase statistics they imply."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.process.batch import Events, Items, Users
from model.process.decay import decay
from model.process.groups import place_in_group, places_by
from model.process.phase import phase_of
from model.process.records import NEVER, PAIR, Float, Int, Records
from model.spec import ModelSpec


def add_pairs(
    users: Users, items: Items, events: Events, moment: Int, spec: ModelSpec, item_hash: NDArray[np.uint64]
) -> None:
    """Counts the events into `users.pairs` (new pairs are inserted) and repeats into `items.rows`, in place.

    moment: (E,) 0 for the user's open moment, 1, 2, ... for those that these events open. A user above the cap loses
    pairs when a moment opens, never inside one, so that the order inside a timestamp cannot decide which.
    """
    number = _numbers(users, events, moment)
    crowded = _crowded(users, items, events, spec.max_pairs)[events.user]
    _add(users, items, events.take(~crowded), number[~crowded], spec)
    if crowded.any():
        _add_crowded(users, items, events.take(crowded), moment[crowded], number[crowded], spec, item_hash)


def _numbers(users: Users, events: Events, moment: Int) -> Int:
    """(E,) number of each event's moment among all of its user's, from 1."""
    opened = np.zeros(len(users), dtype=np.int64)
    np.maximum.at(opened, events.user, moment)
    return (users.rows["moments"].astype(np.int64) - opened)[events.user] + moment


def _crowded(users: Users, items: Items, events: Events, cap: int) -> NDArray[np.bool_]:
    """(B,) users who may pass the cap within these events."""
    added = np.bincount(np.unique(_keys(events.user, items.index[events.item])) >> 32, minlength=len(users))
    return np.asarray(np.diff(users.starts) + added > cap)


def _add_crowded(
    users: Users,
    items: Items,
    events: Events,
    moment: Int,
    number: Int,
    spec: ModelSpec,
    item_hash: NDArray[np.uint64],
) -> None:
    """Moment by moment, each with its own users only: one hot user costs its own pairs each time, not everybody's."""
    own = {user: users.pairs_of(user) for user in np.unique(events.user).tolist()}
    for step, here in places_by(moment):
        active, place = np.unique(events.user[here], return_inverse=True)
        some = Users.gather(users.rows[active], [own[user] for user in active.tolist()])
        if step:
            _evict(some, spec.max_pairs, item_hash)
        _add(some, items, replace(events.take(here), user=place), number[here], spec)
        for counter in ("evicted", "repeats"):
            users.rows[counter][active] = some.rows[counter]
        own.update((user, some.pairs_of(at)) for at, user in enumerate(active.tolist()))
    joined = Users.gather(users.rows, [own.get(user, users.pairs_of(user)) for user in range(len(users))])
    users.pairs, users.starts = joined.pairs, joined.starts


def _add(users: Users, items: Items, events: Events, number: Int, spec: ModelSpec) -> None:
    keys = _keys(events.user, items.index[events.item])
    _insert_new(users, np.unique(keys))
    place = np.searchsorted(_keys(users.owner(), users.pairs["item"]), keys)
    weight = np.asarray(spec.weights(), dtype=np.float32)[events.type]
    order = np.argsort(place, kind="stable")  # inside a pair in log order
    nth = place_in_group(place[order])
    for _, places in places_by(nth):
        which = order[places]
        repeat = _count_repeats(users.pairs, items.rows, place[which], events.item[which], events.timestamp[which])
        np.add.at(users.rows["repeats"], events.user[which][repeat], 1)
        _count(users.pairs, place[which], events.timestamp[which], number[which], weight[which], spec)


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


def _count_repeats(pairs: Records, items: Records, place: Int, item: Int, timestamp: Int) -> NDArray[np.bool_]:
    """Counts buyers, repeats and their gaps into the items of some distinct pairs; (E,) which events are repeats."""
    pair = pairs[place]
    new = pair["count"] == 0
    repeat = (timestamp > pair["last"]) & ~new
    np.add.at(items["buyers"], item[new], 1)
    np.add.at(items["repeats"], item[repeat], 1)
    gaps = np.log1p((timestamp - pair["last"])[repeat]).astype(np.float32)
    np.add.at(items["repeat_log_gap_sum"], item[repeat], gaps)
    return np.asarray(repeat)


def _count(pairs: Records, place: Int, timestamp: Int, number: Int, weight: Float, spec: ModelSpec) -> None:
    """One event for each of some distinct pairs. number: (E,) of the user's moment that it is in."""
    pair = pairs[place]
    new = pair["count"] == 0
    later = timestamp > pair["last"]
    last = np.maximum(pair["last"], timestamp)
    half_lives = spec.pair_half_lives
    before = pair["decayed"] * decay(np.where(new, 0, last - pair["last"]), half_lives)
    pair["decayed"] = before + weight[:, None] * decay(last - timestamp, half_lives)
    pair["moments"] += (later | (timestamp < pair["first"])).astype(np.uint32)
    pair["count"] += 1
    pair["phase"] += phase_of(timestamp)
    pair["first_moment"] = np.where(new, number, np.minimum(pair["first_moment"], number))
    pair["last_moment"] = np.maximum(pair["last_moment"], number)
    pair["first"] = np.minimum(pair["first"], timestamp)
    pair["last"] = last
    pairs[place] = pair


def _evict(users: Users, cap: int, item_hash: NDArray[np.uint64]) -> None:
    """Drops the least recent pairs of all `users` above the cap; of equally recent ones those with the highest hash."""
    keep = np.ones(len(users.pairs), dtype=np.bool_)
    for user in np.flatnonzero(np.diff(users.starts) > cap).tolist():
        mine = users.pairs_of(user)
        last = np.ascontiguousarray(mine["last"])
        excess = len(mine) - cap
        least = np.partition(last, excess)[excess]  # of those that stay
        older, equal = np.flatnonzero(last < least), np.flatnonzero(last == least)
        equal = equal[np.argsort(item_hash[mine["item"][equal]], kind="stable")]
        dropped = np.concatenate([older, equal[len(equal) + len(older) - excess :]])
        keep[users.starts[user] + dropped] = False
        users.rows["evicted"][user] += excess
    owner = users.owner()[keep]
    users.pairs = users.pairs[keep]
    users.starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(users)))]).astype(np.int64)
