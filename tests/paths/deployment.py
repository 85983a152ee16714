"""A world with its keeper: log, archive, writer and erasures over the in-memory adapters."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.adapters.in_memory import InMemoryEventLog
from service.adapters.in_memory_archive import InMemoryArchive, InMemoryLogKeeper, InMemorySnapshots
from service.adapters.in_memory_erasures import InMemoryErasures
from service.adapters.in_memory_profiles import InMemoryProfileEraser
from service.core.log_records import LogRecords
from service.core.types import Erase, Erasure
from service.event_path import ArchivedSource, Erasing, accept_marker
from tests.paths.world import World


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Deployment:
    """A world with a keeper. archived: its log is copied to an archive up to that offset, and trimmed."""

    world: World = field(default_factory=World)
    archive: InMemoryArchive = field(default_factory=InMemoryArchive)
    state_files: InMemorySnapshots = field(default_factory=InMemorySnapshots)
    log_files: InMemorySnapshots = field(default_factory=InMemorySnapshots)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.log = InMemoryEventLog(self.world.log)
        self.keeper = InMemoryLogKeeper(self.world.log)
        self.source = ArchivedSource(self.archive, self.world.source)
        self.erasing = self.another()
        self._numbers = iter(range(1_000))

    def another(self) -> Erasing:
        """Whoever begins anew after the one before has died."""
        self.archive.claim(self.world.log.id)
        erasures, generations = InMemoryErasures(self.world.log), self.world.generations
        files = (self.state_files, self.log_files, InMemoryProfileEraser(self.world.state.profiles))
        erasing = Erasing(self.source, generations, erasures, self.archive, *files, self.clock)
        erasing.resume(self.keeper.acquire("keeper", 60_000))
        return erasing

    async def erase(self, user_id: str, apply: bool = True) -> Erasure:
        erasure_id = f"e-{next(self._numbers)}"
        await self.log.erase(erasure_id, accept_marker(Erase(user_id)))
        if apply:
            self.world.work()
        return await self.erasure(erasure_id)

    async def erasure(self, erasure_id: str) -> Erasure:
        erasure = await self.log.erasure(erasure_id)
        assert erasure is not None
        return erasure

    def archive_until(self, offset: int, trim: bool = True) -> None:
        self.archive.append(self.world.source.read(self.archive.end(), offset - self.archive.end(), 0))
        if trim:
            self.keeper.trim(self.world.log.epoch, offset)

    def finish(self) -> None:
        self.clock.now += 1_000
        self.erasing.turn()

    def everything(self) -> LogRecords:
        """Every record, from archive and log."""
        found: list[LogRecords] = []
        while len(some := self.source.read(sum(map(len, found)), 10_000, 0)):
            found.append(some)
        return LogRecords.join(found)

    def rebuilt(self) -> World:
        """A world of its own that has applied what this one's archive and log hold now."""
        fresh = World()
        if len(records := self.everything()):
            fresh.writer.step(records)
        return fresh


def holds(deployment: Deployment, user_id: str) -> bool:
    """Whether archive or log have the id anywhere."""
    records = [*deployment.archive._store.parts, *map(LogRecords.of, [[]], [[]], [deployment.world.log.payloads])]
    return any(user_id.encode() in part.data for part in records)
