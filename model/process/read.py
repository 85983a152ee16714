"""read(state, users, t) -> everything that scores them; it never writes (MODEL.md section 3)."""

from __future__ import annotations

import numpy as np

from model.process.batch import Users
from model.process.pair_features import pair_features
from model.process.records import NEVER, Float, Int, Records
from model.process.side_by_side import side_by_side
from model.process.temporal_model import TemporalModel, UserEmbeddings, UserInputs
from model.process.user_features import user_features
from model.spec import FACETS, ModelSpec


def user_inputs(
    users: Users, at: Int, item_vectors: Float, items: Records, spec: ModelSpec, facets: Float | None = None
) -> UserInputs:
    """Inputs of `embed_users` for B users, each at its own moment `at` (B,) [s].

    item_vectors: (N, d) visible vectors, items: (N,) records or counters, by catalogue index; a neighbour or a pair
    beyond N is not known here yet and left out. facets: (B, 4, d_f) text embeddings of the profiles; an all-zero facet,
    or None, means there is none.
    """
    rows, count = users.rows, len(item_vectors)
    time, index = rows["nb_time"], rows["nb_item"]
    there = (time != NEVER) & (index < count)
    nb_v = np.zeros((*index.shape, spec.dim), np.float32)
    nb_v[there] = item_vectors[index[there]]
    if facets is None:
        facets = np.zeros((len(rows), len(FACETS), spec.facet_dim), dtype=np.float32)
    habits = user_features(rows, at, spec)
    item = users.pairs["item"].astype(np.int64)
    known = slice(None) if item.max(initial=-1) < count else item < count
    return UserInputs(
        rows=rows,
        since=np.where(rows["last"] == NEVER, 0, np.maximum(at - rows["last"], 0)).astype(np.float32),
        gap_stats=side_by_side([rows["log_gap_sum"], rows["gaps"]]),
        habits=habits,
        nb_v=nb_v,
        nb_type=rows["nb_type"].astype(np.int64),
        nb_gap=np.where(there, np.maximum(at[:, None] - time, 0), 0).astype(np.float32),
        nb_mask=there.astype(np.float32),
        pair_features=pair_features(users, known, at, habits, items, spec),
        pair_v=item_vectors[item[known]],
        pair_row=users.owner()[known],
        pair_item=item[known],
        facets=facets,
        has=np.any(facets, axis=2).astype(np.float32),
    )


def pair_scores(inputs: UserInputs, embedded: UserEmbeddings, model: TemporalModel) -> tuple[Int, Int, Float]:
    """(row, item, score), each (M,), of all pairs of the users that were read and embedded."""
    row, item = inputs.pair_row, inputs.pair_item
    if not len(item):
        return row, item, np.empty(0, dtype=np.float32)
    agreement = np.einsum("md,md->m", embedded.h[row], inputs.pair_v)
    query = side_by_side([embedded.q_pair[row], agreement])
    return row, item, model.score_pairs(inputs.pair_features, query)
