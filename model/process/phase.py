"""Phase of a moment in its day and in its week."""

from __future__ import annotations

import numpy as np

from model.process.records import Float, Int
from model.spec import DAY

PERIODS = (DAY, 7 * DAY)


def phase_of(timestamp: Int) -> Float:
    """(..., 4) cos and sin of the time of day, then of the week, of unix seconds (UTC)."""
    turn = np.asarray(timestamp)[..., None] % np.asarray(PERIODS) / np.asarray(PERIODS)
    angle = 2 * np.pi * turn
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(*angle.shape[:-1], 4).astype(np.float32)
