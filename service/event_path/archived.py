"""The log with its archive behind it: records that were trimmed away are read from there."""

from __future__ import annotations

from service.core.log_records import LogRecords
from service.errors import ArchiveMismatch, LogTrimmed
from service.ports import EventArchive, EventSource


class ArchivedSource:
    """`EventSource`. Reads the archive where the log no longer has the records, the log from there on."""

    def __init__(self, archive: EventArchive, source: EventSource) -> None:
        self._archive = archive
        self._source = source
        self._behind = False  # the last read was answered by the archive

    def log_id(self) -> str:
        return self._source.log_id()

    def end(self) -> int:
        return self._source.end()

    def report(self, applied: int, pressure: str) -> None:
        self._source.report(applied, pressure)

    def fullness(self) -> float:
        return self._source.fullness()

    def close(self) -> None:
        self._source.close()

    def erased(self) -> int:
        return self._source.erased()

    def refresh(self) -> None:
        self._source.refresh()

    def read(self, after: int, count: int, block_ms: int) -> LogRecords:
        """Raises LogTrimmed if the archive lacks them, too; ArchiveMismatch if it is another log's."""
        if self._behind:
            records = self._archive.read(after, count)
            self._behind = len(records) > 0
            if self._behind:
                return records
        try:
            return self._source.read(after, count, block_ms)
        except LogTrimmed:
            return self._turn_back(after, count)

    def _turn_back(self, after: int, count: int) -> LogRecords:
        log_id, archived = self._source.log_id(), self._archive.log_id()
        if archived not in {"", log_id}:
            raise ArchiveMismatch(f"the archive belongs to log {archived}, not to log {log_id}: name the right one")
        records = self._archive.read(after, count)
        if not len(records):
            raise LogTrimmed(f"the record {after + 1} is gone from the log, and the archive ends before it")
        self._behind = True
        return records
