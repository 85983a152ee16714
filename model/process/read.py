"""read(state, users, t) -> everything that scores them; it never writes (MODEL.md section 3)."""

from __future__ import annotations

import numpy as np

from model.process.batch import Users
from model.process.pair_features import pair_features
from model.process.records import NEVER, Float, Int, Records
from model.process.temporal_model import TemporalModel, UserInputs
from model.process.user_features import user_features
from model.spec import FACETS, ModelSpec


def user_inputs(
    rows: Records, at: Int, item_vectors: Float, spec: ModelSpec, facets: Float | None = None
) -> UserInputs:
    """Inputs of `embed_users` for B users, each at its own moment `at` (B,) [s].

    item_vectors: (N, d) visible vectors by catalogue index; a neighbour beyond N is not known here yet and masked.
    facets: (B, 4, d_f) text embeddings of the profiles; an all-zero facet, or None, means there is none.
    """
    there = (rows["nb_time"] != NEVER) & (rows["nb_item"] < len(item_vectors))
    index = np.where(there, rows["nb_item"], 0)
    nb_v = item_vectors[index] if len(item_vectors) else np.zeros((*index.shape, spec.dim), np.float32)
    if facets is None:
        facets = np.zeros((len(rows), len(FACETS), spec.facet_dim), dtype=np.float32)
    since = np.where(rows["last"] == NEVER, 0, np.maximum(at - rows["last"], 0))
    return UserInputs(
        rows=rows,
        since=since.astype(np.float32),
        gap_stats=np.stack([rows["log_gap_sum"], rows["gaps"]], axis=1).astype(np.float32),
        habits=user_features(rows, at, spec),
        nb_v=nb_v * there[..., None].astype(np.float32),
        nb_type=rows["nb_type"].astype(np.int64),
        nb_gap=np.where(there, np.maximum(at[:, None] - rows["nb_time"], 0), 0).astype(np.float32),
        nb_mask=there.astype(np.float32),
        facets=facets,
        has=np.any(facets != 0.0, axis=2).astype(np.float32),
    )


def pair_scores(users: Users, at: Int, q_pair: Float, items: Records, model: TemporalModel) -> tuple[Int, Int, Float]:
    """(owner, item, score), each (M,), of all pairs of `users` whose item is among the N `items` records.

    at: (B,) [s]; q_pair: (B, q).
    """
    known = users.pairs["item"] < len(items)
    owner = users.owner()[known]
    item = users.pairs["item"][known].astype(np.int64)
    if not len(item):
        return owner, item, np.empty(0, dtype=np.float32)
    features = pair_features(users, known, at, items, model.spec)
    return owner, item, model.score_pairs(features, q_pair[owner])
