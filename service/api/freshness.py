"""How long an accepted event takes to show: sampled on what this replica accepts, one at a time."""

from __future__ import annotations

import asyncio
import time

from service.api.timings import Timings
from service.replica import Replica

LONGEST = 60.0
"""Seconds after which an event is not waited for any longer; it is counted as having taken these."""


class Freshness:
    """From the end of the append to the moment when this replica's lists show it."""

    def __init__(self, replica: Replica, timings: Timings) -> None:
        self._replica = replica
        self._timings = timings
        self._watching: asyncio.Task[None] | None = None

    def accepted(self, offset: int) -> None:
        """Everything up to `offset` is in the log now. Looks at it if it looks at nothing else."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(offset))

    async def _watch(self, offset: int) -> None:
        began = time.perf_counter()
        await self._replica.wait_for(offset, LONGEST)
        self._timings.shown(time.perf_counter() - began)

    async def aclose(self) -> None:
        """What is looked at is given up."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
