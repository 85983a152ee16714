"""Reads a bundle: an immutable folder of graphs, spec and initial memories, checked file by file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from model.process.records import Float
from model.spec import ModelSpec
from service.adapters.onnx_model import GRAPHS, OnnxModel
from service.core.bundles import NO_BUNDLE, Bundle
from service.core.counting_model import CountingModel
from service.errors import BundleError

__all__ = ["MANIFEST", "NO_BUNDLE", "Bundle", "Manifest", "bundle_hash", "load_bundle", "no_bundle", "read_manifest"]

MANIFEST = "manifest.json"
_INITIAL = "initial.safetensors"
_REQUIRED = ("spec.json", _INITIAL, *(f"{graph}.onnx" for graph in GRAPHS))


class Manifest(BaseModel):
    """files: sha256 by name; every file of the bundle but the manifest itself. code: release that exported it; data:
    fingerprint of the events it was trained on; metrics: the main ones of metrics.json."""

    format: int
    version: str
    created: str
    files: dict[str, str]
    code: str = ""
    data: dict[str, Any] = {}
    metrics: dict[str, Any] = {}


SPARE = ("update_users", "static_items", "embed_users", "score_pairs")
"""Graphs that the API can do without: it says in its answers what it does not do."""


def load_bundle(folder: Path, threads: int = 1, spare: tuple[str, ...] = ()) -> Bundle:
    """spare: graphs that may be missing. Raises BundleError, naming the file and what is wrong with it."""
    manifest = read_manifest(folder, spare)
    spec = _spec(folder)
    tensors = _tensors(folder / _INITIAL, spec)
    model = OnnxModel(folder, spec, tensors["initial_user"], tensors["initial_item"], threads)
    model.warm_up()
    return Bundle(model, manifest.version, bundle_hash(manifest))


def no_bundle() -> Bundle:
    """What serves until there is one: counts only."""
    return Bundle(CountingModel(), NO_BUNDLE, NO_BUNDLE)


def read_manifest(folder: Path, spare: tuple[str, ...] = ()) -> Manifest:
    """The manifest, after every file it names was found with the right hash; the graphs `spare` may be missing."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder} is not a bundle: no manifest.json; make one with `peregrine export`")
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as exc:
        raise BundleError(f"{path}: {exc}") from exc
    if missing := [name for name in _REQUIRED if name not in manifest.files]:
        raise BundleError(f"{path} does not name {', '.join(missing)}")
    for name, expected in manifest.files.items():
        if name.removesuffix(".onnx") not in spare or (folder / name).exists():
            _check_file(folder, name, expected)
    return manifest


def bundle_hash(manifest: Manifest) -> str:
    return hashlib.sha256(json.dumps(manifest.files, sort_keys=True).encode()).hexdigest()


def _check_file(folder: Path, name: str, expected: str) -> None:
    path = folder / name
    if Path(name).name != name:
        raise BundleError(f"manifest.json names a file outside the bundle: {name!r}")
    if not path.is_file():
        raise BundleError(f"{path} is missing; copy the bundle again")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise BundleError(f"{path} has sha256 {found[:12]}..., the manifest says {expected[:12]}...; copy it again")


def _spec(folder: Path) -> ModelSpec:
    try:
        return ModelSpec.load(folder / "spec.json")
    except ValidationError as exc:
        raise BundleError(f"{folder / 'spec.json'}: {exc}") from exc


def _tensors(path: Path, spec: ModelSpec) -> dict[str, Float]:
    try:
        tensors = load_file(path)
    except SafetensorError as exc:
        raise BundleError(f"{path.name}: {exc}") from exc
    widths = {"initial_user": spec.dim, "initial_item": spec.item_dim}
    for name, width in widths.items():
        if name not in tensors or tensors[name].shape[-1] != width or tensors[name].dtype != np.float32:
            raise BundleError(f"{path.name}: tensor {name} must be float32 of width {width}, as spec.json says")
    return tensors
