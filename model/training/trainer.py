"""Epochs over a stream: the state starts anew with each of them and moves on under weights that keep learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from model.data.dataset import Dataset
from model.presets import Network
from model.process.batch import Events
from model.process.records import Float
from model.state import TrainingState
from model.stream import new_state, to_events
from model.torch_model import TorchModel
from model.training.average import RunningAverage
from model.training.batches import steps
from model.training.config import TrainingConfig
from model.training.measure import measure
from model.training.negatives import Negatives
from model.training.reads import read_and_apply
from model.training.step import TrainingStep

REPLAYED = 4_096
"""Events applied together while memory is made anew."""
MAKES_MEMORY = ("update_users.", "update_items.", "static_items.", "initial_user", "initial_item")
"""Names of the weights that memory is made with."""


@dataclass(frozen=True)
class StepResult:
    """Events of a step that were positives of each task, and their mean losses."""

    events: int
    next_loss: float
    discover_loss: float


OnStep = Callable[[StepResult], None]


class Trainer:
    """A network, its optimiser and the stream that they learn from: all events of `dataset`.

    text: (N, d_t) text embeddings of the data set's items.
    """

    def __init__(self, network: Network, dataset: Dataset, text: Float, config: TrainingConfig):
        self._model = TorchModel(network)
        measure(self._model, dataset, text)
        self._average = RunningAverage(network, config.average)
        self.model = TorchModel(self._average.network)
        self._dataset, self._text, self._config = dataset, text, config
        self._rng = np.random.default_rng(config.seed)
        self._memory = _makes_memory(self._average.network, network)
        self._optimiser = torch.optim.AdamW(_groups(network, config), fused=True)
        self._steps = 0

    @property
    def events(self) -> int:
        """Events of an epoch."""
        return len(self._dataset)

    def state(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "network": self._model.network.state_dict(),
            "average": self._average.state(),
            "steps": self._steps,
            "optimiser": self._optimiser.state_dict(),
            "sampling": self._rng.bit_generator.state,
            "dropout": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self._model.network.load_state_dict(state["network"])
        self._average.restore(state["average"])
        self._steps = state["steps"]
        self._optimiser.load_state_dict(state["optimiser"])
        self._rng.bit_generator.state = state["sampling"]
        torch.set_rng_state(state["dropout"])

    def epoch(self, on_step: OnStep) -> TrainingState:
        """One pass over the stream from an empty state; the state it ends in.

        Memory that moved under weights that have changed since is not the memory that these weights make of the stream,
        which is what is served. So memory is made anew on the way (`TrainingConfig.replays`), and from the last time on
        what makes it rests: the networks that read memory learn to read what they will be given.
        """
        network, config = self._model.network, self._config
        network.train()
        counts = np.bincount(self._dataset.item, minlength=self._dataset.n_items)
        negatives = Negatives(counts, config.negatives, config.full_softmax, self._rng)
        events = to_events(self._dataset, self._model.spec)
        self._let_memory_learn(True)
        step, places = self._step(events, 0, negatives), [share * len(events) for share in config.replays]
        for rows in steps(self._dataset, config.batch(len(events))):
            if places and rows.start >= places[0]:
                places.pop(0)
                self._let_memory_learn(bool(places))
                step = self._step(events, rows.start, negatives)
            here = events.take(rows)
            available = step.available(int(here.timestamp[0]))
            side = step.item_side(here, available)
            next_loss, discover_loss = step.backward(side, read_and_apply(step.memory, here, available))
            self._update(1.0 - rows.start / len(events))
            on_step(StepResult(len(here), next_loss, discover_loss))
        return step.memory

    @torch.no_grad()
    def _let_memory_learn(self, learns: bool) -> None:
        """What makes memory learns, or rests with its averaged weights."""
        for average, weight in self._memory:
            if not learns:
                weight.copy_(average)
                weight.grad = None
            weight.requires_grad_(learns)

    def _step(self, events: Events, start: int, negatives: Negatives) -> TrainingStep:
        """The step from the event number `start` on: its state is as the averaged weights make it of those before, and
        moves on under the others."""
        memory = TrainingState(new_state(self.model, self._dataset, self._text))
        for first in range(0, start, REPLAYED):
            memory.apply(events.take(slice(first, min(first + REPLAYED, start))))
        memory.state.model = self._model
        return TrainingStep(self._model, memory, self._text, negatives, self._config, self._rng)

    def _update(self, left: float) -> None:
        """One step of the optimiser and of the average. The rate rises over the first steps, and falls with the share
        `left` of the epoch: each epoch may be the last."""
        self._steps += 1
        network, config = self._model.network, self._config
        for group in self._optimiser.param_groups:
            group["lr"] = group["full_lr"] * min(1.0, self._steps / config.warm_up, max(left, config.last_rate))
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._average.update()


def _makes_memory(average: Network, network: Network) -> list[tuple[torch.nn.Parameter, torch.nn.Parameter]]:
    """The averaged and the learning form of the weights that memory is made with."""
    found = []
    for one, other in zip(average.named_parameters(), network.named_parameters(), strict=True):
        if one[0].startswith(MAKES_MEMORY) and other[1].requires_grad:
            found.append((one[1], other[1]))
    return found


def _groups(network: Network, config: TrainingConfig) -> list[dict[str, Any]]:
    """Parameters by rate and decay: networks over counters learn faster, what memory takes in slowly; norms do not
    decay."""
    paces = (
        (config.count_rate, (network.popularity, network.score_pairs, network.habits)),
        (config.memory_rate, (*network.update_users.content, *network.update_items.content)),
    )
    rates = {id(p): rate for rate, parts in paces for part in parts for p in part.parameters()}
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for parameter in network.parameters():
        rate = rates.get(id(parameter), config.learning_rate)
        groups.setdefault((rate, config.weight_decay if parameter.dim() > 1 else 0.0), []).append(parameter)
    return [{"params": group, "lr": rate, "full_lr": rate, "weight_decay": w} for (rate, w), group in groups.items()]
