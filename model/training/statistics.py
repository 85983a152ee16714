"""What a spec takes from the data: time steps and gap statistics, from the training part only."""

from __future__ import annotations

import numpy as np

from model.data.dataset import Dataset
from model.process.records import Float
from model.spec import DAY, EVENT_TYPES, ModelSpec

EVENTS_A_TICK = 64
SHORTEST_TICK = 60
LEAST_SIGMA = 0.1
"""Where all gaps are alike, a tenth of an e-fold is one sigma."""
MOST_EVENT_TYPES = 32


def item_tick(training: Dataset) -> int:
    """Seconds in which about 64 events come, a whole number of minutes within 60 s and 1 d."""
    span = int(training.timestamp[-1] - training.timestamp[0])
    seconds = span * EVENTS_A_TICK // len(training)
    return int(np.clip(seconds // SHORTEST_TICK * SHORTEST_TICK, SHORTEST_TICK, DAY))


def pop_step(tick: int, shortest_half_life: int) -> int:
    """As `item_tick`, but at most a sixth of the shortest half-life, in which a count loses 11 %."""
    return min(tick, shortest_half_life // 6)


def log_gaps(training: Dataset) -> Float:
    """log1p of the seconds between consecutive moments of a user, over all users."""
    moments = np.unique(np.stack([training.user.astype(np.int64), training.timestamp]), axis=1)
    same_user = np.diff(moments[0]) == 0
    gaps: Float = np.log1p(np.diff(moments[1])[same_user]).astype(np.float32)
    return gaps


def with_statistics(spec: ModelSpec, training: Dataset) -> ModelSpec:
    """`spec` with the time steps, gap statistics and event types of `training`."""
    gaps = log_gaps(training)
    tick = item_tick(training)
    found: dict[str, object] = {"item_tick": tick, "pop_step": pop_step(tick, min(spec.popularity_half_lives))}
    if len(gaps):
        found |= {"mean_log_gap": float(gaps.mean()), "sigma_log_gap": max(float(gaps.std()), LEAST_SIGMA)}
    counts = np.bincount(training.event_type, minlength=len(training.event_types))
    frequent = [training.event_types[code] for code in np.argsort(-counts, kind="stable") if counts[code]]
    unknown = [name for name in frequent if name not in EVENT_TYPES][: MOST_EVENT_TYPES - len(EVENT_TYPES)]
    found["event_types"] = (*EVENT_TYPES, *unknown)
    return ModelSpec.model_validate(spec.model_dump() | found)
