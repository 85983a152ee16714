"""Pauses of the workers: when an endpoint does not answer, is busy, or wants money."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

FAILURES = 3
"""In a row, that open the circuit."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds; it doubles with each failure, and a random part of it is taken off."""


class Breaker:
    """Closed: everybody goes. Open, for a while: nobody. Then one goes, and the outcome closes or opens it."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._until = 0.0
        self._open = self._trial = False

    def wait(self) -> float:
        """Seconds to wait before asking again; 0.0: go (then one of the following must be called)."""
        now = self._clock()
        if now < self._until:
            return self._until - now
        if not self._open:
            return 0.0
        if self._trial:
            return FIRST_PAUSE / 4
        self._trial = True
        return 0.0

    def succeeded(self) -> None:
        self._failures, self._open, self._trial = 0, False, False

    def skipped(self) -> None:
        """Whoever went did not need the endpoint."""
        self._trial = False

    def failed(self, retry_after: float | None = None) -> float:
        """retry_after: seconds that the endpoint asks for. Seconds for which nobody goes now, 0.0 if the circuit stays
        closed."""
        self._failures += 1
        was_trial, self._trial = self._trial, False
        if retry_after is None and self._failures < FAILURES and not was_trial:
            return 0.0
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** max(0, self._failures - FAILURES))
        return self.pause(max(retry_after or 0.0, longest * (1.0 - self._chance() / 2)))

    def pause(self, seconds: float) -> float:
        """Nobody goes for that long."""
        self._open, self._trial = True, False
        self._until = max(self._until, self._clock() + seconds)
        return seconds
