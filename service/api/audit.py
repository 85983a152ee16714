"""The audit log: who changed or looked at what others must answer for. Lines are added, never changed.

One line for each request that is let in or turned away and changes something beyond events, or reads what is stored
about a person. No bodies, no user ids: a line outlives an erasure.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import structlog
from pydantic_core import to_json

from service.core.access import Scope
from service.errors import ConfigurationError

log = structlog.get_logger("peregrine.audit")

_WATCHED: frozenset[Scope | None] = frozenset({"catalogue", "models", "privacy", "admin"})
_READ = frozenset({"GET", "HEAD", "OPTIONS"})


class Audit:
    """path: a file that lines are appended to, beside the log; None for the log alone."""

    def __init__(self, path: Path | None) -> None:
        """Raises ConfigurationError if the file cannot be written."""
        self._file: int | None = None
        if path is not None:
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            except OSError as exc:
                raise ConfigurationError(f"the audit file {path} cannot be written: {exc.strerror}") from exc

    def watches(self, scope: Scope | None, method: str) -> bool:
        """Whether such a request leaves a line."""
        return scope in _WATCHED and (method not in _READ or scope == "privacy")

    def note(self, key: str | None, scope: Scope | None, method: str, path: str, status: int, request_id: str) -> None:
        """path: without ids of persons."""
        line = {"key": key, "scope": scope, "method": method, "path": path, "status": status, "request_id": request_id}
        log.info("audit", **line)
        if self._file is not None:
            os.write(self._file, to_json({"time": round(time.time(), 3)} | line) + b"\n")
