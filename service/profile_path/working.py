"""The workers of one process: each claims a user, refreshes the profile, and deals with what goes wrong.

What goes wrong with one user costs that user a try; what goes wrong with the endpoint pauses all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from service.core.log_records import UnreadableRecord
from service.errors import (
    AnswerRejected,
    BudgetSpent,
    EndpointRefused,
    EndpointUnavailable,
    StoreUnavailable,
)
from service.profile_path.breaker import Breaker
from service.profile_path.feeding import Feeder
from service.profile_path.refreshing import Refreshing
from service.profile_ports import Claim, DeadLetter

log = structlog.get_logger("peregrine.profiler")

MOST_TRIES = 3
"""Answers of one user that could not be used, before the user is left alone."""
MOST_CLAIMS = 12
"""Claims of one user without any outcome."""
REFUSED_PAUSE = 300.0
"""Seconds to wait for somebody who mends key or account."""
BUDGET_PAUSE = 600.0
"""Seconds after which the budget is asked again; a new day may have begun."""
FIRST_DELAY, LONGEST_DELAY = 30.0, 3_600.0
"""Seconds that a user is put off after the first try, and at most."""
STORE_PAUSE = 1.0


@dataclass
class Working:
    """concurrency: users under way at once; lease_seconds: longer than any refresh; poll_seconds: rest of a worker that
    finds nobody. `stop` ends it; users under way are given back."""

    refreshing: Refreshing
    feeder: Feeder
    concurrency: int
    lease_seconds: float
    poll_seconds: float
    breaker: Breaker = field(default_factory=Breaker)
    clock: Callable[[], float] = time.time
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until `stop` is set. Users under way are given back then."""
        tasks = [
            asyncio.create_task(self._feed()),
            *(asyncio.create_task(self._work()) for _ in range(self.concurrency)),
        ]
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stop.set()
            await stopping
            while running := [task for task in tasks if not task.done()]:
                for task in running:
                    task.cancel()
                await asyncio.wait(running, timeout=STORE_PAUSE)  # a library may lose a cancellation
            with suppress(StoreUnavailable):
                await self._count()
                await self.feeder.leave()
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _feed(self) -> None:
        while not self.stop.is_set():
            try:
                busy = await self.feeder.turn()
                await self._count()
            except StoreUnavailable as exc:
                log.warning("profiler_waits", reason=str(exc))
                busy = False
                await asyncio.sleep(STORE_PAUSE)
            if not busy:
                await asyncio.sleep(self.poll_seconds)

    async def _count(self) -> None:
        """Counts of the last turn, to where everybody's are; a process that is killed takes them with it."""
        counts = self.refreshing.counts
        found = dict(counts)
        counts.clear()
        await self.refreshing.queue.count(found)

    def _became(self, outcome: str) -> None:
        self.refreshing.counts[outcome] += 1

    async def _work(self) -> None:
        while not self.stop.is_set():
            if wait := self.breaker.wait():
                await asyncio.sleep(min(wait, self.poll_seconds))
                continue
            try:
                claims = await self.refreshing.queue.claim(1, self.lease_seconds)
                for claim in claims:
                    await self._refresh(claim)
            except StoreUnavailable as exc:
                self.breaker.skipped()
                log.warning("profiler_waits", reason=str(exc))
                await asyncio.sleep(STORE_PAUSE)
                continue
            if not claims:
                self.breaker.skipped()
                await asyncio.sleep(self.poll_seconds)

    async def _refresh(self, claim: Claim) -> None:
        """One user. Raises StoreUnavailable; the claim ends by itself then."""
        if claim.tries > MOST_CLAIMS:
            self.breaker.skipped()
            await self._bury(claim, f"{claim.tries} claims without an outcome")
            return
        try:
            if await self.refreshing.refresh(claim):
                self.breaker.succeeded()
                self._became("described")
            else:
                self.breaker.skipped()
                self._became("kept")
        except asyncio.CancelledError:
            await asyncio.shield(self.refreshing.queue.put_off(claim, 0.0, counted=False))
            raise
        except AnswerRejected as exc:
            self.breaker.succeeded()
            self._became("rejected")
            await self._try_again(claim, str(exc))
        except UnreadableRecord as exc:
            self.breaker.skipped()
            log.warning("user_not_read", reason=str(exc))
            await self.refreshing.queue.put_off(claim, LONGEST_DELAY, counted=False)
        except (EndpointUnavailable, EndpointRefused, BudgetSpent) as exc:
            seconds = self._pause(exc)
            await self.refreshing.queue.put_off(claim, max(seconds, _delay(claim.tries)), counted=False)

    async def _try_again(self, claim: Claim, why: str) -> None:
        if claim.tries >= MOST_TRIES:
            await self._bury(claim, why)
        else:
            await self.refreshing.queue.put_off(claim, _delay(claim.tries), counted=True)

    async def _bury(self, claim: Claim, why: str) -> None:
        self._became("given_up")
        log.warning("profile_given_up", reason=why, tries=claim.tries)
        await self.refreshing.queue.bury(claim, DeadLetter(why, int(self.clock())))

    def _pause(self, exc: EndpointUnavailable | EndpointRefused | BudgetSpent) -> float:
        """Seconds for which nobody asks; says so once."""
        if isinstance(exc, EndpointUnavailable):
            outcome, seconds = "unavailable", self.breaker.failed(exc.retry_after)
        elif isinstance(exc, EndpointRefused):
            outcome, seconds = "refused", self.breaker.pause(REFUSED_PAUSE)
        else:
            outcome, seconds = "budget", self.breaker.pause(BUDGET_PAUSE)
        self._became(outcome)
        if seconds:
            log.warning("profiles_paused", reason=str(exc), seconds=round(seconds, 1))
        return seconds


def _delay(tries: int) -> float:
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (tries - 1))
