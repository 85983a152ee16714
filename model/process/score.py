"""The score of every item for a user: one inner product over the widened vectors plus sparse pair additions."""

from __future__ import annotations

import numpy as np

from model.process.records import Float, Int


def widen_items(vectors: Float, popularity: Float) -> Float:
    """(N, d) and (N, P) -> (N, d + P), the rows of the item matrix."""
    return np.concatenate([vectors, popularity], axis=1)


def widen_users(h: Float, w_pop: Float) -> Float:
    """(B, d) and (B, P) -> (B, d + P), the queries against the item matrix."""
    return np.concatenate([h, w_pop], axis=1)


def score_all(queries: Float, matrix: Float, owner: Int, item: Int, addition: Float) -> Float:
    """(B, N) = queries (B, d + P) . matrix (N, d + P)^T, plus `addition` (M,) at (owner, item); pairs are distinct."""
    scores = queries @ matrix.T
    scores[owner, item] += addition
    return scores
