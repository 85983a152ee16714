"""apply(state, events) -> state': the only writer of memory, neighbours, pairs and counters (MODEL.md section 3).

Events come in log order. They are cut into runs of one tick (the tick of the log's time, which only moves forward);
inside a tick every item shows one visible vector, and each user's moments are stepped level by level, all users at
once. Nothing here depends on where a batch begins or ends, or on the order of events that share a timestamp.
Events of users who are switched off move the log's time and the popularity of items, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.process.batch import Events, Items, Users
from model.process.groups import add_rows, place_in_group, places_by, running_max, starts_of
from model.process.item_codes import item_codes
from model.process.neighbours import add_neighbours
from model.process.pairs import add_pairs
from model.process.popularity import add_popularity
from model.process.records import MOST_STEPS, NEVER, SWITCHED_OFF, Float, Int, Records
from model.process.temporal_model import TemporalModel
from model.spec import ModelSpec


@dataclass(frozen=True)
class Opened:
    """Users whose new moments began together, at `at` (B,) [s]. rows: (B,) as they were before; folded: how many
    entries `Commits.users` had."""

    users: Int
    at: Int
    rows: Records
    folded: int


@dataclass
class Commits:
    """What training replays, in the order in which it happened.

    users, items: rows as they were when their open moment (user) or tick (item) was folded into memory; opened: users
    whose moments began.
    """

    users: list[tuple[Int, Records]] = field(default_factory=list)
    items: list[tuple[Int, Records]] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)


def apply(
    users: Users,
    items: Items,
    events: Events,
    log_time: int,
    model: TemporalModel,
    item_hash: NDArray[np.uint64],
    commits: Commits | None = None,
) -> int:
    """Applies `events` in place and returns the log's new time (running maximum of timestamps).

    item_hash: stable hashes by catalogue index; commits: collects what was folded, if given.
    """
    if not len(events):
        return log_time
    spec = model.spec
    times = np.maximum.accumulate(np.maximum(events.timestamp, log_time))
    end = int(times[-1])
    add_popularity(items, events, spec)
    events, times = _personal(users, items, events, times)
    ticks = times // spec.item_tick
    bounds = [*np.flatnonzero(starts_of(ticks)), len(events)]
    moment, opens = moments_of(users, events)
    messages = _encode(events, spec)  # (E, e)
    for lo, hi in pairwise(bounds):
        run = slice(lo, hi)
        _apply_tick(
            users, items, events.take(run), moment[run], opens[run], messages[run], int(ticks[lo]), model, commits
        )
    _count_late(users, events, times)
    add_neighbours(users, items, events, item_hash)
    add_pairs(users, items, events, moment, spec, item_hash)
    return end


def _personal(users: Users, items: Items, events: Events, times: Int) -> tuple[Events, Int]:
    """The events of users who are not switched off, and the log's time at them."""
    off = users.rows["flags"] & SWITCHED_OFF != 0
    if not off.any():
        return events, times
    counted = off[events.user]
    np.maximum.at(items.rows["offset"], events.item[counted], events.offset[counted])  # their counters have moved
    return events.take(~counted), times[~counted]


def moments_of(users: Users, events: Events) -> tuple[Int, NDArray[np.bool_]]:
    """(E,) 0 where the event joins its user's open moment, k where it belongs to the k-th that these events open;
    and (E,) whether it is the event that opens it.

    A moment opens at a timestamp above the user's key; an event late for its user joins the one then open.
    """
    order = np.lexsort((np.arange(len(events)), events.user))
    user = events.user[order]
    key = running_max(user, np.maximum(events.timestamp[order], users.rows["key"][user]))
    opens = np.ones(len(order), dtype=np.bool_)
    opens[1:] = (key[1:] != key[:-1]) | (user[1:] != user[:-1])
    opens = opens & (key > users.rows["key"][user])
    level = np.cumsum(opens)
    level = level - np.maximum.accumulate(np.where(starts_of(user), level - opens, 0))
    moment = np.empty(len(events), dtype=np.int64)
    moment[order] = level
    opening = np.empty(len(events), dtype=np.bool_)
    opening[order] = opens
    return moment, opening


def visible_items(rows: Records, tick: int, model: TemporalModel) -> Float:
    """(B, d) v_i = [x_i || c_i] as every reader sees it in `tick`: an item's open tick does not show."""
    memory = rows["m"].copy()
    closed = np.flatnonzero((rows["key"] < tick) & (rows["count"] > 0))
    if len(closed):
        memory[closed] = model.update_items(rows[closed])
    return np.concatenate([rows["x"], memory], axis=1)


