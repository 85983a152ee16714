"""Presets: how the modules are put together, and with which widths.

A preset is a short function that builds a `Network` from a spec; the network is what training trains, what export
turns into graphs, and what `torch_model` answers from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from model.modules.facets import FacetTokens
from model.modules.fusion import ProfileFusion
from model.modules.graph_embedding import GraphEmbedding
from model.modules.habits import HabitWeights
from model.modules.history import HistoryPooling
from model.modules.memory_updater import MemoryUpdater
from model.modules.neighbours import NeighbourAttention
from model.modules.pair import PairNetwork
from model.modules.popularity import PopularityNetwork
from model.modules.projection import EarlyLateProjection
from model.modules.static_item import StaticItem
from model.process.pair_features import pair_width
from model.process.popularity import popularity_width
from model.process.user_features import USER_FEATURES
from model.spec import ModelSpec

HEADS = 4
HISTORY_HEADS = 2
HIDDEN = 48
"""Width of the popularity and pair networks."""
DROPOUT = 0.1
USER_SPANS, ITEM_SPANS = (0.25, 1.0), (1.0, 1.0)
"""Of new memory updaters: a user's memory holds the last steps and the whole of a life, an item's all who took it."""
FACET_DROPOUT = 0.3


class Network(nn.Module):
    """The parts, injected. Its methods are the graphs of a bundle.

    y_ui(t) = h_u . v_i + w_pop(h_u, f_u) . P(i, t) + pair(u, i, t),  v_i = [x_i || c_i]
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        user_updater: MemoryUpdater,
        item_updater: MemoryUpdater,
        neighbours: NeighbourAttention,
        history: HistoryPooling,
        projection: EarlyLateProjection,
        graph: GraphEmbedding,
        facets: FacetTokens,
        fusion: ProfileFusion,
        static_item: StaticItem,
        popularity: PopularityNetwork,
        pair: PairNetwork,
        habits: HabitWeights,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.update_users, self.update_items = user_updater, item_updater
        self.neighbours, self.history, self.projection, self.graph = neighbours, history, projection, graph
        self.facets, self.fusion = facets, fusion
        self.static_items, self.popularity, self.score_pairs = static_item, popularity, pair
        self.habits = habits
        self.w_pop = nn.Linear(spec.dim, spec.popularity_dim)
        self.q_pair = nn.Linear(spec.dim, spec.pair_dim)
        self.initial_user = nn.Parameter(torch.zeros(spec.dim))
        self.initial_item = nn.Parameter(torch.zeros(spec.item_dim))
        with torch.no_grad():
            self.w_pop.bias.fill_(spec.popularity_dim**-0.5)

    def embed_users(
        self,
        m: Tensor,
        total: Tensor,
        count: Tensor,
        gap: Tensor,
        steps: Tensor,
        since: Tensor,
        gap_stats: Tensor,
        habits: Tensor,
        nb_v: Tensor,
        nb_type: Tensor,
        nb_gap: Tensor,
        nb_mask: Tensor,
        pair_features: Tensor,
        pair_v: Tensor,
        pair_row: Tensor,
        facets: Tensor,
        has: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rows, neighbours and M pairs of B users -> h (B, d), w_pop (B, P), q_pair (B, q). Shapes: `UserInputs`."""
        memory = self.update_users(m, total, count, gap, steps)
        near = (nb_v, nb_type, nb_gap, nb_mask)
        history = (pair_features, pair_v, pair_row)
        return self.embed_memory(memory, since, gap_stats, habits, *near, *history, facets, has)

    def embed_memory(
        self,
        memory: Tensor,
        since: Tensor,
        gap_stats: Tensor,
        habits: Tensor,
        nb_v: Tensor,
        nb_type: Tensor,
        nb_gap: Tensor,
        nb_mask: Tensor,
        pair_features: Tensor,
        pair_v: Tensor,
        pair_row: Tensor,
        facets: Tensor,
        has: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same from committed memory (B, d)."""
        near = self.neighbours(memory, nb_v, nb_type, nb_gap, nb_mask)
        history = self.history(pair_features, pair_v, pair_row, memory)
        graph = self.graph(memory, near, self.projection(memory, since, gap_stats), history)
        h = self.fusion(graph, self.facets(facets, has))
        w_pop, q_pair = self.habits(habits)
        return h, self.w_pop(h) + w_pop, self.q_pair(h) + q_pair


def peregrine(spec: ModelSpec) -> Network:
    """The served preset: GRU memory on rows, attention, history, early/late projection, facets, counts."""
    codes = (spec.static_dim, spec.dim)  # of a message to a user, and so of a user's new memory
    widths = (spec.message_dim, spec.time_dim)
    user_updater = MemoryUpdater(spec.dim, *widths, begins_as=(0, spec.dim), spans=USER_SPANS, codes=codes)
    item_updater = MemoryUpdater(spec.item_dim, *widths, begins_as=codes, spans=ITEM_SPANS)
    return Network(
        spec,
        user_updater=user_updater,
        item_updater=item_updater,
        neighbours=NeighbourAttention(spec.dim, spec.time_dim, len(spec.event_types), HEADS, DROPOUT),
        projection=EarlyLateProjection(spec.dim, spec.mean_log_gap, spec.sigma_log_gap, spec.gap_prior),
        history=HistoryPooling(pair_width(spec), HISTORY_HEADS, HIDDEN),
        graph=GraphEmbedding(spec.dim, HISTORY_HEADS, codes=spec.static_dim),
        facets=FacetTokens(spec.facet_dim, spec.dim, FACET_DROPOUT),
        fusion=ProfileFusion(spec.dim, spec.dim // 2, HEADS, DROPOUT, spec.dim**-0.5),
        static_item=StaticItem(spec.text_dim, spec.static_dim),
        popularity=PopularityNetwork(popularity_width(spec), spec.popularity_dim, HIDDEN),
        pair=PairNetwork(pair_width(spec), spec.pair_dim, HIDDEN),
        habits=HabitWeights(USER_FEATURES, spec.popularity_dim, spec.pair_dim, HIDDEN),
    )


PRESETS: Mapping[str, Callable[[ModelSpec], Network]] = {
    "peregrine": peregrine,
}
"""By the name that a spec carries."""
