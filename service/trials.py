"""The experiment that runs, as one replica takes part in it: who gets which line, and what is counted.

No list waits for the counting, and none fails by it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from service.core.experiments import Experiment, Exposure, bucket_of, draw
from service.core.impressions import Outcome
from service.errors import StoreUnavailable
from service.lines import Line, Lines
from service.ports import Experiments

log = structlog.get_logger("peregrine.trials")

DEFAULT = "default"
"""Variant of a list that is in no experiment."""
MOST_WAITING = 5_000
LOOK_SECONDS = 0.5
"""Between two looks at the experiments."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What a list is made with. experiment: None where it does not count: nobody's list, or one that was asked for by
    the variant's name; bucket, place: of the user."""

    line: Line
    variant: str = DEFAULT
    experiment: Experiment | None = None
    bucket: int = 0
    place: int = 0

    def exposure(self, fallback: bool, seconds: float, items: tuple[str, ...]) -> Exposure | None:
        if self.experiment is None:
            return None
        day = self.experiment.day_of(int(time.time()))
        return Exposure(self.variant, day, self.bucket, self.place, fallback, int(1_000 * seconds) + 1, items)


class UnknownVariant(LookupError):
    """No experiment that runs has a variant of that name, or its model is not here."""


class Trials:
    """store: None for none."""

    def __init__(self, lines: Lines, store: Experiments | None = None) -> None:
        self.store = store
        self.running: Experiment | None = None
        self._lines = lines
        self._waiting: deque[tuple[Experiment, Exposure]] = deque(maxlen=MOST_WAITING)

    def seat(self, user_id: str | None, variant: str | None = None) -> Seat:
        """Of a user, always the same; variant: in its place. Raises UnknownVariant."""
        experiment = self.running
        if variant is not None:
            return self._asked_for(variant)
        if experiment is None or user_id is None:
            return Seat(self._lines.default)
        drawn = draw(experiment, user_id)
        if (line := self._line(drawn.version)) is None:
            return Seat(self._lines.default)  # it does not count: this replica cannot show it now
        return Seat(line, drawn.name, experiment, *bucket_of(experiment, user_id))

    def _asked_for(self, name: str) -> Seat:
        found = self.running.variant(name) if self.running is not None else None
        if name == DEFAULT:
            return Seat(self._lines.default)
        if found is None or (line := self._line(found.version)) is None:
            raise UnknownVariant(f"no variant {name!r} is being served")
        return Seat(line, name)

    def _line(self, version: str) -> Line | None:
        models = self._lines.live.models
        model = next((model for model in models if model.version == version), None)
        return None if model is None else self._lines.of(model.bundle)

    def note(self, seat: Seat, exposure: Exposure | None) -> None:
        """Counts a list soon; the oldest that wait are dropped when the store is too slow."""
        if seat.experiment is not None and exposure is not None and self.store is not None:
            self._waiting.append((seat.experiment, exposure))

    async def credit(self, outcomes: Sequence[Outcome]) -> None:
        """Counts events for the variants whose lists they name."""
        experiment = self.running
        if self.store is None or experiment is None:
            return
        day = experiment.day_of(int(time.time()))
        kinds = [(one.request_id, experiment.kind_of(one.type)) for one in outcomes]
        events = [(request_id, kind, day) for request_id, kind in kinds if kind is not None]
        if events:
            await self.store.credited(experiment, events)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follows the experiments and counts for the time of the block."""
        if self.store is None:
            yield
            return
        task = asyncio.create_task(self._follow(self.store))
        try:
            yield
        finally:
            while not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=0.1)
            await self._write(self.store)

    async def _follow(self, store: Experiments) -> None:
        while True:
            await self.look(store)
            await self._write(store)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, store: Experiments) -> None:
        try:
            self.running = next((one for one in await store.all() if one.ended is None), None)
        except StoreUnavailable as exc:
            log.warning("experiments_not_read", reason=str(exc))

    async def _write(self, store: Experiments) -> None:
        while self._waiting:
            experiment = self._waiting[0][0]
            some: list[Exposure] = []
            while self._waiting and self._waiting[0][0].id == experiment.id and len(some) < 500:
                some.append(self._waiting.popleft()[1])
            try:
                await store.shown(experiment, some)
            except StoreUnavailable as exc:
                log.warning("exposures_dropped", reason=str(exc), count=len(some))
                return
