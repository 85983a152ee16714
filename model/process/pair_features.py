"""Features of repeat consumption: what pair(u, i, t) is computed from, for the items of the user's own history."""

from __future__ import annotations

import numpy as np

from model.process.decay import decay
from model.process.records import Float, Int, Records
from model.spec import DAY, ModelSpec

PAIR_FEATURES = 14
"""F_pair, the number of features of a pair."""


def pair_features(pairs: Records, moments: Int, items: Records, at: Int, spec: ModelSpec) -> Float:
    """(M, F_pair) of M pairs.

    moments: (M,) moments of each pair's user; items: (M,) records of each pair's item; at: (M,) seconds. Times are in
    days and logs; a mean gap that does not exist yet is 0 and flagged.
    """
    recency = np.maximum(at - pairs["last"], 0) / DAY
    counts = pairs["decayed"] * decay(at - pairs["last"], spec.pair_half_lives)
    has_gap = pairs["moments"] > 1
    own_gap = (pairs["last"] - pairs["first"]) / DAY / np.maximum(pairs["moments"].astype(np.int64) - 1, 1)
    repeats = items["repeats"].astype(np.float64)
    item_log_gap = items["repeat_log_gap_sum"] / np.maximum(repeats, 1.0) - np.log(DAY)
    item_has_gap = repeats > 0
    columns = [
        np.log1p(pairs["count"]),
        *np.log1p(counts).T,
        np.log1p(recency),
        np.log(recency + 0.02),
        has_gap,
        np.where(has_gap, np.log1p(own_gap), 0.0),
        np.where(has_gap, _log_ratio(recency, own_gap), 0.0),
        pairs["moments"] / np.maximum(moments, 1),
        (repeats + 0.5) / (repeats + items["buyers"] + 2.0),
        item_has_gap,
        np.where(item_has_gap, item_log_gap, 0.0) / 4.0,
        np.where(item_has_gap, np.log(recency + 0.02) - item_log_gap, 0.0) / 4.0,
    ]
    return np.stack([np.asarray(c, dtype=np.float32) for c in columns], axis=1)


def _log_ratio(recency: Float, gap: Float) -> Float:
    """log of how far the next purchase is due: 0 is on time, negative is early."""
    return np.clip(np.log((recency + 0.02) / (gap + 0.02)), -5.0, 5.0)
