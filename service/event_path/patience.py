"""Waiting for a store that is away, a little longer after each attempt."""

from __future__ import annotations

import random
from threading import Event as Flag

import structlog

log = structlog.get_logger("peregrine.patience")

_LONGEST = 2.0  # seconds


class Patience:
    """stop: ends every wait."""

    def __init__(self, stop: Flag) -> None:
        self._stop = stop
        self._seconds = 0.0

    @property
    def tried(self) -> bool:
        """Whether the last attempt failed."""
        return self._seconds > 0

    def reset(self) -> None:
        """The attempt has succeeded."""
        self._seconds = 0.0

    def wait(self, exc: Exception) -> None:
        """The attempt has failed."""
        self._seconds = min(_LONGEST, 0.1 + 2 * self._seconds)
        log.warning("store_unavailable", error=str(exc), retry_seconds=round(self._seconds, 2))
        self._stop.wait(self._seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
