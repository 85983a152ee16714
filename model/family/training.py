"""Training of the family: BPR along the stream, from an empty state each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.baselines.baseline import Job, Round
from model.data.dataset import Dataset
from model.family.batches import Batch, whole_timestamps
from model.family.network import TemporalNetwork
from model.family.presets import FamilySetting, Preset
from model.family.scorer import FamilyScorer
from model.family.state import GraphState
from model.family.stream import Stream

ROUNDS = 8
CLIP = 1.0


class FamilyFit:
    """`Fit` of a preset. A round is an epoch."""

    def __init__(self, preset: Preset) -> None:
        self._preset = preset

    def __call__(self, events: Dataset, job: Job, /) -> Iterator[Round]:
        setting = FamilySetting.model_validate(dict(job.setting))
        torch.manual_seed(job.seed)
        stream = Stream.of(events)
        network = self._preset(setting, stream)
        training = Training(network, setting, stream)
        for number in range(1, ROUNDS + 1):
            losses = []
            network.train()
            for batch in training.epoch(events):
                losses.append(training.step(batch))
                job.progress(len(batch))
            network.eval()
            yield Round(number, partial(FamilyScorer, network, stream, setting), float(np.mean(losses)))


class Training:
    """A network, its optimiser and the state of the epoch."""

    def __init__(self, network: TemporalNetwork, setting: FamilySetting, stream: Stream) -> None:
        self._network, self._setting, self._stream = network, setting, stream
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._optimiser = torch.optim.AdamW(
            learned, lr=setting.learning_rate, weight_decay=setting.weight_decay, fused=True
        )
        self._state = self._empty()

    def epoch(self, events: Dataset) -> Iterator[Batch]:
        """The batches of `events`, from an empty state."""
        self._state = self._empty()
        whole = Batch.of(events)
        for rows in whole_timestamps(events.timestamp, self._setting.batch_events):
            yield whole.take(rows)

    def step(self, batch: Batch) -> float:
        """Loss and gradient on the state before the batch; then the batch is processed."""
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), CLIP)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._network.process(self._state, batch)
        return loss.item()

    def _loss(self, batch: Batch) -> Tensor:
        """BPR: mean over positives e and negatives j of - log sigmoid(y_e - y_j)

        As many negatives as positives are drawn evenly from the items that are there, shared by all positives.
        """
        there = torch.nonzero(self._state.events[self._stream.n_users :]).squeeze(1) + self._stream.n_users
        there = there if len(there) else batch.item
        drawn = there[torch.randint(len(there), (len(batch),))]
        users, time, row = batch.moments()
        items, place = torch.unique(torch.cat([batch.item, drawn]), return_inverse=True)
        h, v = self._network.embed(self._state, users, time, items, batch.time[0].expand(len(items)))
        scores = (h @ v.T)[row]  # (E, items of the batch)
        positive, negative = scores.gather(1, place[: len(batch), None]), scores[:, place[len(batch) :]]
        other = (batch.item.unsqueeze(1) != drawn).float()
        return -(functional.logsigmoid(positive - negative) * other).sum() / other.sum().clamp(min=1.0)

    def _empty(self) -> GraphState:
        setting = self._setting
        return self._network.empty_state(setting.dim, setting.neighbours, self._stream.start)
