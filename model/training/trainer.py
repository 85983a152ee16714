"""Epochs over a stream: the state starts anew with each of them and moves on under weights that keep learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from model.data.dataset import Dataset
from model.presets import Network
from model.process.records import Float
from model.state import TrainingState
from model.stream import new_state, to_events
from model.torch_model import TorchModel
from model.training.batches import steps
from model.training.config import TrainingConfig
from model.training.negatives import Negatives
from model.training.reads import Reads, read_moments
from model.training.step import TrainingStep


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

    def __init__(self, network: Network, dataset: Dataset, item_ids: list[str], text: Float, config: TrainingConfig):
        self.model = TorchModel(network, item_ids)
        self._dataset, self._text, self._config = dataset, text, config
        self._rng = np.random.default_rng(config.seed)
        self._optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in network.parameters() if p.dim() > 1], "weight_decay": config.weight_decay},
                {"params": [p for p in network.parameters() if p.dim() <= 1], "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            fused=True,
        )

    @property
    def events(self) -> int:
        """Events of an epoch."""
        return len(self._dataset)

    def state(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "network": self.model.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "sampling": self._rng.bit_generator.state,
            "dropout": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self.model.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._rng.bit_generator.state = state["sampling"]
        torch.set_rng_state(state["dropout"])

    def epoch(self, on_step: OnStep) -> None:
        """One pass over the stream from an empty state."""
        network, config = self.model.network, self._config
        network.train()
        memory = TrainingState(new_state(self.model, self._dataset, self._text))
        counts = np.bincount(self._dataset.item, minlength=self._dataset.n_items)
        negatives = Negatives(counts, config.negatives, config.full_softmax, self._rng)
        step = TrainingStep(self.model, memory, self._dataset.item_ids, self._text, negatives, config, self._rng)
        events = to_events(self._dataset, self.model.spec)
        for group in steps(self._dataset, config.batch_events):
            here = events.take(slice(group[0].start, group[-1].stop))
            available = step.available(int(here.timestamp[0]))
            side = step.item_side(here, available)
            reads = []
            for batch in group:
                part = events.take(batch)
                reads.append(read_moments(memory, part, available))
                memory.apply(part)
            next_loss, discover_loss = step.backward(side, Reads.join(reads))
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
            self._optimiser.step()
            self._optimiser.zero_grad()
            on_step(StepResult(len(here), next_loss, discover_loss))
