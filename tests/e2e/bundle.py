"""A small bundle with random weights: everything that serving does with a trained one, without training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from model.export import ITEMS, MANIFEST, export
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


def make_bundle(folder: Path, item_ids: Sequence[str], seed: int = 0, version: str = "random") -> Path:
    """The bundle's folder. item_ids: of the items with a learned vector; seed: of the weights."""
    run = folder / "run"
    run.mkdir()
    torch.manual_seed(seed)
    save_weights(TorchModel(PRESETS[SPEC.preset](SPEC, len(item_ids)).eval(), item_ids), run)
    metrics = {"data": {"sha256": "of the events"}, "validation": {"next": FIGURES}}
    (run / METRICS).write_text(json.dumps(metrics))
    export(run, folder / "bundle", version)
    return folder / "bundle"


def remade(bundle: Path, folder: Path, version: str) -> Path:
    """A bundle of the same graphs with other learned vectors, which make another memory: without an export."""
    shutil.copytree(bundle, folder)
    tensors = load_file(folder / ITEMS)
    rng = np.random.default_rng(len(version))
    moved = {name: t + rng.normal(0.0, 0.3, t.shape).astype(np.float32) for name, t in tensors.items()}
    save_file(moved, folder / ITEMS)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    files = {name: sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (folder / MANIFEST).write_text(json.dumps(manifest | {"version": version, "files": files}))
    return folder
