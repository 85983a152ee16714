"""What was shown goes to the store after the answer, and events that name a request count for it.

No answer waits for this, and none fails by it: what comes faster than the store takes it is dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import structlog

from service.core.impressions import Impression, Outcome
from service.errors import StoreUnavailable
from service.ports import Impressions

T = TypeVar("T")

log = structlog.get_logger("peregrine.attribution")

MOST_WAITING = 5_000
"""Impressions, and outcomes, that wait for the store at most."""
_CHUNK = 200
_PAUSE = 0.1  # seconds between two writes: some requests share one


@dataclass
class Attribution:
    """store: None keeps nothing. counts: what became of impressions (shown, dropped) and events (credited); credited:
    told of events that name a request, once these could be counted for it."""

    store: Impressions | None
    credited: Callable[[Sequence[Outcome]], Awaitable[None]] | None = None
    counts: Counter[Literal["shown", "credited", "dropped"]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._shown: deque[Impression] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._wake = asyncio.Event()

    def note(self, shown: Impression) -> None:
        self._add(self._shown, shown)

    def credit(self, outcome: Outcome) -> None:
        self._add(self._outcomes, outcome)

    def _add(self, waiting: deque[T], one: T) -> None:
        if self.store is None:
            return
        if len(waiting) >= MOST_WAITING:
            self.counts["dropped"] += 1
            return
        waiting.append(one)
        self._wake.set()

    @asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """Writes for the time of the block, and what is left at its end."""
        if self.store is None:
            yield
            return
        task = asyncio.create_task(self._flush(self.store))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            await self._write(self.store)

    async def _flush(self, store: Impressions) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._write(store)
            await asyncio.sleep(_PAUSE)

    async def _write(self, store: Impressions) -> None:
        """Impressions first: an outcome counts for what is known."""
        while self._shown or self._outcomes:
            shown = _some(self._shown)
            outcomes = [] if shown else _some(self._outcomes)
            try:
                if shown:
                    await store.store(shown)
                    self.counts["shown"] += len(shown)
                else:
                    self.counts["credited"] += await store.credit(outcomes)
                    if self.credited is not None:
                        await self.credited(outcomes)
            except StoreUnavailable as exc:
                self.counts["dropped"] += len(shown) + len(outcomes)
                log.warning("impressions_dropped", reason=str(exc), count=len(shown) + len(outcomes))
                return


def _some(waiting: deque[T]) -> list[T]:
    return [waiting.popleft() for _ in range(min(_CHUNK, len(waiting)))]
