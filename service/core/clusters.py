"""Clusters of vectors: k-means (Lloyd, 1957) on a sample, then every vector to its nearest centre."""

from __future__ import annotations

import numpy as np

from model.process.records import Float, Int

_SAMPLE = 48
"""Vectors a cluster that the centres are found from."""
_ROUNDS = 8
_CHUNK = 8_192


def find_centres(rows: Float, count: int, rng: np.random.Generator) -> Float:
    """(count, D) centres of rows (N, D), N >= count."""
    sample = rows[rng.choice(len(rows), min(len(rows), _SAMPLE * count), replace=False)]
    centres = sample[rng.choice(len(sample), count, replace=False)].copy()
    for _ in range(_ROUNDS):
        own = nearest(sample, centres)
        order, starts = by_cluster(own, count)
        sizes = np.diff(starts)
        some = sizes > 0
        sums = np.add.reduceat(sample[order], starts[:-1][some], axis=0)
        centres[some] = sums / sizes[some, None]
    return centres


def nearest(rows: Float, centres: Float) -> Int:
    """(N,) the nearest centre of each row."""
    half = np.einsum("cd,cd->c", centres, centres) / 2
    chunks = (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
    found = [(chunk @ centres.T - half).argmax(axis=1) for chunk in chunks]
    return np.concatenate([np.empty(0, np.int64), *found])


def by_cluster(own: Int, count: int) -> tuple[Int, Int]:
    """Rows in order of their cluster (N,), and where each cluster starts and ends in it (count + 1,)."""
    order = np.argsort(own, kind="stable")
    return order, np.searchsorted(own[order], np.arange(count + 1))
