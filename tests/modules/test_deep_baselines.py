"""The deep baselines: tiny data with an obvious answer, equations against torch-geometric, promises of a scorer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.baselines.baseline import Entry
from model.baselines.bipartite import Edges
from model.baselines.deep import DEEP
from model.baselines.gat import GraphAttention
from model.baselines.gcn import GraphConvolution
from model.baselines.graph import GraphNetwork, GraphSetting, TrainingGraph
from model.baselines.known_items import KnownItems
from model.baselines.lightgcn import LightConvolution
from model.baselines.lightgcn import network as lightgcn_network
from model.baselines.ngcf import CollaborativeConvolution
from model.baselines.sequences import START, Windows
from model.baselines.softmax import softmax_loss
from model.data import Dataset
from tests.bench.geometric import GATConv, GCNConv, LGConv, LightGCN
from tests.modules.fits import fitted, own_camp_leads, scores, two_camps
from tests.modules.streams import random_stream, stream

ENTRIES = {entry.name: entry for entry in DEEP}
SMALL = {"dim": 16}
each = pytest.mark.parametrize("entry", DEEP, ids=ENTRIES.keys())
each_graph = pytest.mark.parametrize("entry", DEEP[:4], ids=list(ENTRIES)[:4])


@each
def test_the_own_camp_leads(entry: Entry) -> None:
    events = two_camps()
    scorer = fitted(entry, events, rounds=3, **SMALL)
    scorer.apply(events)
    assert own_camp_leads(scorer, events) > 0.95


@each
def test_the_same_seed_gives_the_same_scores_and_another_seed_others(entry: Entry) -> None:
    events = two_camps(300)
    found = []
    for seed in (0, 0, 1):
        scorer = fitted(entry, events, seed=seed, **SMALL)
        scorer.apply(events)
        found.append(scores(scorer, [0, 1, 19], 10**6))
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])


@each
def test_live_history_moves_a_list_and_reading_moves_nothing(entry: Entry) -> None:
    events = two_camps()
    scorer = fitted(entry, events, rounds=2, **SMALL)
    newcomer = scores(scorer, [19], 10**6)
    assert np.isfinite(newcomer).all()
    np.testing.assert_array_equal(scores(scorer, [19], 10**6), newcomer)
    scorer.apply(stream([(19, 1, 2_000_000), (19, 3, 2_000_900), (19, 19, 2_000_950)], 20, 20))
    turned = scores(scorer, [19], 2_001_000)[0, :18]
    assert turned[1::2].mean() > turned[::2].mean()


@each
def test_an_item_that_training_has_not_seen_comes_last(entry: Entry) -> None:
    events = two_camps()
    scorer = fitted(entry, events, **SMALL)
    scorer.apply(events)
    found = scores(scorer, [0, 19], 10**6)
    assert (found[:, [18, 19]] == found.min(axis=1, keepdims=True)).all()


def chains(seed: int, n_items: int = 12) -> Dataset:
    """After item i comes i + 1, whoever acts: only the order of the last two events tells what is next."""
    rng = np.random.default_rng(seed)
    rows = [
        (user, int((first + step) % n_items), user * 10_000 + step * 60)
        for user, first in enumerate(rng.integers(n_items, size=60).tolist())
        for step in range(24)
    ]
    return stream(rows, 61, n_items)


@pytest.mark.parametrize("name", ["sasrec", "gru4rec"])
def test_sequential_models_see_the_order(name: str) -> None:
    scorer = fitted(ENTRIES[name], chains(0), rounds=5, **SMALL)
    scorer.apply(stream([(60, item, item * 60) for item in range(6)], 61, 12))
    assert scores(scorer, [60], 10_000)[0].argmax() == 6


def test_a_graph_does_not_see_the_order() -> None:
    scorer = fitted(ENTRIES["lightgcn"], chains(0), rounds=5, **SMALL)
    scorer.apply(stream([(60, item, item * 60) for item in range(6)], 61, 12))
    forward = scores(scorer, [60], 10_000)
    scorer = fitted(ENTRIES["lightgcn"], chains(0), rounds=5, **SMALL)
    scorer.apply(stream([(60, item, (6 - item) * 60) for item in range(6)], 61, 12))
    np.testing.assert_allclose(scores(scorer, [60], 10_000), forward)


@each_graph
def test_training_history_gives_the_user_embeddings_of_training(entry: Entry) -> None:
    """The fold-in of unchanged history is no approximation."""
    events = random_stream(2, 200, 12, 9)
    torch.manual_seed(0)
    graph = TrainingGraph(events)
    build = entry.fit._build  # type: ignore[attr-defined]
    network: GraphNetwork = build(GraphSetting(dim=8), 12, len(graph.known)).eval()
    with torch.no_grad():
        h, items = network(graph.to_users, graph.to_items)
        histories = [events.item[events.user == user] for user in range(12)]
        folded = network.fold_in(network.users, items, graph.live(histories))
    torch.testing.assert_close(folded, h)


def homogeneous(graph: TrainingGraph) -> torch.Tensor:
    """(2, 2 E) edges both ways, items numbered after the users."""
    users, items = graph.to_users.destination, graph.to_users.source + graph.n_users
    return torch.stack([torch.cat([users, items]), torch.cat([items, users])])


def both_sides(layer: torch.nn.Module, graph: TrainingGraph, x: torch.Tensor) -> torch.Tensor:
    users, items = x[: graph.n_users], x[graph.n_users :]
    return torch.cat([layer(users, items, graph.to_users), layer(items, users, graph.to_items)])


@pytest.fixture
def graph() -> TrainingGraph:
    torch.manual_seed(0)
    return TrainingGraph(random_stream(2, 200, 12, 9))


def test_lightgcn_is_that_of_torch_geometric(graph: TrainingGraph) -> None:
    network = lightgcn_network(GraphSetting(dim=8, layers=3), 12, 9).eval()
    theirs = LightGCN(21, 8, 3)
    with torch.no_grad():
        theirs.embedding.weight.copy_(torch.cat([network.users, network.items]))
        h, items = network(graph.to_users, graph.to_items)
        torch.testing.assert_close(
            torch.cat([h, network.join(items)]), theirs.get_embedding(homogeneous(graph)), rtol=1e-5, atol=1e-6
        )


def test_the_convolutions_are_those_of_torch_geometric(graph: TrainingGraph) -> None:
    x, edges = torch.randn(21, 8), homogeneous(graph)
    light, plain = LightConvolution(0.0), GraphConvolution(8, 0.0, torch.nn.Identity())
    attention = GraphAttention(8, 0.0, torch.nn.Identity())
    gcn, gat = GCNConv(8, 8), GATConv(8, 4, heads=2)
    with torch.no_grad():
        gcn.lin.weight.copy_(plain.linear.weight)
        gcn.bias.copy_(plain.linear.bias)
        gat.lin.weight.copy_(attention.linear.weight)
        gat.att_src.copy_(attention.source.unsqueeze(0))
        gat.att_dst.copy_(attention.target.unsqueeze(0))
        for ours, theirs in ((light, LGConv()), (plain, gcn), (attention, gat)):
            torch.testing.assert_close(both_sides(ours, graph, x), theirs(x, edges), rtol=1e-4, atol=1e-5)


def test_ngcf_adds_the_messages_of_the_paper(graph: TrainingGraph) -> None:
    layer = CollaborativeConvolution(8, 0.0)
    own, others = torch.randn(12, 8), torch.randn(9, 8)
    edges = graph.to_users
    with torch.no_grad():
        total = layer.same.weight @ own[3] + layer.same.bias + layer.product.bias
        for item in edges.source[edges.destination == 3]:
            norm = (edges.degree[3] * edges.source_degree[item]).float().rsqrt()
            total += norm * (layer.same.weight @ others[item] + layer.product.weight @ (others[item] * own[3]))
        expected = torch.nn.functional.normalize(torch.nn.functional.leaky_relu(total, 0.2), dim=0)
        torch.testing.assert_close(layer(own, others, edges)[3], expected, rtol=1e-4, atol=1e-5)


def test_sums_along_edges_have_the_gradient_of_their_formula() -> None:
    torch.manual_seed(0)
    edges = Edges.of(torch.tensor([2, 0, 2]), torch.tensor([1, 0, 0]), 3, torch.tensor([2, 1]))
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(edges.sum, (x, weight))


def test_a_window_shows_what_came_before_a_timestamp_and_nothing_of_it() -> None:
    """Targets are read from the state behind the last event before them, each once, and with enough context."""
    rows = [(0, item, time) for time, basket in enumerate([[0], [1, 2], [3], [4], [5, 6], [7]]) for item in basket]
    events = stream(rows, 1, 8)
    windows = Windows(events, KnownItems(events), length=4)
    window, place, row, item = windows.targets(torch.arange(len(windows.tokens)))
    shown = {}
    for target, at in zip(item.tolist(), row.tolist(), strict=True):
        tokens = windows.tokens[window[at], : place[at] + 1]
        shown[target] = [token - 1 for token in tokens.tolist() if token != START]
    assert shown == {
        0: [],
        1: [0],
        2: [0],
        3: [0, 1, 2],
        4: [0, 1, 2, 3],
        5: [2, 3, 4],
        6: [2, 3, 4],
        7: [4, 5, 6],
    }


def test_sampled_softmax_comes_close_to_the_full_one() -> None:
    torch.manual_seed(0)
    h, items = torch.randn(40, 8), torch.randn(12_000, 8) * 0.5
    row, positive = torch.arange(40), torch.randint(12_000, (40,))
    whole = softmax_loss(h, items, row, positive)
    sampled = softmax_loss(h, items, row, positive, full=100)
    assert abs(float(whole - sampled)) < 0.02  # 8,192 of 12,000 draws
