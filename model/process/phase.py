"""Phase of a moment in its day and in its week."""

from __future__ import annotations

import numpy as np

from model.process.records import Float, Int
from model.spec import DAY

_PERIODS = np.array([DAY, 7 * DAY])


def phase_of(timestamp: Int) -> Float:
    """(..., 4) cos and sin of the time of day, then of the week, of unix seconds (UTC)."""
    turn = np.asarray(timestamp)[..., None] % _PERIODS / _PERIODS
    angle = 2 * np.pi * turn
    found = np.empty((*angle.shape[:-1], 4), dtype=np.float32)
    found[..., ::2], found[..., 1::2] = np.cos(angle), np.sin(angle)
    return found
