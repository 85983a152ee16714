"""Each equation against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from model.modules.attention import Attention
from model.modules.distillation import Distillation
from model.modules.facets import FacetTokens
from model.modules.fusion import ProfileFusion
from model.modules.graph_embedding import GraphEmbedding
from model.modules.habits import HabitWeights
from model.modules.history import HistoryPooling
from model.modules.memory_updater import MemoryUpdater
from model.modules.neighbours import NeighbourAttention
from model.modules.projection import EarlyLateProjection
from model.modules.standardise import LEAST_SPREAD, Standardise
from model.modules.static_item import StaticItem
from model.modules.time_encoding import TimeEncoding


@pytest.fixture(autouse=True)
def _without_gradient() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def zeroed(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.zero_()


def normalised(values: list[float]) -> Tensor:
    """What LN without learned scale makes of a row."""
    row = torch.tensor(values)
    return (row - row.mean()) / (row.var(unbiased=False) + 1e-5).sqrt()


def test_a_gap_turns_each_wave_by_its_frequency_times_the_log_of_the_gap() -> None:
    phi = TimeEncoding(4)
    gap = math.e - 1.0  # log1p of it is 1
    expected = [math.cos(0.1), math.cos(4.0), math.sin(0.1), math.sin(4.0)]
    torch.testing.assert_close(phi(torch.tensor(gap)), torch.tensor(expected) / math.sqrt(2.0))


def test_time_encodings_have_length_one_from_no_gap_to_a_century() -> None:
    encoded = TimeEncoding(32)(torch.tensor([0.0, 1.0, 3_600.0, 3.2e9]))
    torch.testing.assert_close(encoded.norm(dim=-1), torch.ones(4))
    assert encoded[0, :16].tolist() == [0.25] * 16


def test_memory_without_open_messages_stays_to_the_last_bit() -> None:
    update = MemoryUpdater(8, 9, 4, begins_as=(0, 8), spans=(1.0, 1.0))
    memory = torch.randn(2, 8)
    counts = torch.tensor([0.0, 1.0])
    after = update(memory, torch.randn(2, 9), counts, torch.ones(2), torch.zeros(2))
    assert torch.equal(after[0], memory[0])
    assert not torch.allclose(after[1], memory[1])


def test_the_updater_is_a_gru_step() -> None:
    update = MemoryUpdater(2, 3, 2, begins_as=(0, 2), spans=(1.0, 1.0))
    zeroed(update)
    update.input_gates.bias.copy_(torch.tensor([0.0, 0.0, math.log(3.0), math.log(3.0)]))
    update.input_content.bias.copy_(torch.tensor([0.5, -1.0]))
    memory, none = torch.tensor([[1.0, 2.0]]), torch.zeros(1)
    after = update(memory, torch.ones(1, 3), torch.ones(1), none, none)
    keep = 0.75  # sigmoid(log 3)
    expected = [0.25 * math.tanh(0.5) + keep * 1.0, 0.25 * math.tanh(-1.0) + keep * 2.0]
    torch.testing.assert_close(after[0], torch.tensor(expected))


def test_the_reset_gate_holds_back_what_memory_says_of_the_new_value() -> None:
    update = MemoryUpdater(2, 3, 2, begins_as=(0, 2), spans=(1.0, 1.0))
    zeroed(update)
    update.input_gates.bias.copy_(torch.tensor([0.0, 0.0, -50.0, -50.0]))  # reset 1/2, keep 0
    update.memory_content.bias.copy_(torch.tensor([1.0, 3.0]))
    none = torch.zeros(1)
    after = update(torch.ones(1, 2), torch.ones(1, 3), torch.ones(1), none, none)
    torch.testing.assert_close(after[0], torch.tensor([math.tanh(0.5), math.tanh(1.5)]))


def test_the_updater_sees_the_mean_message_the_codes_the_gap_the_count_and_the_steps() -> None:
    update = MemoryUpdater(2, 3, 2, begins_as=(0, 2), spans=(1.0, 1.0), codes=(1, 2))
    seen: list[Tensor] = []
    update.input_gates.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    total, count, steps = torch.tensor([[8.0, 6.0, 4.0]]), torch.tensor([4.0]), torch.tensor([2.0])
    update(torch.zeros(1, 2), total, count, torch.tensor([0.0]), steps)
    torch.testing.assert_close(seen[0], torch.tensor([[2.0, 3.0, 1.0, 1.0, 0.0, math.log(5.0), math.log(3.0)]]))


def test_a_new_updater_is_the_mean_of_its_messages_beside_one_blank() -> None:
    update = MemoryUpdater(16, 20, 2, begins_as=(4, 20), spans=(1.0, 1.0))
    rng = torch.Generator().manual_seed(1)
    messages = 0.3 * torch.randn(6, 20, generator=rng)
    memory, one = torch.zeros(1, 16), torch.ones(1)
    for step, message in enumerate(messages):
        memory = update(memory, message[None], one, one, step * one)
    expected = torch.tanh(messages[:, 4:]).sum(dim=0) / 7.0
    assert torch.cosine_similarity(memory[0], expected, dim=0) > 0.97
    torch.testing.assert_close(memory.norm(), expected.norm(), rtol=0.15, atol=0.0)


def test_short_spans_hold_the_last_messages() -> None:
    update = MemoryUpdater(16, 16, 2, begins_as=(0, 16), spans=(0.0, 0.0))
    one, memory = torch.ones(1), torch.zeros(1, 16)
    old, new = torch.tensor([[1.0, -1.0] * 8]), torch.tensor([[1.0, 1.0, -1.0, -1.0] * 4])
    for step, message in enumerate([old] * 20 + [new] * 3):
        memory = update(memory, message, one, one, step * one)
    assert torch.cosine_similarity(memory, new) > 0.9


def test_a_history_is_the_mean_of_its_items_beside_one_blank_under_weights_of_their_pairs() -> None:
    pool = HistoryPooling(1, 2, 4)
    zeroed(pool)
    pool.layers[-1].bias.copy_(torch.tensor([0.0, math.log(3.0)]))
    v, row = torch.tensor([[1.0, 0.0], [3.0, 2.0], [4.0, 4.0]]), torch.tensor([0, 0, 2])
    pooled = pool(torch.zeros(3, 1), v, row, torch.zeros(3, 5))
    first, second = 1.0 / 3.0, 3.0 / 7.0
    expected = [[4 * first, 2 * first, 4 * second, 2 * second], [0.0] * 4, [2.0, 2.0, 3.0, 3.0]]
    torch.testing.assert_close(pooled, torch.tensor(expected))


def identity_attention() -> Attention:
    attention = Attention(2, 2, 2, heads=1)
    zeroed(attention)
    for layer in (attention.query, attention.key, attention.value, attention.output):
        layer.weight.copy_(torch.eye(2))
    attention.output.bias.copy_(torch.tensor([10.0, 20.0]))
    return attention


def test_attention_weighs_keys_by_softmax_of_scaled_products() -> None:
    query = torch.tensor([[math.sqrt(2.0) * math.log(3.0), 0.0]])
    keys = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    out = identity_attention()(query, keys, torch.ones(1, 2))
    torch.testing.assert_close(out, torch.tensor([[10.75, 20.25]]))  # odds 3 : 1


def test_masked_keys_do_not_count_and_without_keys_only_the_bias_is_left() -> None:
    keys = torch.tensor([[[1.0, 0.0], [5.0, 5.0]]])
    attention = identity_attention()
    out = attention(torch.ones(1, 2), keys, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(out, torch.tensor([[11.0, 20.0]]))
    torch.testing.assert_close(attention(torch.ones(1, 2), keys, torch.zeros(1, 2)), torch.tensor([[10.0, 20.0]]))


def test_neighbours_count_by_their_vector_type_and_age_in_any_order() -> None:
    attend = NeighbourAttention(8, 4, type_count=3, heads=2, dropout=0.0)
    memory, v = torch.randn(1, 8), torch.randn(1, 3, 8)
    kind, gap, mask = torch.tensor([[0, 1, 2]]), torch.tensor([[5.0, 50.0, 500.0]]), torch.ones(1, 3)
    out = attend(memory, v, kind, gap, mask)
    back = torch.tensor([2, 1, 0])
    torch.testing.assert_close(out, attend(memory, v[:, back], kind[:, back], gap[:, back], mask))
    for changed in ((v + 1.0, kind, gap), (v, kind.flip(1), gap), (v, kind, gap * 9.0)):
        assert not torch.allclose(out, attend(memory, *changed, mask))


def test_projection_compares_the_gap_with_the_users_own_shrunk_to_the_training_mean() -> None:
    project = EarlyLateProjection(2, mean_log_gap=4.0, sigma_log_gap=2.0, gap_prior=5.0)
    zeroed(project)
    project.norm.weight.fill_(1.0)
    project.early_late.weight.copy_(torch.tensor([[0.0, 1.0], [10.0, 0.0]]))  # late moves the first, early the second
    memory = torch.tensor([[1.0, 3.0]])
    since = torch.expm1(torch.tensor([10.0]))
    gaps = torch.tensor([[15 * 5.6 + 5 * (5.6 - 4.0), 15.0]])  # own mean (92 + 20) / 20 = 5.6, delta = 2.2
    torch.testing.assert_close(project(memory, since, gaps)[0], normalised([1.0 * 3.2, 3.0]))
    new_user = torch.zeros(1, 2)
    early = torch.expm1(torch.tensor([3.0]))  # delta = -0.5
    torch.testing.assert_close(project(memory, early, new_user)[0], normalised([1.0, 3.0 * -4.0]))


def test_the_graph_embedding_joins_memory_neighbours_projection_and_history() -> None:
    join = GraphEmbedding(2, heads=2)
    zeroed(join)
    join.join.weight[0, ::2] = torch.tensor([1.0, 10.0, 100.0, 1_000.0, 10_000.0])
    memory, near, projected = (torch.tensor([[value, 0.0]]) for value in (1.0, 2.0, 3.0))
    out = join(memory, near, projected, torch.tensor([[4.0, 0.0, 5.0, 0.0]]))
    assert out.tolist() == [[54_321.0, 0.0]]


def test_distillation_keeps_the_dimensions_that_agree_most() -> None:
    tokens = torch.tensor([[[2.0, -1.0, 3.0, 0.5]]])
    graph = torch.tensor([[3.0, 4.0, 0.0, 0.0]])  # directions 0.6, 0.8, 0, 0; agreement 1.2, -0.8, 0, 0
    out = Distillation(keep=1)(tokens, graph)
    torch.testing.assert_close(out, torch.tensor([[[2.0 * math.tanh(1.2), 0.0, 0.0, 0.0]]]))


def test_an_untrained_facet_changes_nothing() -> None:
    tokens, fusion = FacetTokens(6, 8, dropout=0.3).eval(), ProfileFusion(8, keep=4, heads=2, dropout=0.0)
    graph, none = torch.randn(3, 8), torch.zeros(3, 4)
    without = fusion(graph, tokens(torch.zeros(3, 4, 6), none))
    with_facets = fusion(graph, tokens(torch.randn(3, 4, 6), none + 1.0))
    assert torch.equal(without, with_facets)


def test_a_trained_facet_counts_where_it_is_there() -> None:
    tokens = FacetTokens(6, 8, dropout=0.3).eval()
    tokens.gate.fill_(1.0)
    out = tokens(torch.randn(1, 4, 6), torch.tensor([[1.0, 0.0, 0.0, 1.0]]))[0]
    assert torch.equal(out[1], tokens.none)
    assert torch.equal(out[2], tokens.none)
    assert not torch.allclose(out[0], tokens.none)
    assert not torch.allclose(out[0], out[3])


def test_training_hides_facets_now_and_then() -> None:
    tokens = FacetTokens(6, 8, dropout=0.5)
    tokens.gate.fill_(1.0)
    out = tokens(torch.randn(200, 4, 6), torch.ones(200, 4))
    hidden = (out == tokens.none).all(dim=-1).float().mean().item()
    assert 0.4 < hidden < 0.6  # 800 draws of one half: 0.5 +- 0.018


def test_an_item_without_text_is_the_mean_item() -> None:
    static = StaticItem(3, 4)
    static.norm.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert static(torch.zeros(2, 3)).tolist() == [[1.0, 2.0, 3.0, 4.0]] * 2


def test_an_items_text_is_projected_and_normalised() -> None:
    static = StaticItem(2, 3)
    static.text.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    out = static(torch.tensor([[3.0, 6.0]]))
    torch.testing.assert_close(out[0], normalised([3.0, 6.0, 0.0]))


def test_texts_start_in_the_directions_in_which_they_differ() -> None:
    static = StaticItem(text_dim=4, static_dim=2)
    texts = torch.tensor([[5.0, 2.0, 0.0, 0.0], [5.0, -2.0, 0.0, 0.0], [5.0, 0.0, 1.0, 0.0], [5.0, 0.0, -1.0, 0.0]])
    static.measure(texts)
    directions = static.text.weight / static.text.weight.norm(dim=1, keepdim=True)
    torch.testing.assert_close(directions.abs(), torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]))


def test_standardised_features_have_mean_0_and_the_measured_spread() -> None:
    standardise = Standardise(2)
    sample = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    torch.testing.assert_close(standardise(sample), sample)  # nothing measured yet
    standardise.measure(sample)
    spread = math.sqrt(2.0) + LEAST_SPREAD
    torch.testing.assert_close(standardise(sample), torch.tensor([[-1.0 / spread, 0.0], [1.0 / spread, 0.0]]))


def test_the_measured_constants_travel_with_the_weights() -> None:
    measured = Standardise(1)
    measured.measure(torch.tensor([[1.0], [3.0]]))
    loaded = Standardise(1)
    loaded.load_state_dict(measured.state_dict())
    assert torch.equal(loaded(torch.tensor([[7.0]])), measured(torch.tensor([[7.0]])))


def test_habits_move_both_weights() -> None:
    weights = HabitWeights(3, 2, 4, 8)
    (w_pop, q_pair), (others_pop, others_pair) = weights(torch.zeros(1, 3)), weights(torch.ones(1, 3))
    assert (w_pop.shape, q_pair.shape) == ((1, 2), (1, 4))
    assert not torch.allclose(w_pop, others_pop)
    assert not torch.allclose(q_pair, others_pair)
