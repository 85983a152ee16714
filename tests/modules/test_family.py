"""The presets of the family: tiny data with an obvious answer, and what their scorer promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.baselines.baseline import Entry
from model.data import Dataset
from model.family import stream as streams
from model.family.batches import Batch, whole_timestamps
from model.family.entries import FAMILY
from model.family.messages import AttendedOther
from model.family.presets import FamilySetting, Preset, dynllm, dynllm_untrained, dyrep, jodie, tgn
from model.family.state import NOBODY, GraphState
from model.family.stream import Stream
from model.family.training import Training
from tests.modules.fits import fitted, own_camp_leads, scores, two_camps
from tests.modules.streams import random_stream, stream

SMALL = {"dim": 16, "time_dim": 8, "neighbours": 5, "batch_events": 40, "learning_rate": 1e-2}
each = pytest.mark.parametrize("entry", FAMILY, ids=[entry.name for entry in FAMILY])


@pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, marks=[pytest.mark.long] * entry.name.startswith("dynllm")) for entry in FAMILY],
    ids=[entry.name for entry in FAMILY],
)
def test_the_own_camp_leads(entry: Entry) -> None:
    events = two_camps()
    scorer = fitted(entry, events, rounds=8, **SMALL)
    scorer.apply(events)
    assert own_camp_leads(scorer, events) > 0.8


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
def test_reading_writes_nothing_and_neither_a_new_user_nor_an_empty_state_is_trouble(entry: Entry) -> None:
    events = two_camps(300)
    scorer = fitted(entry, events, **SMALL)
    assert np.isfinite(scores(scorer, [0, 19], 0)).all()
    scorer.apply(events)
    first = scores(scorer, [0, 3, 19], 10**6)
    assert np.isfinite(first).all()
    scores(scorer, [1, 2], 2 * 10**6)
    np.testing.assert_array_equal(scores(scorer, [0, 3, 19], 10**6), first)
    np.testing.assert_allclose(scores(scorer, [3], 10**6), first[[1]], rtol=1e-5, atol=1e-6)  # sums in another order


@each
def test_where_apply_is_cut_and_whether_it_was_read_changes_nothing(entry: Entry) -> None:
    events = random_stream(4, 230, 12, 9)
    whole, parts = (fitted(entry, events, **SMALL) for _ in range(2))
    whole.apply(events)
    for rows in whole_timestamps(events.timestamp, 1):
        scores(parts, [0, 1], int(events.timestamp[rows.start]))
        parts.apply(events.subset(rows))
    at = int(events.timestamp[-1]) + 60
    np.testing.assert_allclose(scores(parts, [0, 5, 11], at), scores(whole, [0, 5, 11], at), rtol=1e-5, atol=1e-6)


@each
def test_an_event_is_seen_by_its_user_at_once(entry: Entry) -> None:
    events = two_camps(300)
    scorer = fitted(entry, events, **SMALL)
    scorer.apply(events)
    before = scores(scorer, [0, 2], 10**6)
    scorer.apply(stream([(0, 3, 900_000)], 20, 20))
    after = scores(scorer, [0, 2], 10**6)
    assert not np.allclose(after[0], before[0])


def trained(preset: Preset, events: Dataset, **changes: object) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A network after an epoch, and its parameters before."""
    torch.manual_seed(0)
    setting, on = FamilySetting.model_validate(SMALL | changes), Stream.of(events)
    network = preset(setting, on)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    training = Training(network, setting, on)
    for batch in training.epoch(events):
        training.step(batch)
    return network, before


def moved(network: torch.nn.Module, before: dict[str, torch.Tensor], prefix: str) -> bool:
    return any(
        not torch.equal(value, before[name]) for name, value in network.named_parameters() if name.startswith(prefix)
    )


def test_every_updater_learns_but_that_of_the_released_dynllm() -> None:
    events = two_camps(300)
    for preset in (jodie, dyrep, tgn, dynllm):
        assert moved(*trained(preset, events), "updater"), preset.__name__
    network, before = trained(dynllm_untrained, events)
    assert not moved(network, before, "updater")
    assert not moved(network, before, "user_head.dynamic.tokens.text")
    assert moved(network, before, "layers")


def test_the_attention_inside_the_messages_of_dyrep_learns() -> None:
    network, before = trained(dyrep, two_camps(300))
    place = next(n for n, part in enumerate(network.message.parts) if isinstance(part, AttendedOther))
    assert moved(network, before, f"message.parts.{place}.attention.layer.attention")


def test_what_nodes_of_dyrep_give_is_bounded_whatever_its_weights() -> None:
    events = two_camps(100)
    setting, on = FamilySetting.model_validate(SMALL), Stream.of(events)
    network = dyrep(setting, on)
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if ".attention." in name:
                weights.mul_(100.0)
    state = network.empty_state(setting.dim, setting.neighbours, on.start)
    for rows in whole_timestamps(events.timestamp, 10):
        network.process(state, Batch.of(events).take(rows))
    assert 0.5 < state.given.abs().max() <= 1.0


