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
from model.training.batches import steps as steps_of
from model.training.config import TrainingConfig
from model.training.negatives import Negatives
from model.training.reads import read_and_apply
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
    return TorchModel(peregrine(SPEC).eval())


def walked(model: TorchModel, events: int = len(DATASET)) -> TrainingState:
    memory = TrainingState(new_state(model, DATASET, TEXT))
    for batch in steps_of(DATASET.subset(slice(0, events)), most_events=20):
        memory.apply(to_events(DATASET.subset(batch), SPEC, batch.start + 1))
    return memory


@pytest.mark.parametrize("events", [0, 4, 60, 300])
def test_recomputed_memory_equals_the_stored_one(events: int) -> None:
    model = make_model()
    memory = walked(model, events)
    users, items = np.arange(USERS), np.arange(ITEMS)
    network = model.network
    user = memory.user_steps(users).replay(network.update_users, network.initial_user)
    item = memory.item_steps(items, memory.state.log_time // SPEC.item_tick).replay(
        network.update_items, network.initial_item
    )
    # the same float32 steps in batches of another size: a few ulp a step, up to seven steps
    np.testing.assert_allclose(
        user.detach().numpy(), model.update_users(memory.state.users), rtol=1e-5, atol=2e-6, strict=True
    )
    stored = memory.state.item_vectors[:, SPEC.static_dim :]
    np.testing.assert_allclose(item.detach().numpy(), stored, rtol=1e-5, atol=2e-6, strict=True)


