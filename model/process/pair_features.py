"""Features of repeat consumption: what pair(u, i, t) is computed from, for the items of the user's own history."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.process.batch import Users
from model.process.decay import decay
from model.process.phase import phase_of
from model.process.popularity import POPULARITY_COUNTERS, popularity_features, popularity_width
from model.process.records import Float, Int, Records
from model.process.side_by_side import side_by_side
from model.process.user_features import USER_FEATURES
from model.spec import DAY, ModelSpec

Columns = dict[str, NDArray[Any]]

_OWN = 27
"""Features of the pair itself and of the item's repurchases."""


def pair_width(spec: ModelSpec) -> int:
    """F_pair, the number of features of a pair."""
    return _OWN + USER_FEATURES + popularity_width(spec)


def pair_features(
    users: Users, which: slice | NDArray[np.bool_], at: Int, habits: Float, items: Records, spec: ModelSpec
) -> Float:
    """(M, F_pair) of the M pairs of `users` at `which`: the pair's own, the user's, the item's popularity.

    at: (B,) seconds; habits: (B, F_user) of the users then; items: (N,) records or counters by catalogue index. Times
    are in days and logs; a mean gap that does not exist yet is 0 and flagged.
    """
    owner, pairs = users.owner()[which], users.pairs[which]
    item, now = pairs["item"].astype(np.int64), at[owner]
    columns = {name: items[name][item] for name in (*POPULARITY_COUNTERS, "repeat_log_gap_sum")}
    own = _own(pairs, users.rows["moments"].astype(np.int64)[owner], now, phase_of(at)[owner], columns, spec)
    return side_by_side([*own, habits[owner], popularity_features(columns, now, spec)])


def _own(pairs: Records, moments: Int, at: Int, phase: Float, items: Columns, spec: ModelSpec) -> list[NDArray[Any]]:
    """Columns (M,) and blocks (M, W), 27 wide. moments, phase: (M,) of each pair's user and moment, (M, 4); items:
    (M,) columns of each pair's item."""
    elapsed = np.maximum(at - pairs["last"], 0)
    recency = elapsed / DAY
    log_recency = np.log(recency + 0.02)
    counts = pairs["decayed"] * decay(elapsed, spec.pair_half_lives)
    return [
        np.log1p(pairs["count"]),
        np.log1p(counts),
        np.log(counts + 0.02),
        np.log1p(recency),
        log_recency,
        *_gaps(pairs, log_recency),
        *_moments(pairs, moments),
        *_repurchase(items, log_recency),
        _phases(pairs, phase),
    ]


def _gaps(pairs: Records, log_recency: Float) -> list[NDArray[Any]]:
    """Whether the pair has a mean gap, its log, and how far the next event is due: 0 is on time, negative early."""
    has_gap = pairs["moments"] > 1
    gap = (pairs["last"] - pairs["first"]) / DAY / np.maximum(pairs["moments"].astype(np.int64) - 1, 1)
    due = np.clip(log_recency - np.log(gap + 0.02), -5.0, 5.0)
    return [has_gap, np.where(has_gap, np.log1p(gap), 0.0), np.where(has_gap, due, 0.0)]


def _moments(pairs: Records, moments: Int) -> list[NDArray[Any]]:
    """The pair counted in the user's moments: how long ago, how often since the first, how regularly."""
    count = pairs["moments"].astype(np.int64)
    since = np.maximum(moments - pairs["last_moment"], 0)
    life = np.maximum(moments - pairs["first_moment"] + 1, 1)
    span = pairs["last_moment"].astype(np.int64) - pairs["first_moment"]
    gap = np.where(count > 1, span / np.maximum(count - 1, 1), 0.0)
    return [
        count / np.maximum(moments, 1),
        np.log1p(since),
        since < 1,
        1.0 / (1.0 + since),
        count / life,
        (count + 0.5) / (life + 2.0),
        np.log1p(life),
        np.log1p(since) - np.log1p(gap),
        pairs["count"] / np.maximum(count, 1) - 1.0,
    ]


def _repurchase(items: Columns, log_recency: Float) -> list[NDArray[Any]]:
    """How often and how soon the item is had again, by whoever, and how far that is due here."""
    repeats = items["repeats"].astype(np.float64)
    has_gap = repeats > 0
    log_gap = items["repeat_log_gap_sum"] / np.maximum(repeats, 1.0) - np.log(DAY)
    return [
        (repeats + 0.5) / (repeats + items["buyers"] + 2.0),
        has_gap,
        np.where(has_gap, log_gap, 0.0),
        np.where(has_gap, log_recency - log_gap, 0.0),
    ]


def _phases(pairs: Records, phase: Float) -> Float:
    """(M, 2) how well the time of day and of the week agree with the pair's events, shrunk as by one more event."""
    agreement = pairs["phase"] * phase / (pairs["count"][:, None] + 1.0)
    return np.asarray(agreement[:, ::2] + agreement[:, 1::2])
