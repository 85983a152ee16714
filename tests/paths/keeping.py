"""A log, a state and an archive in memory, for the keeper."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.adapters.in_memory import InMemoryEventSource, InMemoryGenerations, InMemoryLog, InMemoryState
from service.adapters.in_memory_archive import (
    InMemoryArchive,
    InMemoryArchiveStore,
    InMemoryLogKeeper,
    InMemorySnapshots,
)
from service.core.types import Append, Position
from service.event_path import ArchivedSource, Keeping
from service.ports import EventArchive

LENGTH = 100
"""Records that the log may hold."""


@dataclass
class Place:
    """A log, a state and an archive; the state stands where it is told."""

    log: InMemoryLog = field(default_factory=InMemoryLog)
    state: InMemoryState = field(default_factory=InMemoryState)
    store: InMemoryArchiveStore = field(default_factory=InMemoryArchiveStore)
    snapshots: InMemorySnapshots = field(default_factory=InMemorySnapshots)
    now: float = 0.0

    def keeping(self, archive: EventArchive | None = None, epoch: int | None = None) -> Keeping:
        source, keeper = InMemoryEventSource(self.log), InMemoryLogKeeper(self.log)
        found = Keeping(
            source,
            keeper,
            InMemoryGenerations(self.state),
            self.snapshots,
            archive or InMemoryArchive(self.store),
            LENGTH,
            lambda: self.now,
        )
        found.resume(keeper.acquire("keeper", 60_000) if epoch is None else epoch)
        return found

    def append(self, count: int) -> None:
        self.log.append([Append(b"p", n) for n in range(count)])

    def apply(self, offset: int) -> None:
        self.state.position = Position(offset=offset, log_id=self.log.id)

    def archive(self) -> InMemoryArchive:
        return InMemoryArchive(self.store)

    def archived_source(self) -> ArchivedSource:
        return ArchivedSource(self.archive(), InMemoryEventSource(self.log))


def turns(keeping: Keeping, number: int = 3) -> None:
    for _ in range(number):
        keeping.turn()


def all_of(source: ArchivedSource, count: int = 33) -> list[int]:
    offsets: list[int] = []
    while len(some := source.read(offsets[-1] if offsets else 0, count, 0)):
        offsets += some.offset.tolist()
    return offsets
