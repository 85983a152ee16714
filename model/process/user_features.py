"""What a user's own counters say of how they act: input of the weights of popularity and repeat consumption."""

from __future__ import annotations

import numpy as np

from model.process.records import NEVER, Float, Int, Records
from model.process.side_by_side import side_by_side
from model.spec import DAY, ModelSpec

USER_FEATURES = 7
"""F_user, the number of features of a user."""


def user_features(rows: Records, at: Int, spec: ModelSpec) -> Float:
    """(B, F_user) of B users at `at` (B,) [s]: moments, events, events a moment (logs), share of repeats, whether there
    was anything, days since the last event (log), and how late that is for this user, in standard deviations."""
    events, moments = rows["events"].astype(np.float64), rows["moments"].astype(np.float64)
    known = rows["last"] != NEVER
    since = np.where(known, np.maximum(at - rows["last"], 0), 0)
    own_gap = (rows["log_gap_sum"] + spec.gap_prior * spec.mean_log_gap) / (rows["gaps"] + spec.gap_prior)
    columns = [
        np.log1p(moments),
        np.log1p(events),
        np.log1p(events / np.maximum(moments, 1)),
        rows["repeats"] / np.maximum(events, 1),
        known,
        np.log1p(since / DAY),
        (np.log1p(since) - own_gap) / spec.sigma_log_gap,
    ]
    return side_by_side(columns)