def _encode(events: Events, spec: ModelSpec) -> Float:
    """(E, e) one-hot type and signed log of the value."""
    encoded = np.zeros((len(events), spec.event_dim), dtype=np.float32)
    encoded[np.arange(len(events)), events.type] = 1.0
    encoded[:, -1] = np.sign(events.value) * np.log1p(np.abs(events.value))
    return encoded


def _apply_tick(
    users: Users,
    items: Items,
    events: Events,
    moment: Int,
    opens: NDArray[np.bool_],
    encoded: Float,
    tick: int,
    model: TemporalModel,
    commits: Commits | None,
) -> None:
    touched = np.unique(events.item)
    stale = touched[items.rows["key"][touched] < tick]
    gap = np.where(items.rows["key"][stale] == NEVER, 0, (tick - items.rows["key"][stale]) * model.spec.item_tick)
    _roll(items.rows, stale, np.full(len(stale), tick), gap, model.update_items, commits.items if commits else None)

    codes = item_codes(items.hash, model.spec.item_dim)
    for _, here in places_by(moment):
        opening = here[opens[here]]
        _open_moments(users.rows, events.user[opening], events.timestamp[opening], model, commits)
        for step in _steps(events.user, here, model.spec):
            if model.spec.step_per_event:
                _close_steps(users.rows, events.user[step], model, commits)
            _exchange(users.rows, items.rows, events.take(step), encoded[step], codes)


def _steps(user: Int, here: Int, spec: ModelSpec) -> Iterator[Int]:
    """Places of one moment's events that memory takes in at once: all, or (an ablation) one a user."""
    if not spec.step_per_event:
        yield here
        return
    order = here[np.argsort(user[here], kind="stable")]
    for _, places in places_by(place_in_group(user[order])):
        yield order[places]


def _close_steps(rows: Records, users: Int, model: TemporalModel, commits: Commits | None) -> None:
    """Folds what the open moments of `users` hold so far; the moments stay open, their next step has a gap of 0."""
    held = users[rows["count"][users] > 0]
    _roll(rows, held, rows["key"][held], np.zeros_like(held), model.update_users, commits.users if commits else None)


def _open_moments(rows: Records, users: Int, timestamp: Int, model: TemporalModel, commits: Commits | None) -> None:
    if commits is not None:
        commits.opened.append(Opened(users, timestamp, rows[users], len(commits.users)))
    known = rows["key"][users] != NEVER
    gap = np.where(known, timestamp - rows["key"][users], 0)
    _roll(rows, users, timestamp, gap, model.update_users, commits.users if commits else None)
    rows["moments"][users] += 1
    rows["gaps"][users] += known.astype(np.uint32)
    rows["log_gap_sum"][users] += np.log1p(gap).astype(np.float32)


def _roll(
    rows: Records,
    which: Int,
    key: Int,
    gap: Int,
    update: Callable[[Records], Float],
    log: list[tuple[Int, Records]] | None,
) -> None:
    """Step (a): folds the open messages of `which` into memory and opens a new moment or tick at `key`."""
    if not len(which):
        return
    held = rows[which]
    folded = np.flatnonzero(held["count"] > 0)
    if len(folded):
        held["m"][folded] = update(held[folded])
        held["steps"][folded] += held["steps"][folded] < MOST_STEPS
        if log is not None:
            log.append((which[folded], rows[which[folded]]))
    held["key"], held["gap"], held["sum"], held["count"] = key, gap, 0.0, 0
    rows[which] = held


def _exchange(users: Records, items: Records, events: Events, encoded: Float, codes: Float) -> None:
    """Step (b): a user's open sum takes [x_i || code_i || e], an item's [m_u || e]. codes: (B, d - s) of the items."""
    to_users = np.concatenate([items["x"][events.item], codes[events.item], encoded], axis=1)
    to_items = np.concatenate([users["m"][events.user], encoded], axis=1)
    add_rows(users["sum"], events.user, to_users)
    add_rows(items["sum"], events.item, to_items)
    for rows, node in ((users, events.user), (items, events.item)):
        np.add.at(rows["count"], node, 1)
        np.maximum.at(rows["last"], node, events.timestamp)
        np.maximum.at(rows["offset"], node, events.offset)
    np.add.at(users["events"], events.user, 1)


def _count_late(users: Users, events: Events, times: Int) -> None:
    """Events behind the log's time are late; where their sums went is `_apply_tick`'s business."""
    np.add.at(users.rows["late"], events.user, (events.timestamp < times).astype(np.uint32))
