"""What can be evaluated without training: each baseline, and the state process of a toy and of an untrained model."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from model.baselines import BASELINES
from model.data import Dataset
from model.evaluate import Candidates, Evaluation, Scorer, evaluate, warm
from model.presets import peregrine
from model.process.state import State
from model.spec import ModelSpec
from model.state_scorer import StateScorer
from model.stream import item_texts, new_state
from model.torch_model import TorchModel
from tests.process.toy import TOY_SPEC, ToyModel

Make = Callable[[Dataset], Scorer]


def toy_scorer(dataset: Dataset) -> StateScorer:
    static = np.random.default_rng(3).normal(size=(dataset.n_items, TOY_SPEC.item_dim)).astype(np.float32)
    state = State(ToyModel(), dataset.n_users, dataset.item_ids, static, dataset.items.available_from)
    return StateScorer(state)


def network_scorer(dataset: Dataset) -> StateScorer:
    torch.manual_seed(0)
    spec = ModelSpec(dim=8, time_dim=4, neighbours=8, facet_dim=4, text_dim=1, item_tick=300, pop_step=600)
    model = TorchModel(peregrine(spec, dataset.n_items).eval(), dataset.item_ids)
    return StateScorer(new_state(model, dataset, item_texts(dataset, None, 1)))


def baseline(name: str) -> Make:
    return lambda dataset: BASELINES[name](dataset.n_users, dataset.n_items)


SCORERS: dict[str, Make] = {name: baseline(name) for name in BASELINES} | {
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
