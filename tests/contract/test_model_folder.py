"""The registry of bundles: whole ones go in and stay as they are; what is off is refused, with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from service.adapters.bundle import load_bundle
from service.adapters.model_folder import ModelFolder
from service.commands.bundles import remade
from service.errors import BundleError


@pytest.fixture
def first(exported: Path) -> Path:
    return exported


@pytest.fixture(scope="module")
def second(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return remade(exported, tmp_path_factory.mktemp("second") / "bundle", "v2")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_went_in_comes_out_by_its_version(first: Path, second: Path, tmp_path: Path) -> None:
    registry = ModelFolder(tmp_path / "models")
    assert registry.models() == []
    for folder, version in ((first, "v1"), (second, "v2")):
        added = registry.add(folder)
        assert (added.version, added.hash, added.problem) == (version, load_bundle(folder).hash, "")
    assert [model.version for model in registry.models()] == ["v1", "v2"]
    assert registry.load("v2").hash == load_bundle(second).hash
    assert contents(registry.folder("v1")) == contents(first)


def test_a_model_says_which_release_and_which_data_made_it_and_how_good_it_was(first: Path, tmp_path: Path) -> None:
    (model,) = [ModelFolder(tmp_path).add(first)]
    assert model.code
    assert model.created.startswith("20")
    assert model.data == {"sha256": "of the events"}
    assert model.metrics == {"next": {"recall@20": 0.5, "ndcg@10": 0.25}}


def test_a_bundle_goes_in_once_and_another_of_its_version_never(first: Path, second: Path, tmp_path: Path) -> None:
    registry = ModelFolder(tmp_path)
    registry.add(first)
    before = contents(tmp_path)
    registry.add(first)
    other = Path(shutil.copytree(second, tmp_path.with_name("other")))
    manifest = json.loads((other / "manifest.json").read_bytes())
    (other / "manifest.json").write_text(json.dumps(manifest | {"version": "v1"}))
    with pytest.raises(BundleError, match="another bundle has the version 'v1'"):
        registry.add(other)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("version", ["../out", "", "a b", ".hidden", "x" * 65])
def test_a_version_that_is_no_name_is_refused(first: Path, tmp_path: Path, version: str) -> None:
    folder = Path(shutil.copytree(first, tmp_path / "bundle"))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": version}))
    registry = ModelFolder(tmp_path / "models")
    with pytest.raises(BundleError, match="version"):
        registry.add(folder)
    with pytest.raises(BundleError, match="has no version"):
        registry.load(version)
    assert registry.models() == []


def test_a_broken_bundle_leaves_nothing_in_the_registry(first: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(first, tmp_path / "bundle"))
    (folder / "popularity.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match=r"popularity\.onnx has sha256"):
        ModelFolder(tmp_path / "models").add(folder)
    assert not (tmp_path / "models").exists()


def test_a_bundle_that_was_changed_in_the_registry_is_not_served(first: Path, tmp_path: Path) -> None:
    registry = ModelFolder(tmp_path)
    registry.add(first)
    with (registry.folder("v1") / "spec.json").open("a") as spec:
        spec.write("\n")
    with pytest.raises(BundleError, match=r"spec\.json has sha256"):
        registry.load("v1")
    (registry.folder("v1") / "manifest.json").unlink()
    (broken,) = registry.models()
    assert "manifest.json" in broken.problem


def test_a_copy_that_was_broken_off_is_no_model(first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / ".new-1")
    assert ModelFolder(tmp_path).models() == []
