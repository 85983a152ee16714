"""Exponential decay of counts, always forward: a (value, time) pair never meets exp(+t)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.process.records import Float, Int


def decay(elapsed: Int, half_lives: Sequence[int], forever: bool = False) -> Float:
    """Factors (..., H) after `elapsed` seconds, one per half-life; `forever` appends one that never decays.

    Negative elapsed time counts as none.
    """
    seconds = np.maximum(elapsed, 0).astype(np.float64)[..., None]
    factors = np.empty((*seconds.shape[:-1], len(half_lives) + forever), dtype=np.float32)
    factors[..., : len(half_lives)] = np.exp2(-seconds / np.asarray(half_lives, dtype=np.float64))
    factors[..., len(half_lives) :] = 1.0
    return factors