def test_both_updaters_receive_gradient_through_recomputed_memory() -> None:
    model = make_model()
    memory = walked(model)
    network = model.network
    user = memory.user_steps(np.arange(USERS)).replay(network.update_users, network.initial_user)
    item = memory.item_steps(np.arange(ITEMS), memory.state.log_time // SPEC.item_tick).replay(
        network.update_items, network.initial_item
    )
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
    steps = memory.item_steps(np.arange(ITEMS), memory.state.log_time // SPEC.item_tick)
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
    whole.steps[:] = [4.0, 5.0, 6.0]
    begun = Steps.none(1, 3, SPEC.dim, SPEC.message_dim)
    begun.sum[:], begun.count[:] = whole.sum, [0.0, 2.0, 2.0]
    begun.gap[:], begun.steps[:] = [0.0, 0.0, 700.0], [0.0, 0.0, 1.0]
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
    return TrainingStep(model, memory, TEXT, negatives, config, rng)


def test_positives_do_not_stand_out_by_being_recomputed() -> None:
    """The leak of the released code: what is recomputed under newer weights must look like what is not."""
    model = make_model()
    memory = walked(model, AT)
    with torch.no_grad():
        for weight in model.network.update_items.parameters():
            weight.add_(0.1)
    stored = memory.state.item_vectors[:, SPEC.static_dim :].copy()
    step = make_step(memory, model, TrainingConfig(gradient_items=2))
    side = step.item_side(to_events(DATASET.subset(slice(AT, END)), SPEC), step.available(10**9))
    np.testing.assert_array_equal(side.vectors.detach().numpy()[:, SPEC.static_dim :], stored)
    assert side.vectors.requires_grad


def test_a_step_cut_into_parts_has_the_gradient_of_the_whole() -> None:
    gradients = []
    for cells in (2**20, 3 * ITEMS):
        model = make_model()
        memory = walked(model, AT)
        step = make_step(memory, model, TrainingConfig(history_dropout=0.0, score_cells=cells))
        events = to_events(DATASET.subset(slice(AT, END)), SPEC)
        available = step.available(int(events.timestamp[0]))
        step.backward(step.item_side(events, available), read_and_apply(memory, events, available))
        gradients.append({name: p.grad for name, p in model.network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6, msg=name)


def test_a_training_score_is_the_served_score() -> None:
    """With nothing dropped, the loss of a step is what `State.score` says of its events."""
    model = make_model()
    memory = walked(model, AT)
    config = TrainingConfig(history_dropout=0.0, discover_weight=1.0)
    step = make_step(memory, model, config)
    events = to_events(DATASET.subset(slice(AT, END)), SPEC)
    available = step.available(int(events.timestamp[0]))
    scores = memory.state.score(events.user, events.timestamp)
    had = np.stack([np.isin(np.arange(ITEMS), memory.state.pairs[user]["item"]) for user in events.user])
    side = step.item_side(events, available)
    lost = step.backward(side, read_and_apply(memory, events, available))
    rows = np.arange(len(events))
    for loss, excluded in zip(lost, (np.zeros_like(had), had), strict=True):
        counted = ~excluded[rows, events.item]
        allowed = np.where(available & ~excluded, scores, -np.inf)[counted]
        partition = np.log(np.exp(allowed).sum(axis=1))
        expected = (partition - scores[counted, events.item[counted]]).sum() / max(counted.sum(), 1e-9)
        assert loss == pytest.approx(expected, rel=1e-5)


def test_moments_read_together_are_as_if_each_were_read_before_it_happened() -> None:
    """Forty events, several moments of each user among them, against one timestamp at a time. What is the items' own
    (vectors, popularity) is as of the first event when they are read together, and left out here."""
    model = make_model()
    rows = slice(AT, AT + 40)
    together, one_by_one = walked(model, AT), walked(model, AT)
    everything = np.ones(ITEMS, dtype=np.bool_)
    whole = read_and_apply(together, to_events(DATASET.subset(rows), SPEC), everything)
    single = []
    for part in steps_of(DATASET.subset(rows), most_events=1):
        events = to_events(DATASET.subset(slice(AT + part.start, AT + part.stop)), SPEC)
        read = read_and_apply(one_by_one, events, everything)
        moments = [*read.parts(1)]
        single += [
            (user, int(events.timestamp[0]), one) for user, one in zip(np.unique(events.user), moments, strict=True)
        ]
    assert len({user for user, _, _ in single}) < len(single) / 2
    single.sort(key=lambda one: one[:2])
    assert len(single) == len(whole)
    exact = ("nb_item", "nb_type", "nb_gap", "nb_mask", "pair_item", "event_item", "event_new", "habits", "gap_stats")
    for mine, (_, _, other) in zip(whole.parts(1), single, strict=True):
        for name in (*exact, "since"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(other, name), err_msg=name)
        own = slice(0, 21)  # before the features that tell of the item
        np.testing.assert_array_equal(mine.pair_features[:, own], other.pair_features[:, own])
        for name in ("count", "gap", "steps"):
            np.testing.assert_array_equal(getattr(mine.steps, name), getattr(other.steps, name), err_msg=name)
        for name in ("m", "sum"):  # the same float32 sums and steps in batches of another size
            np.testing.assert_allclose(getattr(mine.steps, name), getattr(other.steps, name), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(together.state.users["nb_item"], one_by_one.state.users["nb_item"])


def test_the_gradient_of_the_items_side_is_right_on_average() -> None:
    """Samples of half the columns against all of them, each parameter's gradient along one random direction."""
    model = make_model()
    memory = walked(model, AT)
    events = to_events(DATASET.subset(slice(AT, END)), SPEC)
    everything = np.ones(ITEMS, dtype=np.bool_)
    reads = read_and_apply(walked(model, AT), events, everything)
    parts = ("popularity", "static_items", "update_items")
    parameters = [p for name, p in model.network.named_parameters() if name.split(".")[0] in parts]
    directions = [torch.randn(p.shape, generator=torch.Generator().manual_seed(n)) for n, p in enumerate(parameters)]

    def gradients(wanted: int, count: int) -> np.ndarray:
        step = make_step(memory, model, TrainingConfig(history_dropout=0.0, gradient_items=wanted))
        found = []
        for _ in range(count):
            model.network.zero_grad(set_to_none=True)
            step.backward(step.item_side(events, everything), reads)
            found.append([float((d * p.grad).sum()) for d, p in zip(directions, parameters, strict=True)])
        return np.array(found)

    whole, sampled = gradients(ITEMS, 1)[0], gradients(ITEMS // 2, 60)
    assert (np.abs(whole) > 1e-6).mean() > 0.8
    error = sampled.std(axis=0) / np.sqrt(len(sampled))
    assert (sampled.std(axis=0) > 0).any()
    # 4 standard errors, for some twenty parameters
    np.testing.assert_array_less(np.abs(sampled.mean(axis=0) - whole), 4 * error + 1e-5 * np.abs(whole) + 1e-7)
