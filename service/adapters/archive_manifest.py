"""What the archive is made of: a JSON file of a number one higher at every change. The highest one is the truth.

A manifest is created, never replaced, and fails if there is one of its number: whoever works from an older one than the
newest cannot change anything. Files that the newest does not name do not exist.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace

from service.adapters.archive_folder import Folder
from service.core.types import ArchiveFile
from service.errors import ArchiveDamaged, Fenced

_FORMAT = 1
_NAME = re.compile(r"manifest-(\d{12})\.json")
_ATTEMPTS = 5  # at reading a manifest that is gone before it was read, because a newer one is there


@dataclass(frozen=True, slots=True)
class Manifest:
    """revision: its number, 0 for none; files: in order of offsets."""

    revision: int = 0
    log_id: str = ""
    files: tuple[ArchiveFile, ...] = ()

    @property
    def name(self) -> str:
        return f"manifest-{self.revision:012d}.json"

    @property
    def end(self) -> int:
        """Offset of the newest record."""
        return self.files[-1].last if self.files else 0

    def names(self) -> set[str]:
        """All that exists, this file included."""
        return {self.name, *(file.name for file in self.files)}


def newest_revision(folder: Folder) -> int:
    """Number of the manifest in force, 0 if there is none."""
    return max((int(found[1]) for name in folder.names() if (found := _NAME.fullmatch(name))), default=0)


def read_manifest(folder: Folder) -> Manifest:
    """The newest one. Raises ArchiveDamaged if it cannot be read."""
    for _ in range(_ATTEMPTS):
        if not (revision := newest_revision(folder)):
            return Manifest()
        name = Manifest(revision).name
        try:
            return _parse(revision, folder.get(name))
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError) as exc:
            raise ArchiveDamaged(f"{folder.url}/{name} cannot be read: {exc}") from exc
    raise ArchiveDamaged(f"{folder.url}: the newest manifest vanishes whenever it is read")


def write_next(folder: Folder, current: Manifest, log_id: str, files: tuple[ArchiveFile, ...]) -> Manifest:
    """The manifest that follows `current`. Raises Fenced if somebody else wrote one meanwhile."""
    following = replace(current, revision=current.revision + 1, log_id=log_id, files=files)
    document = {"format": _FORMAT, "log_id": log_id, "files": [asdict(file) for file in files]}
    try:
        folder.create(following.name, json.dumps(document, indent=1).encode())
    except FileExistsError as exc:
        raise Fenced(f"the archive {folder.url} was claimed by another writer") from exc
    return following


def _parse(revision: int, content: bytes) -> Manifest:
    document = json.loads(content)
    if document["format"] != _FORMAT:
        raise ValueError(f"format {document['format']} is not known to this release")
    files = tuple(ArchiveFile(**file) for file in document["files"])
    lasts = (0, *(file.last for file in files))
    if any(before + 1 != file.first for before, file in zip(lasts, files, strict=False)):
        raise ValueError("its files do not follow one another")
    return Manifest(revision, document["log_id"], files)
