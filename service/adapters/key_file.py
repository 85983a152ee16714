"""API keys in a JSON file that is read again when it changes: keys are added, changed and revoked without a restart."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import structlog
from pydantic import ValidationError

from service.core.access import Key, KeyFile, Scope, digest
from service.errors import ConfigurationError

log = structlog.get_logger("peregrine.keys")

LOOK_SECONDS = 1.0
"""Between two looks at the file."""
_PREFIX = "pgr_"


class KeyRing:
    """The keys of a file. A change that cannot be read is logged, and the keys from before go on."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError if the file cannot be read."""
        self._path = path
        self._keys = read_keys(path).keys
        self._seen = self._mark()
        self._looked = time.monotonic()

    @property
    def keys(self) -> Sequence[Key]:
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._look()
        return self._keys

    def _look(self) -> None:
        self._looked = time.monotonic()
        mark = self._mark()
        if mark == self._seen:
            return
        self._seen = mark
        try:
            self._keys = read_keys(self._path).keys
        except ConfigurationError as exc:
            log.warning("keys_not_read", reason=str(exc), effect="the keys from before go on")
        else:
            log.info("keys_read", names=[key.name for key in self._keys])

    def _mark(self) -> tuple[int, int, int] | None:
        """Changes with the file; None if it is not there."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


def read_keys(path: Path) -> KeyFile:
    """Raises ConfigurationError naming the file and what is wrong with it."""
    try:
        return KeyFile.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise ConfigurationError(f"the key file {path} cannot be read: {exc.strerror}") from exc
    except ValidationError as exc:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in error['loc']) or 'the file'}: {error['msg']}"
            for error in exc.errors(include_url=False, include_input=False)
        )
        raise ConfigurationError(f"the key file {path} is wrong: {wrong}") from exc


def add_key(
    path: Path, name: str, scopes: Sequence[Scope], per_second: float | None = None, expires: int | None = None
) -> str:
    """A new key under `name`, in place of one of that name; the file is made if it is not there. Returns the key, which
    is stored nowhere. Raises ConfigurationError."""
    before = read_keys(path) if path.exists() else KeyFile()
    made = _PREFIX + secrets.token_urlsafe(32)
    try:
        key = Key(name=name, sha256=digest(made), scopes=tuple(scopes), per_second=per_second, expires=expires)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise ConfigurationError(f"{first['loc'][0]} {first['input']!r}: {first['msg']}") from exc
    _write(path, KeyFile(keys=(*(old for old in before.keys if old.name != name), key)))
    return made


def revoke_key(path: Path, name: str) -> None:
    """Raises ConfigurationError if there is none of that name."""
    before = read_keys(path)
    kept = tuple(key for key in before.keys if key.name != name)
    if len(kept) == len(before.keys):
        known = ", ".join(key.name for key in before.keys) or "none"
        raise ConfigurationError(f"{path} has no key {name!r}; it has {known}")
    _write(path, KeyFile(keys=kept))


def _write(path: Path, content: KeyFile) -> None:
    """Whole or not at all, for the owner's eyes."""
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, path)
    except BaseException:
        os.unlink(made)
        raise
