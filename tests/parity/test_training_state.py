"""Training's state is the served state: recomputing a memory gives it back, and gives the updater its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.presets import peregrine
from model.process.records import Float
from model.spec import ModelSpec
from model.state import ITEM_STEPS, USER_STEPS, Steps, TrainingState
from model.stream import new_state, to_events
from model.torch_model import TorchModel
from model.training.batches import batches
from model.training.config import TrainingConfig
from model.training.negatives import Negatives
from model.training.reads import Reads, read_moments
from model.training.step import TrainingStep
from tests.modules.streams import random_stream

SPEC = ModelSpec(dim=16, time_dim=8, neighbours=8, item_tick=600, pop_step=300, text_dim=6, facet_dim=4)
USERS, ITEMS = 7, 11
DATASET = random_stream(seed=2, n_events=300, n_users=USERS, n_items=ITEMS)
AT = int(np.searchsorted(DATASET.timestamp, DATASET.timestamp[200]))
END = int(np.searchsorted(DATASET.timestamp, DATASET.timestamp[AT], side="right"))
"""Rows [AT, END) are one timestamp."""
TEXT: Float = np.random.default_rng(4).normal(size=(ITEMS, SPEC.text_dim)).astype(np.float32)


def make_model(seed: int = 0) -> TorchModel:
    torch.manual_seed(seed)
    return TorchModel(peregrine(SPEC, ITEMS).eval(), DATASET.item_ids)


def walked(model: TorchModel, events: int = len(DATASET)) -> TrainingState:
    memory = TrainingState(new_state(model, DATASET, TEXT))
    for batch in batches(DATASET.subset(slice(0, events)), most_events=20):
        memory.apply(to_events(DATASET.subset(batch), SPEC, batch.start + 1))
    return memory


@pytest.mark.parametrize("events", [0, 4, 60, 300])
def test_recomputed_memory_equals_the_stored_one(events: int) -> None:
    model = make_model()
    memory = walked(model, events)
    users, items = np.arange(USERS), np.arange(ITEMS)
    network = model.network
    user = memory.user_steps(users).replay(network.update_users, network.initial_user)
    item = memory.item_steps(items).replay(network.update_items, network.initial_item)
    # the same float32 steps in batches of another size: a few ulp a step, up to seven steps
    np.testing.assert_allclose(
        user.detach().numpy(), model.update_users(memory.state.users), rtol=1e-5, atol=2e-6, strict=True
    )
    stored = memory.state.item_vectors[:, SPEC.item_dim :]
    np.testing.assert_allclose(item.detach().numpy(), stored, rtol=1e-5, atol=2e-6, strict=True)


def test_both_updaters_receive_gradient_through_recomputed_memory() -> None:
    model = make_model()
    memory = walked(model)
    network = model.network
    user = memory.user_steps(np.arange(USERS)).replay(network.update_users, network.initial_user)
    item = memory.item_steps(np.arange(ITEMS)).replay(network.update_items, network.initial_item)
    (user.pow(3).sum() + item.pow(3).sum()).backward()
    for updater in (network.update_users, network.update_items):
        for name, weight in updater.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.abs().max() > 1e-6, name


def test_gradient_goes_back_six_closed_moments_and_no_further() -> None:
    model = make_model()
    network = model.network
    reached = {}
    for moments in (USER_STEPS + 1, USER_STEPS + 2):
        memory = TrainingState(new_state(model, DATASET, TEXT))
        mine = np.flatnonzero(DATASET.user == 0)
        starts = np.unique(DATASET.timestamp[mine])
        for start in starts[:moments]:
            memory.apply(to_events(DATASET.subset((DATASET.user == 0) & (DATASET.timestamp == start)), SPEC))
        network.zero_grad()
        memory.user_steps(np.array([0])).replay(network.update_users, network.initial_user).pow(3).sum().backward()
        gradient = network.initial_user.grad
        reached[moments] = gradient is not None and bool(gradient.abs().max() > 0)
    assert reached == {USER_STEPS + 1: True, USER_STEPS + 2: False}


def test_items_keep_two_closed_ticks_and_hide_the_open_one() -> None:
    model = make_model()
    memory = walked(model)
    steps = memory.item_steps(np.arange(ITEMS))
    assert steps.count.shape == (ITEMS, ITEM_STEPS + 1)
    open_now = memory.state.items["key"] >= memory.state.log_time // SPEC.item_tick
    assert open_now.any()
    assert not open_now.all()
    assert (steps.count[open_now, -1] == 0).all()
    assert (steps.count[~open_now, -1] > 0).all()


def test_a_cut_history_is_that_of_a_user_who_began_with_it() -> None:
    network = make_model().network
    rng = np.random.default_rng(0)
    whole = Steps.none(1, 3, SPEC.dim, SPEC.message_dim)
    whole.sum[:] = rng.normal(size=whole.sum.shape)
    whole.count[:], whole.gap[:] = 2.0, [0.0, 50.0, 700.0]
    whole.first[:] = [1.0, 0.0, 0.0]
    begun = Steps.none(1, 3, SPEC.dim, SPEC.message_dim)
    begun.sum[:], begun.count[:] = whole.sum, [0.0, 2.0, 2.0]
    begun.gap[:], begun.first[:] = [0.0, 0.0, 700.0], [0.0, 1.0, 0.0]
    whole.forget(np.array([2]))
    memories = [steps.replay(network.update_users, network.initial_user) for steps in (whole, begun)]
    assert torch.equal(*memories)


def test_a_wholly_cut_history_is_the_initial_memory() -> None:
    model = make_model()
    steps = walked(model).user_steps(np.arange(USERS))
    steps.forget(np.zeros(USERS, dtype=np.int64))
    memory = steps.replay(model.network.update_users, model.network.initial_user)
    assert torch.equal(memory, model.network.initial_user.expand(USERS, -1))


def make_step(memory: TrainingState, model: TorchModel, config: TrainingConfig) -> TrainingStep:
    rng = np.random.default_rng(0)
    negatives = Negatives(np.ones(ITEMS, dtype=np.int64), 4, config.full_softmax, rng)
    return TrainingStep(model, memory, DATASET.item_ids, TEXT, negatives, config, rng)


def test_positives_do_not_stand_out_by_being_recomputed() -> None:
    """The leak of the released code: what is recomputed under newer weights must look like what is not."""
    model = make_model()
    memory = walked(model, AT)
    with torch.no_grad():
        for weight in model.network.update_items.parameters():
            weight.add_(0.1)
    stored = memory.state.item_vectors[:, SPEC.item_dim :].copy()
    step = make_step(memory, model, TrainingConfig(gradient_items=2))
    side = step.item_side(to_events(DATASET.subset(slice(AT, END)), SPEC), step.available(10**9))
    np.testing.assert_array_equal(side.vectors.detach().numpy()[:, SPEC.item_dim :], stored)
    assert side.vectors.requires_grad


def test_a_step_cut_into_parts_has_the_gradient_of_the_whole() -> None:
    gradients = []
    for cells in (2**20, 3 * ITEMS):
        model = make_model()
        memory = walked(model, AT)
        step = make_step(memory, model, TrainingConfig(history_dropout=0.0, id_dropout=0.0, score_cells=cells))
        events = to_events(DATASET.subset(slice(AT, END)), SPEC)
        available = step.available(int(events.timestamp[0]))
        step.backward(step.item_side(events, available), read_moments(memory, events, available))
        gradients.append({name: p.grad for name, p in model.network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6, msg=name)


def test_a_training_score_is_the_served_score() -> None:
    """With nothing dropped, the loss of a step is what `State.score` says of its events."""
    model = make_model()
    memory = walked(model, AT)
    config = TrainingConfig(history_dropout=0.0, id_dropout=0.0, discover_weight=1.0)
    step = make_step(memory, model, config)
    events = to_events(DATASET.subset(slice(AT, END)), SPEC)
    available = step.available(int(events.timestamp[0]))
    side = step.item_side(events, available)
    lost = step.backward(side, read_moments(memory, events, available))
    scores = memory.state.score(events.user, events.timestamp)
    had = np.stack([np.isin(np.arange(ITEMS), memory.state.pairs[user]["item"]) for user in events.user])
    rows = np.arange(len(events))
    for loss, excluded in zip(lost, (np.zeros_like(had), had), strict=True):
        counted = ~excluded[rows, events.item]
        allowed = np.where(available & ~excluded, scores, -np.inf)[counted]
        partition = np.log(np.exp(allowed).sum(axis=1))
        expected = (partition - scores[counted, events.item[counted]]).sum() / max(counted.sum(), 1e-9)
        assert loss == pytest.approx(expected, rel=1e-5)


def test_joined_and_cut_reads_keep_each_moments_pairs_and_events() -> None:
    memory = walked(make_model(), AT)
    available = np.ones(ITEMS, dtype=np.bool_)
    parts = [part for part in batches(DATASET, most_events=4) if part.start >= AT][:2]
    reads = [read_moments(memory, to_events(DATASET.subset(part), SPEC), available) for part in parts]
    whole = Reads.join(reads)
    back = list(whole.parts(1))
    alone = [part for read in reads for part in read.parts(1)]
    assert len(back) == len(alone) == len(whole)
    for left, right in zip(back, alone, strict=True):
        for name in ("nb_item", "pair_row", "pair_item", "pair_features", "event_row", "event_item", "event_new"):
            np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
        np.testing.assert_array_equal(left.steps.sum, right.steps.sum)
