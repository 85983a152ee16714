"""The lease on one generation of the state: whoever holds it writes there, and nobody else."""

from __future__ import annotations

import time
from threading import Event as Flag
from threading import Thread
from typing import Self

import structlog

from service.errors import Fenced, StoreUnavailable
from service.ports import StateStore

log = structlog.get_logger("peregrine.lease")

STUCK_SECONDS = 60.0
"""A holder that shows no life for so long is stuck: its lease is left to run out."""


class Lease:
    """Context manager: taken on entering, renewed by a thread of its own, given back at the end.

    A step of the writer may so take longer than the lease. owner: names the holder to others; seconds: how long after
    the holder's end somebody else may take it. Entering raises LeaseHeld, or Fenced if the generation's time is over.
    """

    def __init__(self, store: StateStore, owner: str, seconds: float) -> None:
        self.store = store
        self.epoch = 0
        self._owner = owner
        self._seconds = seconds
        self._ended = Flag()
        self._lost: Fenced | None = None
        self._alive = time.monotonic()
        self._thread = Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self.epoch = self.store.acquire(self._owner, self._milliseconds)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        try:
            self.store.release(self._owner)
        except StoreUnavailable as exc:
            log.warning("lease_not_released", error=str(exc), expires_in_seconds=self._seconds)

    def check(self) -> None:
        """Shows that the holder lives. Raises Fenced if the lease is lost."""
        self._alive = time.monotonic()
        if self._lost:
            raise self._lost

    @property
    def _milliseconds(self) -> int:
        return int(1_000 * self._seconds)

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            if time.monotonic() - self._alive > STUCK_SECONDS:
                continue
            try:
                self.store.renew(self._owner, self._milliseconds)
            except StoreUnavailable as exc:
                log.warning("lease_not_renewed", error=str(exc))
            except Fenced as exc:
                self._lost = exc
                return
