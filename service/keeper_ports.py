"""The ports of the keeper (`ports` has them, too): the log it trims, the archive it fills, the copies it waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from service.core.log_records import LogRecords
from service.core.types import ArchiveFile, Erasure


class LogKeeper(Protocol):
    """The durable log as its one keeper sees it, who takes away what is kept elsewhere."""

    def acquire(self, owner: str, ttl_ms: int) -> int:
        """Takes the keeper's lease and returns a new epoch, higher than any before. Raises LeaseHeld."""
        ...

    def renew(self, owner: str, ttl_ms: int) -> None:
        """Raises Fenced if the lease is somebody else's by now."""
        ...

    def release(self, owner: str) -> None:
        """Gives the lease back, if it is still `owner`'s."""
        ...

    def begin(self) -> int:
        """Offset of the oldest record in the log; one more than its end when there is none."""
        ...

    def trim(self, epoch: int, upto: int) -> None:
        """Takes records with offset <= `upto` out of the log, as many as can go without one above it; `end` stays.

        Raises Fenced, and takes nothing, if a newer epoch exists or the log does not reach `upto`.
        """
        ...


class Erasures(Protocol):
    """The erasures that the log's one keeper finishes. Everything that changes something raises Fenced if a newer epoch
    of the keeper exists."""

    def pending(self) -> list[Erasure]:
        """Those that are not complete, in order of their markers."""
        ...

    def oldest_digest(self) -> int:
        """Records before this offset have no digest that is still remembered."""
        ...

    def forget(self, epoch: int, digests: Sequence[tuple[int, bytes]]) -> None:
        """Forgets digests, each with the offset of the record that brought it; those that a later one brought stay."""
        ...

    def rewrite(self, epoch: int, change: Callable[[LogRecords], LogRecords], erased: int) -> None:
        """Replaces the log's records by what `change` makes of them, which keeps offsets and timestamps.

        change: is given the records in order, some thousand at a time, all up to the offset `erased` and maybe more;
        appends go on meanwhile. Readers see all of the old records or all of the new ones, and `EventSource.erased`
        answers `erased` from then on, or a higher offset.
        """
        ...

    def complete(self, epoch: int, erasure_ids: Sequence[str]) -> None: ...


class EventArchive(Protocol):
    """Every record of one log from the first on, as it was appended or as erasure left it. Offsets have no gap.

    One process writes at a time: claiming the archive shuts out whoever claimed it before. Any number read. A step
    happens at once or not at all. Raises StoreUnavailable; ArchiveDamaged if what was written is not there any more.
    """

    def log_id(self) -> str:
        """Identity of the log it belongs to, "" before it was first claimed."""
        ...

    def end(self) -> int:
        """Offset of the newest record, 0 for an empty archive."""
        ...

    def read(self, after: int, count: int) -> LogRecords:
        """Records with offset > `after` in order: some, but at most `count`; none if the archive ends at `after`."""
        ...

    def claim(self, log_id: str) -> None:
        """Makes this the one that writes, and removes what a step left that did not happen. Raises ArchiveMismatch
        if the archive belongs to another log."""
        ...

    def append(self, records: LogRecords) -> None:
        """Adds the records that follow `end`. Raises Fenced, and adds nothing, if somebody else claimed the archive;
        ValueError for records that do not follow."""
        ...

    def files(self) -> list[ArchiveFile]:
        """What it is made of, in order of offsets."""
        ...

    def check(self, file: ArchiveFile) -> str:
        """Reads `file` and says what is wrong with it, "" if nothing."""
        ...

    def rewrite(self, file: ArchiveFile, erased: Mapping[bytes, int]) -> int:
        """Puts nothing in place of the records of erased users (`core.tombstones`); the number of them. Raises Fenced.

        erased: by user id (UTF-8), the offset of the erase marker. `files` names a changed file otherwise from now on.
        """
        ...


class Snapshots(Protocol):
    """The durable copies that a server makes of all it holds."""

    def begin(self) -> None:
        """Starts a copy, of everything written before this call. Raises SnapshotFailed if that cannot be done."""
        ...

    def ended(self) -> bool:
        """True when the copy that was last begun is complete. Raises SnapshotFailed if it did not end well."""
        ...
