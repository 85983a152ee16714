"""Ablated compositions: what is switched off has no say, and the rest still learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import nn

from model.ablations import ABLATED, COMPOSITIONS
from model.modules.time_encoding import TimeEncoding
from model.presets import Network
from model.spec import ModelSpec
from model.stream import new_state, to_events
from model.torch_model import TorchModel
from model.training.config import TrainingConfig
from model.training.trainer import Trainer
from tests.modules.streams import random_stream

DATA = random_stream(3, 200, 8, 20)
SPEC = ModelSpec(dim=8, time_dim=4, neighbours=4, text_dim=3)
TEXT = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)

SWITCHED_OFF: dict[str, Callable[[Network], list[nn.Module]]] = {
    "no-attention": lambda network: [network.neighbours],
    "no-history": lambda network: [network.history],
    "no-habits": lambda network: [network.habits],
    "no-popularity": lambda network: [network.popularity],
    "no-pairs": lambda network: [network.score_pairs],
    "no-text": lambda network: [part for part in network.static_items.modules() if isinstance(part, nn.Linear)],
    "no-time-encoding": lambda network: [part for part in network.modules() if isinstance(part, TimeEncoding)],
}


def built(name: str) -> Network:
    torch.manual_seed(0)
    return COMPOSITIONS[name](SPEC).eval()


def scores(network: Network) -> np.ndarray:
    state = new_state(TorchModel(network), DATA, TEXT)
    state.apply(to_events(DATA, SPEC))
    return state.score(np.arange(DATA.n_users), np.full(DATA.n_users, DATA.timestamp[-1] + 60))


def tensors(modules: list[nn.Module]) -> Iterator[torch.Tensor]:
    for module in modules:
        yield from module.parameters()
        yield from module.buffers()


@pytest.mark.parametrize("name", SWITCHED_OFF)
def test_what_is_switched_off_has_no_say_and_has_one_in_the_default(name: str) -> None:
    moved = []
    for network in (built(f"peregrine-{name}"), built("peregrine")):
        before = scores(network)
        with torch.no_grad():
            for tensor in tensors(SWITCHED_OFF[name](network)):
                tensor.add_(torch.randn_like(tensor))
        moved.append(not np.array_equal(scores(network), before))
    assert moved == [False, True]


@pytest.mark.parametrize("name", ABLATED)
def test_the_rest_learns(name: str) -> None:
    network = built(f"peregrine-{name}").train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    Trainer(network, DATA, TEXT, TrainingConfig(batch_events=64)).epoch(lambda _: None)
    moved = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert any(key.startswith("graph.") for key in moved)
    updater = {key for key in before if key.startswith("update_")}
    assert bool(updater & moved) == (name not in ("no-memory", "untrained-updater", "random-updater"))


def test_a_random_updater_does_not_begin_as_an_average() -> None:
    random, new = built("peregrine-random-updater"), built("peregrine")
    for name in ("update_users", "update_items"):
        weights = [getattr(network, name).input_content.weight for network in (random, new)]
        assert weights[0].abs().max() < 0.5 < weights[1].abs().max()
