"""What the keeper does in a turn: it copies the log to the archive, and trims the log below what is kept elsewhere.

A record leaves the log when it was read back from the archive, and a completed durable copy of the state stands at or
above it. Every step is found done or not done by whoever comes next; nothing in memory here is needed to go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from service.core.log_records import LogRecords
from service.errors import ArchiveMismatch, SnapshotFailed
from service.ports import EventArchive, EventSource, Generations, LogKeeper, Snapshots

log = structlog.get_logger("peregrine.keeper")

CHUNK = 5_000
"""Records of one read of the log."""
MOST_RECORDS, MOST_BYTES = 100_000, 64_000_000
"""Of one append to the archive."""
PAUSE_SECONDS = 60.0
"""Between two copies of the state: each makes its server write everything it holds."""


class Keeping:
    """keeper: of the log that `source` reads; snapshots: of the server that holds the state.

    archive: None for none, then nothing is copied and the log stays whole; log_length: records that the log may hold, a
    longer one is cut to half of that.
    """

    def __init__(
        self,
        source: EventSource,
        keeper: LogKeeper,
        generations: Generations,
        snapshots: Snapshots,
        archive: EventArchive | None,
        log_length: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._log = keeper
        self._generations = generations
        self._snapshots = snapshots
        self._archive = archive
        self._log_length = log_length
        self._clock = clock
        self._epoch = 0
        self._log_id = ""
        self._covered = 0  # offset that a completed copy of the state stands at
        self._under_way: int | None = None  # offset that the copy under way will stand at
        self._earliest = clock()  # when the next copy may begin
        self._said = ""
        self.archived = 0
        """Offset up to which records are in the archive."""
        self.begin = 0
        """Offset of the log's first record; 0 without an archive, for then nobody looks."""

    def resume(self, epoch: int) -> None:
        """Takes the archive over. Raises ArchiveMismatch if it and the log do not belong together."""
        self._epoch, self._log_id = epoch, self._source.log_id()
        if self._archive is None:
            return
        self._archive.claim(self._log_id)
        if (archived := self._archive.end()) > (end := self._source.end()):
            raise ArchiveMismatch(
                f"the archive ends at offset {archived}, the log at {end}: the log has lost records. Restore the log "
                "from its append-only file, or name another archive"
            )
        log.info("archive_claimed", log_id=self._log_id, archived=archived, log_end=end)

    def turn(self) -> bool:
        """True if there may be more to do at once. Raises LogTrimmed if the log lacks what the archive lacks."""
        if self._archive is None:
            return False
        more = self._copy(self._archive)
        self._trim(self._archive)
        return more

    def _copy(self, archive: EventArchive) -> bool:
        """Copies what the archive lacks, or the first part of it; True if there may be more."""
        after = archive.end()
        parts: list[LogRecords] = []
        rows = size = 0
        while rows < MOST_RECORDS and size < MOST_BYTES:
            some = self._source.read(after + rows, CHUNK, block_ms=0)
            if not len(some):
                break
            parts.append(some)
            rows, size = rows + len(some), size + len(some.data)
        if rows:
            archive.append(LogRecords.join(parts))
            log.debug("records_archived", first=after + 1, last=after + rows)
        self.archived = after + rows
        return rows >= MOST_RECORDS or size >= MOST_BYTES

    def _trim(self, archive: EventArchive) -> None:
        """Trims the log if it is too long and may be trimmed; has the state copied where that is what is lacking."""
        self.begin = begin = self._log.begin()
        end = self._source.end()
        if end + 1 - begin <= self._log_length:
            return
        wanted = min(end - self._log_length // 2, archive.end())
        try:
            self._cover(wanted, begin)
        except SnapshotFailed as exc:
            self._under_way = None
            self._say("no durable copy of the state: " + str(exc))
        upto = self._read_back(archive, begin, min(wanted, self._covered))
        if upto >= begin:
            self._log.trim(self._epoch, upto)
            self._said = ""
            log.info("log_trimmed", upto=upto, records=upto + 1 - begin, log_end=end)

    def _cover(self, wanted: int, begin: int) -> None:
        """Takes note of a completed copy of the state; begins one if `wanted` is not covered and it would help."""
        if self._under_way is not None:
            if self._snapshots.ended():
                self._covered, self._under_way = self._under_way, None
            return
        if self._covered >= wanted or self._clock() < self._earliest:
            return
        position = self._generations.current().position()
        if position.log_id == self._log_id and position.offset >= max(self._covered + 1, begin):
            self._earliest = self._clock() + PAUSE_SECONDS
            self._snapshots.begin()
            self._under_way = position.offset

    def _read_back(self, archive: EventArchive, begin: int, wanted: int) -> int:
        """Up to where the archive's files were found sound just now, from `begin` on and no further than `wanted`."""
        upto = begin - 1
        for file in archive.files():
            if file.last >= begin and upto < wanted:
                if problem := archive.check(file):
                    self._say(problem)
                    return upto
                upto = min(file.last, wanted)
        return upto

    def _say(self, reason: str) -> None:
        """Why the log stays as it is, once."""
        if reason != self._said:
            self._said = reason
            log.warning("log_not_trimmed", reason=reason)
