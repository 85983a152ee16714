"""The registry on object storage, or wherever else fsspec reaches: a folder a version, its manifest written last.

Bundles are fetched into a folder of this process and checked there, file by file, as any other bundle.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from pydantic import ValidationError

from service.adapters.archive_folder import FsspecFolder
from service.adapters.bundle import MANIFEST, Bundle, Manifest, bundle_hash, load_bundle, read_manifest
from service.adapters.model_folder import VERSION, described
from service.core.bundles import RegisteredModel
from service.errors import BundleError

MOST_BYTES = 4 * 2**30
"""Of one bundle; larger ones are a mistake."""


class ModelUrl:
    """`ModelRegistry`. Raises StoreUnavailable where the storage does not answer."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._fetched = Path(tempfile.mkdtemp(prefix="peregrine-models-"))
        weakref.finalize(self, shutil.rmtree, self._fetched, ignore_errors=True)

    def models(self) -> list[RegisteredModel]:
        names = [name for name in FsspecFolder(self._url).names() if VERSION.fullmatch(name)]
        found = [described(name, content) for name in names if (content := self._manifest(name)) is not None]
        return sorted(found, key=lambda model: (model.created, model.version))

    def add(self, folder: Path) -> RegisteredModel:
        """Raises BundleError for a bundle that must not be served, and for another one of a version that is there."""
        bundle = load_bundle(folder)
        if not VERSION.fullmatch(bundle.version):
            raise BundleError(f"version {bundle.version!r}: up to 64 letters, digits and _ . - name a version")
        if self._manifest(bundle.version) is None:
            self._upload(folder, bundle.version)
        content = self._manifest(bundle.version)
        if content is None or (there := described(bundle.version, content)).hash != bundle.hash:
            raise BundleError(f"another bundle has the version {bundle.version!r} already: give this one another")
        return there

    def _upload(self, folder: Path, version: str) -> None:
        """The manifest makes it a bundle; whoever is second leaves the first one's."""
        target = self._remote(version)
        for name in read_manifest(folder).files:
            target.put(name, (folder / name).read_bytes())
        try:
            target.create(MANIFEST, (folder / MANIFEST).read_bytes())
        except FileExistsError:
            return

    def load(self, version: str) -> Bundle:
        """Raises BundleError, which says what is off."""
        return load_bundle(self.folder(version))

    def folder(self, version: str) -> Path:
        """Of this process, fetched when it is first asked for. Raises BundleError for one that is not there."""
        content = self._manifest(version) if VERSION.fullmatch(version) else None
        if content is None:
            raise BundleError(f"the registry {self._url} has no version {version!r}")
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError as exc:
            raise BundleError(f"{self._url}/{version}/{MANIFEST}: {exc}") from exc
        target = self._fetched / f"{version}-{bundle_hash(manifest)[:16]}"
        if not (target / MANIFEST).is_file():
            self._fetch(version, manifest, content, target)
        return target

    def _fetch(self, version: str, manifest: Manifest, content: bytes, target: Path) -> None:
        source, size = self._remote(version), 0
        target.mkdir(exist_ok=True)
        for name in manifest.files:
            if Path(name).name != name or name in {"", ".", ".."}:
                raise BundleError(f"{MANIFEST} of version {version!r} names a file outside the bundle: {name!r}")
            try:
                data = source.get(name)
            except FileNotFoundError as exc:
                raise BundleError(f"{source.url}/{name} is missing; register the bundle again") from exc
            if (size := size + len(data)) > MOST_BYTES:
                raise BundleError(f"version {version!r} of {self._url} is larger than {MOST_BYTES:,} bytes")
            (target / name).write_bytes(data)
        (target / MANIFEST).write_bytes(content)

    def _manifest(self, version: str) -> bytes | None:
        try:
            return self._remote(version).get(MANIFEST)
        except FileNotFoundError:
            return None

    def _remote(self, version: str) -> FsspecFolder:
        return FsspecFolder(f"{self._url}/{version}")
