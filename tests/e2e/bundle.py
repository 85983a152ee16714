"""A small bundle with random weights: everything that serving does with a trained one, without training."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from model.export import export
from model.presets import PRESETS
from model.spec import ModelSpec
from model.torch_model import TorchModel
from model.training.run_folder import METRICS
from model.weights import save_weights

SPEC = ModelSpec(
    dim=16,
    time_dim=8,
    neighbours=8,
    popularity_dim=4,
    pair_dim=4,
    facet_dim=8,
    text_dim=8,
    item_tick=300,
    pop_step=300,
)


FIGURES = {"all": {"recall@20": 0.5, "ndcg@10": 0.25}}


def make_bundle(folder: Path, seed: int = 0, version: str = "random") -> Path:
    """The bundle's folder. seed: of the weights."""
    run = folder / "run"
    run.mkdir()
    torch.manual_seed(seed)
    save_weights(TorchModel(PRESETS[SPEC.preset](SPEC).eval()), run)
    metrics = {"data": {"sha256": "of the events"}, "validation": {"next": FIGURES}}
    (run / METRICS).write_text(json.dumps(metrics))
    export(run, folder / "bundle", version)
    return folder / "bundle"


def shared_bundle(factory: pytest.TempPathFactory, name: str, version: str = "random") -> Path:
    """Made once, under this name, for all processes of a test run; not to be written to."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            make_bundle(folder, version=version)
    return folder / "bundle"
