"""The registry: a folder of bundles, each in a folder named by its version, never changed once it is there."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from service.adapters.bundle import MANIFEST, Bundle, Manifest, bundle_hash, load_bundle
from service.core.bundles import RegisteredModel
from service.errors import BundleError

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_UNFINISHED = ".new-"


class ModelFolder:
    """`ModelRegistry`. All processes of a deployment see the same folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def models(self) -> list[RegisteredModel]:
        found = [_describe(folder) for folder in self._folders()]
        return sorted(found, key=lambda model: (model.created, model.version))

    def add(self, folder: Path) -> RegisteredModel:
        """Raises BundleError for a bundle that must not be served, and for another one of a version that is there."""
        bundle = load_bundle(folder)
        if not VERSION.fullmatch(bundle.version):
            raise BundleError(f"version {bundle.version!r}: up to 64 letters, digits and _ . - name a version")
        target = self.folder(bundle.version)
        if not target.exists():
            self._copy(folder, target)
        if (there := _describe(target)).hash != bundle.hash:
            raise BundleError(f"another bundle has the version {bundle.version!r} already: give this one another")
        return there

    def _copy(self, folder: Path, target: Path) -> None:
        """At once or not at all."""
        fresh = self._path / f"{_UNFINISHED}{uuid4().hex}"
        shutil.copytree(folder, fresh)
        with suppress(OSError):  # somebody else was first
            fresh.rename(target)
        shutil.rmtree(fresh, ignore_errors=True)

    def load(self, version: str) -> Bundle:
        """Raises BundleError, which says what is off."""
        folder = self.folder(version)
        if not VERSION.fullmatch(version) or not folder.is_dir():
            raise BundleError(f"the registry {self._path} has no version {version!r}")
        return load_bundle(folder)

    def folder(self, version: str) -> Path:
        return self._path / version

    def _folders(self) -> list[Path]:
        if not self._path.is_dir():
            return []
        return [path for path in self._path.iterdir() if path.is_dir() and VERSION.fullmatch(path.name)]


def _describe(folder: Path) -> RegisteredModel:
    """What the manifest says; the other files are looked at when the bundle is loaded."""
    try:
        return described(folder.name, (folder / MANIFEST).read_bytes())
    except OSError as exc:
        return RegisteredModel(folder.name, problem=f"no readable {MANIFEST}: {exc}")


def described(name: str, manifest: bytes) -> RegisteredModel:
    """What the manifest of the bundle of that name says."""
    try:
        found = Manifest.model_validate_json(manifest)
    except ValidationError as exc:
        return RegisteredModel(name, problem=f"no readable {MANIFEST}: {exc}")
    problem = "" if found.version == name else f"its manifest says version {found.version!r}"
    return RegisteredModel(name, bundle_hash(found), found.created, found.code, found.data, found.metrics, problem)
