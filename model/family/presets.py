"""The presets: short compositions of one architecture (MODEL.md section 4).

Where they differ from what was published: scores are dot products for all (JODIE's was a distance), times are encoded
on a log scale, nodes carry the text of their items where there is one beside learned ids, and one update a batch takes
gradient through a node's own last step (neighbours' memory stands as stored).
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from model.family.attention import FoldedNeighbours, GraphAttention
from model.family.batches import Batch
from model.family.heads import (
    DriftingUser,
    Embedding,
    Profiled,
    ProjectedGraph,
    StaticAndDynamic,
    StaticAndMemory,
)
from model.family.messages import AttendedOther, EncodedGap, EventType, LogGap, Message, Other, Own
from model.family.network import Static, StaticIds, StaticNodes, TemporalNetwork, embedding, memory
from model.family.state import GraphState
from model.family.stream import Stream
from model.family.updaters import OneASide, Recurrent, UnitLength
from model.modules.facets import FacetTokens
from model.modules.fusion import ProfileFusion
from model.modules.projection import EarlyLateProjection

HEADS = 2
FACET_DROPOUT = 0.3


class FamilySetting(BaseModel):
    """What is searched, and the rest of what a preset and its training take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: int = 64
    time_dim: int = 32
    neighbours: int = 10
    dropout: float = 0.1
    features: bool = True
    """TGN's nodes have learned ids and texts; without, they are known by memory alone."""
    batch_events: int = 200
    learning_rate: float = 1e-3
    weight_decay: float = 0.01


Preset = Callable[[FamilySetting, Stream], TemporalNetwork]


def jodie(setting: FamilySetting, stream: Stream) -> TemporalNetwork:
    """Other and gap -> RNN with L2 norm, one a side; memory drifts with the gap; static beside it."""
    d, gap = setting.dim, (stream.mean_log_gap, stream.sigma_log_gap)
    message = Message(Other(d), LogGap(*gap))
    user, item = (Recurrent(nn.RNNCell(message.width, d), UnitLength()) for _ in range(2))
    return TemporalNetwork(
        stream.n_users,
        static=StaticIds(stream.known, d),
        message=message,
        updater=OneASide(user, item),
        carries=memory,
        gives=memory,
        layers=[],
        depth=(0, 0),
        user_head=DriftingUser(d, *gap),
        item_head=StaticAndMemory(),
        told=stream.no_text,
    )


def dyrep(setting: FamilySetting, stream: Stream) -> TemporalNetwork:
    """Self, the other's graph attention over memory and node features, gap and type -> RNN; memory itself scores."""
    d = setting.dim
    static = StaticNodes(stream.known, stream.text, d)
    attention = GraphAttention(_layer(setting, stream), static.beside)

    def attended(_network: TemporalNetwork, state: GraphState, batch: Batch) -> Tensor:
        given: Tensor = attention(state, batch.both, batch.time.repeat(2))
        return given

    message = Message(Own(d), AttendedOther(d, attention), EventType(stream.types), EncodedGap(setting.time_dim))
    return TemporalNetwork(
        stream.n_users,
        static=static,
        message=message,
        updater=Recurrent(nn.RNNCell(message.width, d)),
        carries=memory,
        gives=attended,
        layers=[],
        depth=(0, 0),
        user_head=(head := Embedding()),
        item_head=head,
        told=stream.no_text,
    )


def tgn(setting: FamilySetting, stream: Stream) -> TemporalNetwork:
    """Self, other, type and gap -> GRU; one layer of attention over memory and node features."""
    d = setting.dim
    message = Message(Own(d), Other(d), EventType(stream.types), EncodedGap(setting.time_dim))
    return TemporalNetwork(
        stream.n_users,
        static=StaticNodes(stream.known, stream.text, d) if setting.features else Static(d),
        message=message,
        updater=Recurrent(nn.GRUCell(message.width, d)),
        carries=memory,
        gives=memory,
        layers=[_layer(setting, stream)],
        depth=(1, 1),
        user_head=(head := Embedding()),
        item_head=head,
        told=stream.no_text,
    )


def dynshare(setting: FamilySetting, stream: Stream) -> TemporalNetwork:
    """Other and gap -> GRU from the last embedding, LN; two layers of attention (items one); early/late; static."""
    return _sharing(setting, stream, ProjectedGraph(setting.dim, _projection(setting, stream)))


def dynllm(setting: FamilySetting, stream: Stream) -> TemporalNetwork:
    """DynShare with profile facets, distilled and fused into the user."""
    d = setting.dim
    tokens = FacetTokens(stream.text.shape[1], d, FACET_DROPOUT)
    graph = ProjectedGraph(d, _projection(setting, stream))
    fusion = ProfileFusion(d, d // 2, HEADS, setting.dropout)
    return _sharing(setting, stream, Profiled(graph, tokens, fusion))


def dynllm_untrained(setting: FamilySetting, stream: Stream) -> TemporalNetwork:
    """DynLLM as released: neither the updater nor the profile projections ever get a gradient."""
    network = dynllm(setting, stream)
    network.updater.requires_grad_(False)
    for module in network.modules():
        if isinstance(module, FacetTokens):
            module.text.requires_grad_(False)
    return network


def _sharing(setting: FamilySetting, stream: Stream, user: nn.Module) -> TemporalNetwork:
    d = setting.dim
    message = Message(Other(d), EncodedGap(setting.time_dim))
    return TemporalNetwork(
        stream.n_users,
        static=StaticNodes(stream.known, stream.text, d),
        message=message,
        updater=Recurrent(nn.GRUCell(message.width, d), nn.LayerNorm(d)),
        carries=embedding,
        gives=embedding,
        layers=[_layer(setting, stream), _layer(setting, stream)],
        depth=(2, 1),
        user_head=StaticAndDynamic(d, user),
        item_head=StaticAndDynamic(d, Embedding()),
        told=stream.text,
    )


def _layer(setting: FamilySetting, stream: Stream) -> FoldedNeighbours:
    return FoldedNeighbours(setting.dim, setting.time_dim, stream.types, HEADS, setting.dropout)


def _projection(setting: FamilySetting, stream: Stream) -> EarlyLateProjection:
    return EarlyLateProjection(setting.dim, stream.mean_log_gap, stream.sigma_log_gap, stream.gap_prior)
