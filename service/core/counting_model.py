"""The model of a service that has no bundle yet: memory stands still and items rank by their 7-day counts.

Events are accepted and counted all the same; when a bundle comes, the log is replayed under its weights.
"""

from __future__ import annotations

import numpy as np

from model.process.records import Float, Records
from model.process.temporal_model import UserEmbeddings, UserInputs
from model.spec import DAY, ModelSpec


class CountingModel:
    """Implements `TemporalModel` without weights."""

    def __init__(self, spec: ModelSpec | None = None) -> None:
        self.spec = spec or ModelSpec(preset="counting")
        self.initial_user = np.zeros(self.spec.dim, dtype=np.float32)
        self.initial_item = np.zeros(self.spec.item_dim, dtype=np.float32)
        self._week = self.spec.popularity_half_lives.index(7 * DAY)

    def update_users(self, rows: Records) -> Float:
        return rows["m"].copy()

    def update_items(self, rows: Records) -> Float:
        return rows["m"].copy()

    def static_items(self, text: Float) -> Float:
        """Zero: (B, d_t) -> (B, s)."""
        return np.zeros((len(text), self.spec.static_dim), dtype=np.float32)

    def embed_users(self, inputs: UserInputs) -> UserEmbeddings:
        count, spec = len(inputs.rows), self.spec
        w_pop = np.zeros((count, spec.popularity_dim), dtype=np.float32)
        w_pop[:, 0] = 1.0
        return UserEmbeddings(
            np.zeros((count, spec.dim), dtype=np.float32), w_pop, np.zeros((count, spec.pair_dim), dtype=np.float32)
        )

    def popularity(self, features: Float) -> Float:
        """(N, P) whose first column is the log of the count with a half-life of 7 days."""
        out = np.zeros((len(features), self.spec.popularity_dim), dtype=np.float32)
        out[:, 0] = features[:, self._week]
        return out

    def score_pairs(self, features: Float, query: Float) -> Float:
        """Zero: (M, F_pair), (M, q) -> (M,)."""
        return np.zeros(len(features), dtype=np.float32)
