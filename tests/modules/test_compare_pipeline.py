"""The system's own training pipeline as a candidate of the comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from model.ablations import COMPOSITIONS
from model.compare.candidate import VALIDATION_ROWS, Stage
from model.compare.peregrine import ABLATIONS, PEREGRINE, Pipeline
from model.data import Dataset
from model.evaluate import Scorer
from model.spec import ModelSpec
from model.state_scorer import StateScorer
from model.stream import item_texts, new_state
from model.training.config import TrainingConfig
from model.training.run_folder import LINES, RunFolder
from model.weights import load_model
from tests.modules.streams import random_stream

SMALL = Pipeline("small", {"dim": 8, "time_dim": 4, "neighbours": 4, "epochs": 1})
DATA = random_stream(0, 400, 8, 60)


def stage(folder: Path, budget: float | None = None) -> Stage:
    return Stage(DATA, "nowhere", folder, budget, Console(quiet=True))


def after_all_events(scorer: Scorer, dataset: Dataset) -> np.ndarray:
    scorer.apply(dataset)
    return np.asarray(scorer.score(np.arange(8), np.full(8, dataset.timestamp[-1] + 60)))


def test_what_is_evaluated_is_what_the_run_folder_holds(tmp_path: Path) -> None:
    trained = SMALL.train(stage(tmp_path), 0)
    model = load_model(tmp_path / "seed-0")
    text = item_texts(DATA, model.spec.embedder, model.spec.text_dim)
    served = StateScorer(new_state(model, DATA, text))
    np.testing.assert_array_equal(after_all_events(trained.scorer(), DATA), after_all_events(served, DATA))
    assert (trained.chosen.rounds, len(trained.chosen.curve)) == (1, 1)
    assert set(trained.chosen.best.ndcg) == {"next", "discover"}
    assert trained.seconds > 0


def test_a_trained_seed_is_not_trained_again_and_one_cut_short_is(tmp_path: Path) -> None:
    RunFolder(tmp_path / "seed-0").start("nowhere", TrainingConfig())  # killed before its first epoch was done
    first = SMALL.train(stage(tmp_path), 0)
    lines = (tmp_path / "seed-0" / LINES).read_bytes()
    again = SMALL.train(stage(tmp_path), 0)
    assert (tmp_path / "seed-0" / LINES).read_bytes() == lines
    np.testing.assert_array_equal(after_all_events(first.scorer(), DATA), after_all_events(again.scorer(), DATA))


def test_a_spent_budget_leaves_one_epoch(tmp_path: Path) -> None:
    longer = Pipeline("longer", {**SMALL.changes, "epochs": 3, "patience": 3})
    assert len(longer.train(stage(tmp_path / "free"), 0).chosen.curve) == 3
    assert len(longer.train(stage(tmp_path / "spent", budget=0.0), 0).chosen.curve) == 1


def test_the_default_is_chosen_on_the_rows_that_everybody_is_chosen_on() -> None:
    assert PEREGRINE.changes == {}
    assert TrainingConfig().scored_rows == VALIDATION_ROWS


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.name)
def test_an_ablation_changes_one_thing(ablation: Pipeline) -> None:
    (name,) = ablation.changes
    changed = replace(TrainingConfig(), **ablation.changes)
    assert changed != TrainingConfig(), name
    ModelSpec().model_validate(ModelSpec().model_dump() | changed.spec)
    assert changed.preset in COMPOSITIONS
