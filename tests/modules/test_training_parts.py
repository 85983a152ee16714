"""The pieces of training, each alone: how a stream is cut, what a step scores, the loss, and the spec's statistics."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data import Dataset
from model.presets import peregrine
from model.spec import DAY, ModelSpec
from model.training.average import RunningAverage
from model.training.batches import steps
from model.training.loss import EXCLUDED, bpr_loss, softmax_loss
from model.training.negatives import Negatives
from model.training.statistics import item_tick, log_gaps, pop_step, with_statistics
from model.training.step import chances
from tests.modules.streams import stream

streams = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 12)), min_size=1, max_size=60, unique=True
)


@settings(max_examples=200, deadline=None)
@given(rows=streams, most=st.integers(1, 12))
def test_steps_are_consecutive_whole_timestamps_as_many_as_fit(rows: list[tuple[int, int, int]], most: int) -> None:
    dataset = stream(rows, 5, 6)
    cut = list(steps(dataset, most))
    assert [row for part in cut for row in range(part.start, part.stop)] == list(range(len(dataset)))
    for part, following in zip(cut, [*cut[1:], slice(len(dataset), len(dataset))], strict=True):
        times = dataset.timestamp[part]
        assert len(times) <= most or len(set(times)) == 1
        if following.start < len(dataset):
            next_time = dataset.timestamp[following.start]
            assert next_time != times[-1]
            assert len(times) + (dataset.timestamp == next_time).sum() > most


@settings(max_examples=200, deadline=None)
@given(sizes=st.lists(st.floats(0, 1e6, width=32), max_size=30), wanted=st.integers(0, 40))
def test_chances_are_in_proportion_and_come_to_what_is_wanted(sizes: list[float], wanted: int) -> None:
    size = np.array(sizes, dtype=np.float32)
    chance = chances(size, wanted)
    assert ((chance >= 0) & (chance <= 1)).all()
    assert not chance[size == 0].any()
    assert chance.sum() == pytest.approx(min(wanted, (size > 0).sum()), rel=1e-6)
    open_ones = (chance < 1) & (size > 0)
    if wanted and open_ones.any():
        ratio = chance[open_ones] / size[open_ones].astype(np.float64)
        assert ratio.max() == pytest.approx(ratio.min(), rel=1e-5)
        assert (size[chance == 1] >= size[open_ones].max() * (1 - 1e-6)).all()


def test_the_average_forgets_where_it_began_and_follows_more_and_more_slowly() -> None:
    network = peregrine(ModelSpec(dim=8, time_dim=4, text_dim=3, facet_dim=2))
    average = RunningAverage(network, keep=0.5)
    seen = []
    for value in (2.0, 4.0, 8.0, 16.0):
        with torch.no_grad():
            network.initial_user.fill_(value)
        average.update()
        seen.append(average.network.initial_user[0].item())
    assert seen == pytest.approx([2.0, 2.0 + 0.9 * 2, 3.8 + (9 / 11) * 4.2, 7.2363636 + 0.75 * (16 - 7.2363636)])
    other = RunningAverage(network, keep=0.5)
    other.restore(average.state())
    other.update()
    average.update()
    assert torch.equal(other.network.initial_user, average.network.initial_user)


def test_the_loss_is_the_mean_surprise_at_each_event_among_the_candidates() -> None:
    scores = torch.tensor([[math.log(1.0), math.log(3.0), EXCLUDED], [0.0, 0.0, math.log(2.0)]])
    row, column, weight = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2]), torch.tensor([1.0, 1.0, 2.0])
    expected = math.log(4.0) + math.log(4.0 / 3.0) + 2.0 * math.log(2.0)
    assert softmax_loss(scores, row, column, weight).item() == pytest.approx(expected, rel=1e-6)


def test_bpr_is_the_mean_over_candidates_of_how_far_each_event_stands_behind() -> None:
    scores = torch.tensor([[1.0, 3.0, EXCLUDED], [0.0, 0.0, 2.0]])
    row, column, weight = torch.tensor([0, 1]), torch.tensor([0, 2]), torch.tensor([1.0, 2.0])
    lost = [math.log(1 + math.exp(margin)) for margin in (0.0, 2.0, -2.0)]
    expected = (lost[0] + lost[1]) / 2 + 2.0 * (lost[0] + 2 * lost[2]) / 3
    assert bpr_loss(scores, row, column, weight).item() == pytest.approx(expected, rel=1e-6)


def test_an_excluded_positive_without_weight_leaves_loss_and_gradient_finite() -> None:
    raw = torch.zeros(1, 3, requires_grad=True)
    scores = raw + torch.tensor([[0.0, 0.0, EXCLUDED]])
    loss = softmax_loss(scores, torch.tensor([0, 0]), torch.tensor([2, 0]), torch.tensor([0.0, 1.0]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2.0))
    assert raw.grad is not None
    torch.testing.assert_close(raw.grad, torch.tensor([[-0.5, 0.5, 0.0]]))


def test_a_small_catalogue_is_scored_whole_and_only_what_is_available_competes() -> None:
    available = np.array([True, False, True])
    columns = Negatives(np.array([5, 1, 0]), 10, 3, np.random.default_rng(0)).columns(available, np.array([2]))
    assert columns.items.tolist() == [0, 1, 2]
    assert columns.offset.tolist() == [0.0, EXCLUDED, 0.0]


def test_a_sampled_softmax_has_the_whole_catalogues_partition_function_on_average() -> None:
    rng = np.random.default_rng(0)
    count = 300
    available = np.arange(count) % 3 > 0
    scores = rng.normal(size=count)
    exact = np.exp(scores[available]).sum()
    negatives = Negatives(rng.zipf(1.5, count).clip(max=500), 60, full_up_to=100, rng=rng)
    sums = []
    for _ in range(2_000):
        columns = negatives.columns(available, needed=np.array([1, 7]))
        assert {1, 7} <= set(columns.items.tolist())
        sums.append(np.exp(scores[columns.items] + columns.offset).sum())
    error = np.std(sums) / math.sqrt(len(sums))
    assert abs(np.mean(sums) - exact) < 4 * error  # 4 standard errors, about 2 % here


def test_columns_find_items_and_rows_of_the_catalogue() -> None:
    negatives = Negatives(np.ones(10, dtype=np.int64), 3, full_up_to=5, rng=np.random.default_rng(1))
    columns = negatives.columns(np.ones(10, dtype=np.bool_), needed=np.array([9, 4]))
    catalogue = np.arange(10, dtype=np.float32) * 2
    found = columns.among(catalogue)[columns.of(np.array([4, 9]))]
    assert found.tolist() == [8.0, 18.0]


def evenly(events: int, seconds_apart: int) -> Dataset:
    return stream([(i % 3, i % 2, i * seconds_apart) for i in range(events)], 3, 2)


def test_a_tick_holds_about_64_events_between_a_minute_and_a_day() -> None:
    assert item_tick(evenly(1_001, 30)) == 1_860  # 64 x 30 s = 1,920 s, less the open end, in whole minutes
    assert item_tick(evenly(100, 0)) == 60
    assert item_tick(evenly(100, 10 * DAY)) == DAY


def test_popularity_steps_stay_short_against_the_shortest_half_life() -> None:
    assert pop_step(600, 6 * 3_600) == 600
    assert pop_step(DAY, 6 * 3_600) == 3_600


def test_log_gaps_are_between_a_users_moments_not_between_the_events_of_a_basket() -> None:
    dataset = stream([(0, 0, 10), (0, 1, 10), (1, 0, 12), (0, 0, 20), (1, 1, 112)], 2, 2)
    np.testing.assert_allclose(np.sort(log_gaps(dataset)), [math.log(11.0), math.log(101.0)], rtol=1e-6)


def test_event_types_of_the_data_join_those_every_model_knows() -> None:
    dataset = replace(evenly(10, 5), event_types=("gift", "purchase"))
    dataset.event_type[3] = 1
    spec = with_statistics(ModelSpec(), dataset)
    assert spec.event_types[-1] == "gift"
    assert spec.event_types.count("purchase") == 1
    assert spec.mean_log_gap == pytest.approx(math.log(16.0))
