"""Which bundle the demo and the bench serve: the one this project ships, or one trained for the occasion."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

import model
from service.adapters.bundle import MANIFEST
from service.errors import ConfigurationError

_INITIAL = "initial.safetensors"


def shipped() -> Path:
    """Folder of the small bundle trained on the Complete Journey purchases of 600 households."""
    folder = Path(model.__file__).parent / "bundles" / "complete-journey"
    if not folder.is_dir():
        raise ConfigurationError(f"the shipped bundle {folder} is missing: install again, or train one (demo --train)")
    return folder


def train(source: str, folder: Path) -> Path:
    """Trains and exports as the shipped bundle was: on the first 70 % of the events, chosen on the next 15 %."""
    run, bundle = folder / "run", folder / "bundle"
    _peregrine("train", "--data", source, "--out", str(run), "--no-refit")
    _peregrine("export", str(run), "--out", str(bundle), "--version", "demo")
    return bundle


def _peregrine(*arguments: str) -> None:
    """A training command in a process of its own, so that torch stays out of this one. Its answer goes to stderr."""
    command = [sys.executable, "-m", "service.cli", *arguments]
    done = subprocess.run(command, stdout=sys.stderr.fileno(), check=False)  # noqa: S603 - our own command
    if done.returncode:
        raise ConfigurationError(f"`peregrine {' '.join(arguments)}` failed (see above)")


def remade(bundle: Path, folder: Path, version: str) -> Path:
    """A bundle of the same graphs with other initial memories, which make another memory: without training."""
    shutil.copytree(bundle, folder)
    tensors = load_file(folder / _INITIAL)
    rng = np.random.default_rng(len(version))
    moved = {name: t + rng.normal(0.0, 0.3, t.shape).astype(np.float32) for name, t in tensors.items()}
    (folder / _INITIAL).write_bytes(save(moved))
    manifest = json.loads((folder / MANIFEST).read_bytes())
    files = {name: sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (folder / MANIFEST).write_text(json.dumps(manifest | {"version": version, "files": files}))
    return folder
