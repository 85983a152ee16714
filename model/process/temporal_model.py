"""The port to the learned part: what the state process and the scorer ask of a set of weights.

Arrays in, arrays out, float32, batch first. `model.torch_model` answers from torch weights, the service's
`OnnxModel` from a bundle's graphs. Rows are passed as records; `record.row_inputs` turns them into tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from model.process.records import Float, Int, Records
from model.spec import ModelSpec


@dataclass(frozen=True)
class UserInputs:
    """Everything `embed_users` sees of B users at their moments (MODEL.md section 3). Gaps are in seconds.

    since: (B,) seconds since last_update; gap_stats: (B, 2) sum and number of the user's log gaps;
    habits: (B, F_user) features of how the user acts;
    nb_v: (B, n, d) visible vectors of the neighbours; nb_type, nb_gap, nb_mask: (B, n);
    pair_features: (M, F_pair), pair_v: (M, d) visible vectors, pair_row: (M,) places in B, of all their pairs;
    pair_item: (M,) the items' catalogue indexes, which no graph takes;
    facets: (B, 4, d_f) text embeddings; has: (B, 4) 1 where a facet is there.
    """

    rows: Records
    since: Float
    gap_stats: Float
    habits: Float
    nb_v: Float
    nb_type: Float
    nb_gap: Float
    nb_mask: Float
    pair_features: Float
    pair_v: Float
    pair_row: Int
    pair_item: Int
    facets: Float
    has: Float


READ_INPUTS = (
    "since",
    "gap_stats",
    "habits",
    "nb_v",
    "nb_type",
    "nb_gap",
    "nb_mask",
    "pair_features",
    "pair_v",
    "pair_row",
    "facets",
    "has",
)
"""What `embed_users` takes after the row, in its order."""


@dataclass(frozen=True)
class UserEmbeddings:
    """h: (B, d) temporal embedding; w_pop: (B, P) weights on popularity; q_pair: (B, q)."""

    h: Float
    w_pop: Float
    q_pair: Float


class Updaters(Protocol):
    """The memory updaters: commit(r), the open moment's (or tick's) messages folded into memory."""

    def update_users(self, rows: Records) -> Float:
        """(B,) user records -> (B, d) committed memory; rows without open messages keep theirs."""
        ...

    def update_items(self, rows: Records) -> Float:
        """(B,) item records -> (B, d - s)."""
        ...


class TemporalModel(Updaters, Protocol):
    """One set of weights, ready to use."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def initial_user(self) -> Float:
        """(d,) memory of a user who did nothing yet."""
        ...

    @property
    def initial_item(self) -> Float:
        """(d - s,) memory of an item without events."""
        ...

    def static_items(self, text: Float) -> Float:
        """text (B, d_t) -> x_i (B, s), the static part."""
        ...

    def embed_users(self, inputs: UserInputs) -> UserEmbeddings: ...

    def popularity(self, features: Float) -> Float:
        """(N, F_pop) features -> (N, P)."""
        ...

    def score_pairs(self, features: Float, query: Float) -> Float:
        """(M, F_pair) features of pairs, (M, q + 1) [q_pair of their user || h . v] -> (M,) additions to the score."""
        ...
