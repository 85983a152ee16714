"""The constants that the networks over counters standardise their features with, measured before training."""

from __future__ import annotations

import numpy as np
import torch

from model.data.dataset import Dataset
from model.process.popularity import popularity_features
from model.process.records import Float
from model.state import TrainingState
from model.stream import new_state, to_events
from model.torch_model import TorchModel
from model.training.batches import steps
from model.training.reads import read_and_apply

SAMPLES = 64
"""Places of the stream that are looked at, evenly spread."""
SAMPLE_EVENTS = 64
"""Events at each of them, at most."""


def measure(model: TorchModel, dataset: Dataset, text: Float) -> None:
    """Walks the stream once under the initial weights and gives the network's `Standardise` modules their constants."""
    memory = TrainingState(new_state(model, dataset, text))
    state = memory.state
    events = to_events(dataset, model.spec)
    everything = np.ones(dataset.n_items, dtype=np.bool_)
    pairs, habits, popularity = list[Float](), list[Float](), list[Float]()
    chunk = max(1, len(dataset) // SAMPLES)
    done = 0
    for rows in steps(dataset, SAMPLE_EVENTS):
        if rows.start < chunk * (len(pairs) + 1):
            continue
        state.apply(events.take(slice(done, rows.start)))
        popularity.append(popularity_features(state.items[state.available()], state.log_time, model.spec))
        reads = read_and_apply(memory, events.take(rows), everything)
        done = rows.stop
        pairs.append(reads.pair_features)
        habits.append(reads.habits)
    network = model.network
    for standardise, samples in (
        (network.score_pairs.standardise, pairs),
        (network.history.standardise, pairs),
        (network.habits.standardise, habits),
        (network.popularity.standardise, popularity),
    ):
        if samples:
            standardise.measure(torch.from_numpy(np.concatenate(samples)))
    network.static_items.measure(torch.from_numpy(text[np.unique(dataset.item)]))
