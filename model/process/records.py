"""The packed records of a user, an item and a (user, item) pair: numpy structured dtypes, which are also the blobs.

A record's first byte is the format version. `m, sum, count, gap, steps, key` are the running state (the row) of a
node: memory before the open moment (or tick), the messages summed since, their number, the gap in seconds before the
open moment, how many steps memory made before it, and the moment's timestamp (user) or the tick's number (item).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.spec import FORMAT, ModelSpec

Records = NDArray[np.void]
Int = NDArray[np.int64]
Float = NDArray[np.float32]

NEVER = -(2**62)
"""Key and time of what has not happened."""
UNSET_ITEM = 2**32 - 1
"""Item index of an empty neighbour slot."""
SWITCHED_OFF = 1
"""In a user's `flags`: what they do moves popularity and nothing else; the rest of the record stays blank."""

PAIR = np.dtype(
    [
        ("first", "i8"),
        ("last", "i8"),
        ("item", "u4"),
        ("count", "u4"),
        ("moments", "u4"),
        ("first_moment", "u4"),
        ("last_moment", "u4"),
        ("decayed", "f4", (3,)),
        ("phase", "f4", (4,)),
    ]
)
"""What a user did with one item: first and last time, events, moments, numbers of the first and last of the user's
moments it was in (from 1), weighted counts decayed to `last`, and sums over its events of cos and sin of the time of
day and of the week (UTC)."""

_ROW_HEAD = [("version", "u1"), ("steps", "u1"), ("flags", "u2"), ("count", "u4"), ("offset", "i8")]
MOST_STEPS = 255
"""Where the count of steps stops."""
_ROW_TIMES = [("key", "i8"), ("last", "i8"), ("gap", "i8")]


_COUNTERS = (
    "offset",
    "first_event",
    "available_from",
    "pop_time",
    "events",
    "buyers",
    "repeats",
    "repeat_log_gap_sum",
    "popularity",
)


@dataclass(frozen=True)
class Layout:
    """Record dtypes for the widths of one spec. counters: the part of an item that every replica follows."""

    user: np.dtype[np.void]
    item: np.dtype[np.void]
    counters: np.dtype[np.void]


def layout(spec: ModelSpec) -> Layout:
    """The record dtypes of `spec`."""
    return _layout(spec.dim, spec.static_dim, spec.message_dim, spec.neighbours, len(spec.popularity_half_lives) + 1)


@lru_cache(maxsize=8)
def _layout(dim: int, static_dim: int, message_dim: int, n: int, counters: int) -> Layout:
    user = [
        *_ROW_HEAD,
        *_ROW_TIMES,
        ("nb_time", "i8", (n,)),
        ("moments", "u4"),
        ("events", "u4"),
        ("repeats", "u4"),  # events with an item of an earlier time
        ("gaps", "u4"),  # closed gaps in log_gap_sum
        ("log_gap_sum", "f4"),
        ("evicted", "u4"),  # pairs dropped at the cap
        ("late", "u4"),
        ("nb_item", "u4", (n,)),
        ("nb_type", "u1", (n,)),
        ("m", "f4", (dim,)),
        ("sum", "f4", (message_dim,)),
    ]
    item = [
        *_ROW_HEAD,
        *_ROW_TIMES,
        ("first_event", "i8"),
        ("available_from", "i8"),
        ("pop_time", "i8"),
        ("events", "u4"),
        ("buyers", "u4"),
        ("repeats", "u4"),
        ("repeat_log_gap_sum", "f4"),
        ("popularity", "f4", (counters,)),  # weighted counts decayed to pop_time; the last one never decays
        ("x", "f4", (static_dim,)),  # static part, made from the text under these weights
        ("m", "f4", (dim - static_dim,)),
        ("sum", "f4", (message_dim,)),
    ]
    counted = [entry for entry in item if entry[0] in _COUNTERS]
    return Layout(np.dtype(user), np.dtype(item), np.dtype(counted))


def counters_of(items: Records, spec: ModelSpec) -> Records:
    """(B,) counter records of item records: popularity, repurchase, availability, and the offset they stand at."""
    counters = np.empty(len(items), dtype=layout(spec).counters)
    for name in counters.dtype.names or ():
        counters[name] = items[name]
    return counters


def new_users(count: int, spec: ModelSpec, initial: Float) -> Records:
    """`count` users that did nothing yet. initial: (d,) the learned initial memory."""
    rows = np.zeros(count, dtype=layout(spec).user)
    _blank(rows, initial)
    rows["nb_item"] = UNSET_ITEM
    rows["nb_time"] = NEVER
    return rows


def new_items(count: int, spec: ModelSpec, initial: Float) -> Records:
    """`count` items without an event. initial: (d - s,) the learned initial memory."""
    rows = np.zeros(count, dtype=layout(spec).item)
    _blank(rows, initial)
    rows["first_event"] = NEVER
    rows["available_from"] = -NEVER
    rows["pop_time"] = NEVER
    return rows


def _blank(rows: Records, initial: Float) -> None:
    rows["version"] = FORMAT
    rows["key"] = NEVER
    rows["last"] = NEVER
    rows["m"] = initial


def row_inputs(rows: Records) -> dict[str, Float]:
    """The five arrays of the row that the graphs take: m (B, d), sum (B, r), count, gap [seconds], steps (B,)."""
    return {name: np.ascontiguousarray(rows[name], dtype=np.float32) for name in ("m", "sum", "count", "gap", "steps")}
