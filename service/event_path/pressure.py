"""What the worker tells those who append: how far it is, and which store is nearly full. The log then refuses whole
appends, rather than that a store takes half of what belongs together or the lag grows for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from service.ports import EventSource, StateStore

log = structlog.get_logger("peregrine.pressure")

NEARLY_FULL = 0.95
"""Share of a server's memory limit from which on nothing more is taken."""
_EVERY = 1.0  # seconds between two reports


class Reporter:
    """Reports about once a second, and at once when a quarter of `max_lag` has been applied since."""

    def __init__(
        self, source: EventSource, store: StateStore, max_lag: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._step = max(1, max_lag // 4)
        self._applied = 0
        self._pressure = ""
        self._next = 0.0

    def report(self, applied: int) -> None:
        """applied: offset up to which everything is. Raises StoreUnavailable."""
        now = self._clock()
        if now < self._next and applied - self._applied < self._step:
            return
        pressure = self._find()
        self._source.report(applied, pressure)
        if pressure != self._pressure:
            log.warning("memory_pressure", found=pressure or "over")
        self._applied, self._pressure, self._next = applied, pressure, now + _EVERY

    def _find(self) -> str:
        for name, fullness in (("log", self._source.fullness()), ("state", self._store.fullness())):
            if fullness >= NEARLY_FULL:
                return f"the memory of the {name} store is {fullness:.0%} full"
        return ""
