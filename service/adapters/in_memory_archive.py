"""What the keeper works on, inside one process: for tests and examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import RLock

from service.adapters.in_memory import InMemoryLog
from service.core.log_records import LogRecords
from service.core.tombstones import tombstones
from service.core.types import ArchiveFile
from service.errors import ArchiveMismatch, Fenced, LeaseHeld, SnapshotFailed


class InMemoryLogKeeper:
    """`LogKeeper`."""

    def __init__(self, log: InMemoryLog) -> None:
        self._log = log

    def acquire(self, owner: str, ttl_ms: int) -> int:
        with self._log.grown:
            if self._log.holder() not in {None, owner}:
                raise LeaseHeld(f"{self._log.holder()} leads")
            self._log.epoch += 1
            self._log.lease = (owner, self._log.clock() + ttl_ms / 1000)
            return self._log.epoch

    def renew(self, owner: str, ttl_ms: int) -> None:
        with self._log.grown:
            if self._log.holder() not in {None, owner}:
                raise Fenced(f"{self._log.holder()} holds the lease by now")
            self._log.lease = (owner, self._log.clock() + ttl_ms / 1000)

    def release(self, owner: str) -> None:
        with self._log.grown:
            if self._log.holder() == owner:
                self._log.lease = None

    def begin(self) -> int:
        return self._log.begin

    def trim(self, epoch: int, upto: int) -> None:
        with self._log.grown:
            if epoch != self._log.epoch:
                raise Fenced(f"the log is kept by epoch {self._log.epoch}, this keeper has epoch {epoch}")
            if upto > self._log.end:
                raise Fenced(f"the log ends at offset {self._log.end}, {upto} is not there to be trimmed")
            self._log.trim(upto)


@dataclass
class InMemorySnapshots:
    """`Snapshots`. refusal: why no copy can be made or completed, "" while it can; busy: while one takes its time."""

    refusal: str = ""
    busy: bool = False
    begun: int = 0

    def begin(self) -> None:
        self._check()
        self.begun += 1

    def ended(self) -> bool:
        self._check()
        return not self.busy

    def _check(self) -> None:
        if self.refusal:
            raise SnapshotFailed(self.refusal)


@dataclass
class InMemoryArchiveStore:
    """What several archives, each in its own process so to speak, share."""

    log_id: str = ""
    revision: int = 0
    parts: list[LogRecords] = field(default_factory=list)
    lock: RLock = field(default_factory=RLock)


class InMemoryArchive:
    """`EventArchive`. An append is a file."""

    def __init__(self, store: InMemoryArchiveStore | None = None) -> None:
        self._store = store or InMemoryArchiveStore()
        self._revision = -1

    def log_id(self) -> str:
        return self._store.log_id

    def end(self) -> int:
        return int(self._store.parts[-1].offset[-1]) if self._store.parts else 0

    def read(self, after: int, count: int) -> LogRecords:
        for part in self._store.parts:
            if part.offset[-1] > after:
                rest = part.after(after)
                return rest.part(0, min(count, len(rest)))
        return LogRecords.of([], [], [])

    def claim(self, log_id: str) -> None:
        with self._store.lock:
            if self._store.log_id not in {"", log_id}:
                raise ArchiveMismatch(f"the archive belongs to log {self._store.log_id}, not to log {log_id}")
            self._store.log_id = log_id
            self._store.revision += 1
            self._revision = self._store.revision

    def append(self, records: LogRecords) -> None:
        with self._store.lock:
            self._check_claim()
            if records.offset.tolist() != list(range(self.end() + 1, self.end() + 1 + len(records))):
                raise ValueError(f"these records do not follow offset {self.end()}")
            if len(records):
                self._store.parts.append(records)

    def files(self) -> list[ArchiveFile]:
        return [_describe(part) for part in self._store.parts]

    def check(self, file: ArchiveFile) -> str:
        return "" if file in self.files() else f"{file.name} is missing"

    def rewrite(self, file: ArchiveFile, erased: Mapping[bytes, int]) -> int:
        with self._store.lock:
            self._check_claim()
            at = self.files().index(file)
            self._store.parts[at], changed = tombstones(self._store.parts[at], erased)
            return changed

    def _check_claim(self) -> None:
        if self._revision != self._store.revision:
            raise Fenced("the archive was claimed by another writer")


def _describe(part: LogRecords) -> ArchiveFile:
    first, last = int(part.offset[0]), int(part.offset[-1])
    return ArchiveFile(f"{first}-{last}", first, last, len(part.data), "")