def test_memories_of_jodie_have_length_one() -> None:
    events = two_camps(100)
    setting, on = FamilySetting.model_validate(SMALL), Stream.of(events)
    network = jodie(setting, on)
    state = network.empty_state(setting.dim, setting.neighbours, on.start)
    network.process(state, Batch.of(events))
    there = state.other != NOBODY
    torch.testing.assert_close(state.memory[there].norm(dim=1), torch.ones(int(there.sum())))
    assert (state.memory[~there] == 0).all()


def received(events: Dataset, neighbours: int, least: int) -> GraphState:
    """The state without any network: what is carried and given is zero."""
    state = GraphState.empty(events.n_users + events.n_items, 2, neighbours, int(events.timestamp[0]), 1)
    whole = Batch.of(events)
    for rows in whole_timestamps(events.timestamp, least):
        batch = whole.take(rows)
        nothing = torch.zeros(2 * len(batch), 2)
        state.receive(batch, nothing, nothing, torch.ones(len(batch), 1))
    return state


@pytest.mark.parametrize("least", [1, 7, 1000])
def test_neighbours_are_the_last_n_of_either_side_whatever_the_batch(least: int) -> None:
    events = random_stream(5, 160, 6, 9, per_timestamp=1)
    state = received(events, 4, least)
    for node in range(15):
        mine = events.user == node if node < 6 else events.item == node - 6
        others = events.item[mine] + 6 if node < 6 else events.user[mine]
        last = sorted(zip(events.timestamp[mine].tolist(), others.tolist(), strict=True))[-4:]
        there = state.near[node] != NOBODY
        found = sorted(zip(state.near_time[node][there].tolist(), state.near[node][there].tolist(), strict=True))
        assert found == last
        assert int(state.events[node]) == int(mine.sum())
    np.testing.assert_array_equal(state.told[:6, 0], np.bincount(events.user, minlength=6))


def test_the_raw_message_is_of_the_last_event_in_the_last_batch() -> None:
    events = stream([(0, 0, 100), (0, 1, 160), (1, 1, 170), (0, 2, 400)], 2, 3)
    state = GraphState.empty(5, 1, 2, 100, 0)
    whole, told = Batch.of(events), torch.zeros(2, 0)
    content = torch.arange(4.0).unsqueeze(1)  # of users, then of items of a batch
    state.receive(whole.take(slice(0, 2)), content, content + 10, told)
    assert state.other.tolist() == [3, NOBODY, 0, 0, NOBODY]
    assert state.carried[0].item() == 1.0
    assert state.given[0].item() == 13.0  # the second item
    assert state.given[3].item() == 11.0  # the user at the second event
    state.receive(whole.take(slice(2, 4)), content, content + 10, told)
    assert state.gap.tolist() == [240.0, 70.0, 0.0, 10.0, 300.0]  # user 0 since 160, item 1 since 160
    assert state.last.tolist() == [400, 170, 100, 170, 400]
    torch.testing.assert_close(state.gap_stats[0], torch.tensor([np.log1p(240), 1.0]).float())  # of batches


def test_rows_put_back_undo_a_batch() -> None:
    events = random_stream(6, 60, 6, 9)
    state = received(events, 4, 1000)
    before = state.rows(torch.arange(15))
    batch = Batch.of(events)
    nodes = torch.unique(batch.both)
    kept = state.rows(nodes)
    state.receive(batch, torch.ones(120, 2), torch.ones(120, 2), torch.ones(60, 1))
    assert not torch.equal(state.events, before[-2])
    state.put(nodes, kept)
    for found, expected in zip(state.rows(torch.arange(15)), before, strict=True):
        assert torch.equal(found, expected)


def test_batches_are_whole_timestamps_of_at_least_so_many_events() -> None:
    times = np.array([1, 1, 1, 2, 3, 3, 4, 4, 4, 4, 5])
    assert [(rows.start, rows.stop) for rows in whole_timestamps(times, 3)] == [(0, 3), (3, 6), (6, 10), (10, 11)]


def test_moments_are_the_distinct_pairs_of_user_and_time() -> None:
    batch = Batch.of(stream([(1, 0, 50), (1, 1, 50), (0, 2, 50), (1, 2, 60)], 2, 3))
    users, time, place = batch.moments()
    assert list(zip(users.tolist(), time.tolist(), strict=True)) == [(0, 50), (1, 50), (1, 60)]
    torch.testing.assert_close(users[place], batch.user)
    torch.testing.assert_close(time[place], batch.time)


def test_text_is_reduced_by_what_training_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that comes later changes no other one."""
    events = random_stream(7, 60, 4, 9).subset(slice(0, 12))
    later = np.setdiff1d(np.arange(9), events.item)[0]
    texts = np.random.default_rng(0).normal(size=(9, 512)).astype(np.float32)
    reduced = []
    for change in (0.0, 5.0):
        texts[later] += change
        monkeypatch.setattr(streams, "_embedded", lambda _items: texts)
        monkeypatch.setattr(streams, "has_sentence_encoder", lambda: True)
        reduced.append(Stream.of(events).text)
    others = np.setdiff1d(np.arange(13), later + 4)
    ratio = reduced[1][others] / reduced[0][others]
    assert not reduced[0][:4].any()
    torch.testing.assert_close(reduced[0][others], reduced[1][others])
    assert ratio.isfinite().any()


def test_without_texts_there_is_nothing_to_tell() -> None:
    assert not Stream.of(random_stream(7, 60, 4, 9)).text.any()
