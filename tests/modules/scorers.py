"""What can be evaluated without training: each baseline, and the state process of a toy and of an untrained model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from model.baselines import BASELINES
from model.baselines.baseline import Entry, Job
from model.baselines.deep import DEEP
from model.baselines.ease import EASE
from model.baselines.ials import IALS
from model.baselines.item_knn import ITEM_KNN
from model.data import Dataset
from model.evaluate import Candidates, Evaluation, Scorer, evaluate, warm
from model.family.entries import FAMILY
from model.presets import peregrine
from model.process.state import State
from model.spec import ModelSpec
from model.state_scorer import StateScorer
from model.stream import item_texts, new_state
from model.torch_model import TorchModel
from tests.process.toy import TOY_SPEC, ToyModel

Make = Callable[[Dataset], Scorer]


def toy_scorer(dataset: Dataset) -> StateScorer:
    static = np.random.default_rng(3).normal(size=(dataset.n_items, TOY_SPEC.static_dim)).astype(np.float32)
    state = State(ToyModel(), dataset.n_users, dataset.item_ids, static, dataset.items.available_from)
    return StateScorer(state)


def network_scorer(dataset: Dataset) -> StateScorer:
    torch.manual_seed(0)
    spec = ModelSpec(dim=8, time_dim=4, neighbours=8, facet_dim=4, text_dim=1, item_tick=300, pop_step=600)
    model = TorchModel(peregrine(spec).eval())
    return StateScorer(new_state(model, dataset, item_texts(dataset, None, 1)))


def baseline(name: str) -> Make:
    return lambda dataset: BASELINES[name](dataset.n_users, dataset.n_items)


def fitted(entry: Entry, **changes: object) -> Make:
    """Fitted on the first quarter of the stream, with the first setting of its search."""

    def make(dataset: Dataset) -> Scorer:
        job = Job(dict(entry.search[0]) | changes, 0, lambda _: None, Path())
        return next(iter(entry.fit(dataset.subset(slice(0, len(dataset) // 4)), job))).scorer()

    return make


_DEEP = {entry.name: entry for entry in (*DEEP, *FAMILY)}
_TINY = {"dim": 8, "time_dim": 4, "neighbours": 4, "batch_events": 40}

SCORERS: dict[str, Make] = {name: baseline(name) for name in BASELINES} | {
    "item-knn": fitted(ITEM_KNN, half_life_days=30),
    "ease": fitted(EASE),
    "ials": fitted(IALS, factors=4, half_life_days=30),
    "lightgcn": fitted(_DEEP["lightgcn"], dim=8),
    "sasrec": fitted(_DEEP["sasrec"], dim=8, length=10),
    "tgn": fitted(_DEEP["tgn"], **_TINY),
    "dynllm": fitted(_DEEP["dynllm"], **_TINY),
    "toy": toy_scorer,
    "network": network_scorer,
}
each_scorer = pytest.mark.parametrize("make", SCORERS.values(), ids=SCORERS.keys())


def run(
    scorer: Scorer, dataset: Dataset, start: int, every: int | None = 1, candidates: Candidates = "available"
) -> Evaluation:
    """Warms with everything before `start`, evaluates the rest."""
    if start:
        warm(scorer, dataset, 0, start)
    return evaluate(scorer, dataset, start, len(dataset), every=every, candidates=candidates)
