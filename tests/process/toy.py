"""A temporal model small enough to work out by hand: commit adds the mean message's head to memory, scores are sums."""

from __future__ import annotations

import numpy as np

from model.process.records import Float, Records
from model.process.temporal_model import UserEmbeddings, UserInputs
from model.spec import ModelSpec

TOY_SPEC = ModelSpec(dim=8, time_dim=2, neighbours=8, popularity_dim=2, pair_dim=2, item_tick=100, pop_step=50)


class ToyModel:
    """Implements `TemporalModel` without weights."""

    def __init__(self, spec: ModelSpec = TOY_SPEC) -> None:
        self.spec = spec
        self.initial_user = np.full(spec.dim, 0.5, dtype=np.float32)
        self.initial_item = np.zeros(spec.item_dim, dtype=np.float32)

    def update_users(self, rows: Records) -> Float:
        return self._commit(rows)

    def update_items(self, rows: Records) -> Float:
        return self._commit(rows)

    def _commit(self, rows: Records) -> Float:
        width = rows["m"].shape[1]
        mean = rows["sum"][:, :width] / np.maximum(rows["count"], 1)[:, None]
        stepped = 0.5 * rows["m"] + mean + np.log1p(rows["gap"])[:, None] / 100 + (rows["steps"] == 0)[:, None]
        return np.where(rows["count"][:, None] > 0, stepped, rows["m"]).astype(np.float32)

    def static_items(self, text: Float) -> Float:
        return text[:, : self.spec.static_dim].astype(np.float32)

    def embed_users(self, inputs: UserInputs) -> UserEmbeddings:
        near = (inputs.nb_v * inputs.nb_mask[..., None]).sum(axis=1)
        h = (self.update_users(inputs.rows) + near / (1.0 + inputs.since[:, None] / 1e6)).astype(np.float32)
        return UserEmbeddings(h, h[:, : self.spec.popularity_dim], h[:, : self.spec.pair_dim])

    def popularity(self, features: Float) -> Float:
        return features[:, : self.spec.popularity_dim]

    def score_pairs(self, features: Float, query: Float) -> Float:
        return (features.mean(axis=1) + query.sum(axis=1)).astype(np.float32)
