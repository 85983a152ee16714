"""The archive as a folder of Parquet files (`archive_table`), named by a manifest (`archive_manifest`).

A file is written once, under a name that holds its offsets and digest, and replaced by others: while the log is copied,
small files at the end are merged into the next one, so that a record is written a few times and few files are small.
"""

from __future__ import annotations

import ctypes
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from hashlib import sha256

import numpy as np
import pyarrow as pa

from service.adapters.archive_folder import Folder
from service.adapters.archive_manifest import Manifest, newest_revision, read_manifest, write_next
from service.adapters.archive_table import from_parquet, to_parquet
from service.core.log_records import LogRecords
from service.core.tombstones import tombstones
from service.core.types import ArchiveFile
from service.errors import ArchiveDamaged, ArchiveMismatch, Fenced

FILE_ROWS = 100_000
"""Records of a full file."""
FILE_BYTES = 64_000_000
"""Of payloads in one file: where records are large, a file is full before it has FILE_ROWS."""


class ParquetArchive:
    """`EventArchive`. rows: records of a full file."""

    def __init__(self, folder: Folder, rows: int = FILE_ROWS) -> None:
        self._folder = folder
        self._rows = rows
        self._manifest = Manifest()
        self._claimed = False
        self._last: tuple[str, LogRecords] = ("", LogRecords.of([], [], []))  # what was read or written last

    def log_id(self) -> str:
        return self._newest().log_id

    def end(self) -> int:
        return self._newest().end

    def files(self) -> list[ArchiveFile]:
        return list(self._newest().files)

    def read(self, after: int, count: int) -> LogRecords:
        if after >= self._manifest.end:
            self._newest()
        if (file := self._file_with(after + 1)) is None:
            return LogRecords.of([], [], [])
        try:
            records = self._records(file)
        except ArchiveDamaged:
            self._newest()
            if (newer := self._file_with(after + 1)) is None or newer == file:
                raise
            file, records = newer, self._records(newer)
        start = after + 1 - file.first
        return records.part(start, min(start + count, len(records)))

    def claim(self, log_id: str) -> None:
        current = read_manifest(self._folder)
        if current.log_id not in {"", log_id}:
            raise ArchiveMismatch(
                f"the archive {self._folder.url} belongs to log {current.log_id}, not to log {log_id}: name another "
                "archive, or the right log"
            )
        self._manifest = write_next(self._folder, current, log_id, current.files)
        self._claimed = True
        self._folder.remove(set(self._folder.names()) - self._manifest.names())

    def append(self, records: LogRecords) -> None:
        kept = list(self._mine().files)
        end = self._manifest.end
        if not np.array_equal(records.offset, np.arange(end + 1, end + 1 + len(records))):
            raise ValueError(f"these records do not follow offset {end}")
        while kept and kept[-1].rows < self._rows and kept[-1].rows <= len(records):
            tail = self._records(kept[-1])
            if len(tail.data) + len(records.data) > FILE_BYTES:
                break
            records = LogRecords.join([tail, records])
            kept.pop()
        self._replace((*kept, *(self._write(part) for part in self._parts(records))))
        _give_back()

    def check(self, file: ArchiveFile) -> str:
        try:
            self._fetch(file)
        except ArchiveDamaged as exc:
            return str(exc)
        return ""

    def rewrite(self, file: ArchiveFile, erased: Mapping[bytes, int]) -> int:
        files = self._mine().files
        records, changed = tombstones(self._records(file), erased)
        if changed:
            at = files.index(file)
            self._replace((*files[:at], self._write(records), *files[at + 1 :]))
        return changed

    def _newest(self) -> Manifest:
        """The manifest in force: whoever claimed the archive knows it, for nobody else can change it."""
        if not self._claimed:
            self._manifest = read_manifest(self._folder)
        return self._manifest

    def _mine(self) -> Manifest:
        if not self._claimed or newest_revision(self._folder) != self._manifest.revision:
            raise Fenced(f"the archive {self._folder.url} was claimed by another writer, or by none")
        return self._manifest

    def _replace(self, files: tuple[ArchiveFile, ...]) -> None:
        """Makes the archive consist of these files; then those that it no longer needs are removed."""
        before = self._manifest
        self._manifest = write_next(self._folder, before, before.log_id, files)
        self._folder.remove(before.names() - self._manifest.names())

    def _parts(self, records: LogRecords) -> Iterator[LogRecords]:
        """Full files and a rest."""
        start = 0
        while start < len(records):
            begun = int(records.ends[start - 1]) if start else 0
            fitting = int(np.searchsorted(records.ends, begun + FILE_BYTES, side="right"))
            stop = min(start + self._rows, max(start + 1, fitting))
            yield records.part(start, stop)
            start = stop

    def _write(self, records: LogRecords) -> ArchiveFile:
        content = to_parquet(records)
        if not _same(from_parquet(content), records):
            raise ArchiveDamaged(f"records from offset {records.offset[0]} on would not be read as they are written")
        first, last = int(records.offset[0]), int(records.offset[-1])
        digest = sha256(content).hexdigest()
        name = f"events-{first:015d}-{last:015d}-{digest[:8]}.parquet"
        self._folder.put(name, content)
        self._last = name, records
        return ArchiveFile(name, first, last, len(content), digest)

    def _file_with(self, offset: int) -> ArchiveFile | None:
        files = self._manifest.files
        at = bisect_left(files, offset, key=lambda file: file.last)
        return files[at] if at < len(files) else None

    def _records(self, file: ArchiveFile) -> LogRecords:
        if self._last[0] != file.name:
            self._last = file.name, self._fetch(file)
        return self._last[1]

    def _fetch(self, file: ArchiveFile) -> LogRecords:
        try:
            content = self._folder.get(file.name)
        except FileNotFoundError as exc:
            raise ArchiveDamaged(f"{self._folder.url}/{file.name} is missing") from exc
        if sha256(content).hexdigest() != file.sha256:
            raise ArchiveDamaged(f"{self._folder.url}/{file.name} is not what was written: its digest differs")
        try:
            records = from_parquet(content)
        except pa.ArrowException as exc:
            raise ArchiveDamaged(f"{self._folder.url}/{file.name} cannot be read: {exc}") from exc
        if not np.array_equal(records.offset, np.arange(file.first, file.last + 1)):
            raise ArchiveDamaged(f"{self._folder.url}/{file.name} does not hold the records that its name says")
        return records


def _same(some: LogRecords, others: LogRecords) -> bool:
    columns = zip((some.offset, some.timestamp, some.ends), (others.offset, others.timestamp, others.ends), strict=True)
    return all(np.array_equal(one, other) for one, other in columns) and some.data == others.data


def _give_back() -> None:
    """Memory to the system: to merge a file takes several times its size for a moment, and neither Arrow nor the C
    library would give it back."""
    pa.default_memory_pool().release_unused()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
