"""What a dislike does to a list: the item is left out, and what resembles it ranks lower.

A model that was trained on few dislikes, or on none, cannot know what one means: its memory takes every event for
interest. So serving turns the user's embedding away from the disliked items. A dislike counts as long as it is among
the user's recent items (`ModelSpec.neighbours`), and until the user does something else with the item.
"""

from __future__ import annotations

import numpy as np

from model.process.records import NEVER, Float, Int, Records
from model.spec import ModelSpec

PUSH = 0.5
"""Share of the embedding's length that it is turned away by."""


def dislikers(rows: Records, spec: ModelSpec) -> Int:
    """Places of the users (B,) who disliked something lately: most did not."""
    if "dislike" not in spec.event_types:
        return np.empty(0, np.int64)
    return np.flatnonzero((rows["nb_type"] == spec.type_code("dislike")).any(axis=1))


def disliked(row: np.void, spec: ModelSpec) -> Int:
    """Indexes of the recent items of one user whose newest event is a dislike."""
    if "dislike" not in spec.event_types or spec.type_code("dislike") not in row["nb_type"].tobytes():
        return np.empty(0, np.int64)
    there = row["nb_time"] != NEVER
    item, newest = np.unique(row["nb_item"][there], return_index=True)
    found: Int = item[row["nb_type"][there][newest] == spec.type_code("dislike")].astype(np.int64)
    return found


def push_away(h: Float, vectors: Float) -> Float:
    """(d,) h minus PUSH |h| times the mean direction of the disliked items' vectors (D, d)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    turned: Float = (h - PUSH * np.linalg.norm(h) * directions.mean(axis=0)).astype(np.float32)
    return turned if len(vectors) else h
