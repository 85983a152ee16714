"""A bundle that must not be served is refused, and the file that is off is named."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file, save_file

from model.process.pair_features import pair_width
from model.process.popularity import popularity_width
from service.adapters.bundle import SPARE, load_bundle
from service.adapters.onnx_model import OnnxModel
from service.errors import BundleError, GraphFailed
from tests.e2e.bundle import SPEC


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def with_true_hashes(folder: Path) -> None:
    """Makes the manifest agree with the files, as somebody would who changed them on purpose."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    path.write_text(json.dumps(manifest))


def test_a_whole_bundle_loads(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert bundle.model.spec == SPEC
    assert len(bundle.hash) == 64


def test_whoever_may_read_one_file_may_read_all(folder: Path) -> None:
    """A container runs as another user than the one who exported."""
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_a_changed_file_is_named_with_both_hashes(folder: Path) -> None:
    with (folder / "embed_users.onnx").open("ab") as graph:
        graph.write(b"\0")
    with pytest.raises(BundleError, match=r"embed_users\.onnx has sha256"):
        load_bundle(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "popularity.onnx").unlink()
    with pytest.raises(BundleError, match=r"popularity\.onnx is missing"):
        load_bundle(folder)


def test_spare_graphs_may_be_missing_and_whoever_asks_one_is_told_its_name(folder: Path) -> None:
    (folder / "score_pairs.onnx").unlink()
    with pytest.raises(BundleError, match=r"score_pairs\.onnx is missing"):
        load_bundle(folder)
    model = load_bundle(folder, spare=SPARE).model
    assert isinstance(model, OnnxModel)
    assert model.missing == ("score_pairs",)
    with pytest.raises(GraphFailed, match=r"score_pairs\.onnx: is missing"):
        model.score_pairs(np.zeros((1, pair_width(SPEC)), np.float32), np.zeros((1, SPEC.pair_dim + 1), np.float32))
    assert model.popularity(np.zeros((2, popularity_width(SPEC)), np.float32)).shape == (2, SPEC.popularity_dim)
    (folder / "popularity.onnx").unlink()
    with pytest.raises(BundleError, match=r"popularity\.onnx is missing"):
        load_bundle(folder, spare=SPARE)


def _dim(spec: dict[str, object]) -> None:
    spec["dim"] = 32


def _pair_dim(spec: dict[str, object]) -> None:
    spec["pair_dim"] = 8


def _neighbours(spec: dict[str, object]) -> None:
    spec["neighbours"] = 16


def _unknown_field(spec: dict[str, object]) -> None:
    spec["colour"] = "blue"


def _other_format(spec: dict[str, object]) -> None:
    spec["format"] = 99


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_dim, r"initial_user must be float32 of width 32"),
        (_pair_dim, r"embed_users|score_pairs"),
        (_neighbours, r"graph"),
        (_unknown_field, r"colour"),
        (_other_format, r"format 99"),
    ],
)
def test_a_spec_that_does_not_fit_the_graphs_is_refused(
    folder: Path, change: Callable[[dict[str, object]], None], named: str
) -> None:
    spec = json.loads((folder / "spec.json").read_bytes())
    change(spec)
    (folder / "spec.json").write_text(json.dumps(spec))
    with_true_hashes(folder)
    with pytest.raises(BundleError, match=named):
        load_bundle(folder)


def test_tensors_of_other_names_are_refused(folder: Path) -> None:
    tensors = load_file(folder / "initial.safetensors")
    tensors["first_user"] = tensors.pop("initial_user")
    save_file(tensors, folder / "initial.safetensors")
    with_true_hashes(folder)
    with pytest.raises(BundleError, match="tensor initial_user must be"):
        load_bundle(folder)


def test_a_graph_whose_inputs_have_other_names_is_refused(folder: Path) -> None:
    graph = onnx.load(folder / "popularity.onnx")
    for node in graph.graph.node:
        node.input[:] = ["counters" if name == "features" else name for name in node.input]
    graph.graph.input[0].name = "counters"
    onnx.save(graph, folder / "popularity.onnx")
    with_true_hashes(folder)
    with pytest.raises(BundleError, match="does not take the inputs"):
        load_bundle(folder)


def test_a_manifest_that_leads_outside_the_folder_is_refused(folder: Path) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["files"]["../secret"] = "0" * 64
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="outside the bundle"):
        load_bundle(folder)


def test_a_folder_that_is_no_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="peregrine export"):
        load_bundle(tmp_path)
