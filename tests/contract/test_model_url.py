"""The registry behind a URL keeps the promises of the one in a folder; bundles are checked where they are used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from service.adapters.archive_folder import FsspecFolder
from service.adapters.bundle import load_bundle
from service.adapters.model_folder import ModelFolder
from service.adapters.model_url import ModelUrl
from service.commands.bundles import remade, shipped
from service.errors import BundleError
from service.wiring_models import registry_at
from tests.contract.test_model_folder import contents


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return remade(shipped(), tmp_path_factory.mktemp("first") / "bundle", "v1")


@pytest.fixture
def url() -> str:
    return f"memory://{uuid4().hex}/models"


def renamed(bundle: Path, target: Path, **manifest: object) -> Path:
    """A copy with other entries in its manifest."""
    folder = Path(shutil.copytree(bundle, target))
    said = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps(said | manifest))
    return folder


def test_a_place_is_a_folder_or_a_url(tmp_path: Path, url: str) -> None:
    assert isinstance(registry_at(url), ModelUrl)
    assert isinstance(registry_at(str(tmp_path)), ModelFolder)
    assert isinstance(registry_at(f"file://{tmp_path}"), ModelFolder)


def test_what_one_process_registers_another_one_serves(first: Path, url: str) -> None:
    assert ModelUrl(url).models() == []
    added = ModelUrl(url).add(first)
    assert (added.version, added.hash, added.problem) == ("v1", load_bundle(first).hash, "")
    another = ModelUrl(url)
    assert another.models() == [added]
    assert another.load("v1").hash == added.hash
    assert contents(another.folder("v1")) == contents(first)
    assert another.folder("v1") == another.folder("v1")


def test_a_bundle_goes_in_once_and_another_of_its_version_never(first: Path, url: str, tmp_path: Path) -> None:
    registry = ModelUrl(url)
    registry.add(first)
    registry.add(first)
    other = renamed(remade(shipped(), tmp_path / "more", "v100"), tmp_path / "other", version="v1")
    with pytest.raises(BundleError, match="another bundle has the version 'v1'"):
        registry.add(other)
    assert registry.load("v1").hash == load_bundle(first).hash


def test_an_upload_that_was_broken_off_is_no_model_and_can_be_made_again(first: Path, url: str) -> None:
    FsspecFolder(f"{url}/v1").put("spec.json", b"half")
    registry = ModelUrl(url)
    assert registry.models() == []
    with pytest.raises(BundleError, match="no version 'v1'"):
        registry.load("v1")
    assert registry.add(first).version == "v1"
    assert registry.load("v1").version == "v1"


@pytest.mark.parametrize("version", ["../out", "", "a b", ".hidden", "missing"])
def test_a_version_that_is_not_there_or_no_name_is_refused(first: Path, url: str, version: str) -> None:
    registry = ModelUrl(url)
    registry.add(first)
    with pytest.raises(BundleError, match="has no version"):
        registry.load(version)


def test_what_was_changed_or_is_missing_behind_the_url_is_not_served(first: Path, url: str) -> None:
    ModelUrl(url).add(first)
    remote = FsspecFolder(f"{url}/v1")
    remote.put("spec.json", (first / "spec.json").read_bytes() + b"\n")
    with pytest.raises(BundleError, match=r"spec\.json has sha256"):
        ModelUrl(url).load("v1")
    remote.remove(["spec.json"])
    with pytest.raises(BundleError, match=r"spec\.json is missing"):
        ModelUrl(url).load("v1")
    remote.put("manifest.json", b"no JSON")
    assert "manifest.json" in ModelUrl(url).models()[0].problem
    with pytest.raises(BundleError, match=r"manifest\.json"):
        ModelUrl(url).load("v1")


def test_a_manifest_that_leads_outside_is_refused_and_nothing_is_written(first: Path, url: str, tmp_path: Path) -> None:
    registry = ModelUrl(url)
    registry.add(first)
    files = json.loads((first / "manifest.json").read_bytes())["files"]
    bad = renamed(first, tmp_path / "bad", files={"../escaped": "0" * 64} | files)
    FsspecFolder(f"{url}/v1").put("manifest.json", (bad / "manifest.json").read_bytes())
    with pytest.raises(BundleError, match="outside the bundle"):
        registry.load("v1")
    assert not list(registry._fetched.rglob("escaped"))
