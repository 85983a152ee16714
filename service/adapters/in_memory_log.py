"""The log inside one process (`in_memory` has the state): its records, and the two ports to them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Condition
from uuid import uuid4

from service.core.log_records import LogRecords
from service.core.types import Append, Appended, Backlog, Erasure
from service.errors import LogTrimmed

Clock = Callable[[], float]
"""Unix seconds."""


class InMemoryLog:
    """Records and the digests that were seen within `window` seconds, at most `digests` of them.

    max_lag: records that may wait to be applied; fullness: what `EventSource.fullness` answers.
    """

    def __init__(
        self,
        clock: Clock = time.time,
        window: int = 86_400,
        digests: int = 2_000_000,
        max_lag: int = 1_000_000,
    ) -> None:
        self.id = uuid4().hex
        self.begin = 1
        self.lease: tuple[str, float] | None = None
        self.epoch = 0
        self.offsets: list[int] = []
        self.timestamps: list[int] = []
        self.payloads: list[bytes] = []
        self.grown = Condition()
        self.applied = 0
        self.pressure = ""
        self.fullness = 0.0
        self.erasures: dict[str, Erasure] = {}
        self.erased = 0
        self.clock = clock
        self._window = window
        self._max_lag = max_lag
        self._digests = digests
        self._seen: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        self._last_given = 0

    def append(self, records: Sequence[Append]) -> list[Appended]:
        with self.grown:
            if records and (refusal := self.backlog.refusal(self._max_lag)):
                raise refusal
            answers = [self._append(record) for record in records]
            self.grown.notify_all()
        return answers

    @property
    def end(self) -> int:
        return self.begin + len(self.offsets) - 1

    def trim(self, upto: int) -> None:
        for column in (self.offsets, self.timestamps, self.payloads):
            del column[: max(0, upto + 1 - self.begin)]
        self.begin = max(self.begin, upto + 1)

    def pending(self) -> list[Erasure]:
        return [erasure for erasure in self.erasures.values() if erasure.completed_at is None]

    def remembered(self) -> list[int]:
        """Offsets of the records that brought the digests."""
        return [offset for offset, _ in self._seen.values()]

    def forget(self, digest: bytes, offset: int) -> None:
        if self._seen.get(digest, (0, 0.0))[0] == offset:
            del self._seen[digest]

    def holder(self) -> str | None:
        """Who keeps the log now."""
        return self.lease[0] if self.lease and self.lease[1] > self.clock() else None

    @property
    def backlog(self) -> Backlog:
        return Backlog(self.end, self.applied, self.pressure)

    def _append(self, record: Append) -> Appended:
        self._forget()
        if record.dedupe in self._seen:
            return Appended(self._seen[record.dedupe][0], duplicate=True)
        offset = self.end + 1
        self.offsets.append(offset)
        self.timestamps.append(self._timestamp(record))
        self.payloads.append(record.payload)
        if record.dedupe:
            self._seen[record.dedupe] = (offset, self.clock())
        return Appended(offset, duplicate=False)

    def _timestamp(self, record: Append) -> int:
        if record.timestamp is not None:
            return record.timestamp
        self._last_given = max(self._last_given, int(self.clock()))
        return self._last_given

    def _forget(self) -> None:
        since = self.clock() - self._window
        while self._seen:
            digest, (_, seen_at) = next(iter(self._seen.items()))
            if seen_at > since and len(self._seen) <= self._digests:
                return
            del self._seen[digest]


class InMemoryEventLog:
    """`EventLog`."""

    def __init__(self, log: InMemoryLog) -> None:
        self._log = log

    async def append(self, records: Sequence[Append]) -> list[Appended]:
        return self._log.append(records)

    async def end(self) -> int:
        return self._log.end

    async def backlog(self) -> Backlog:
        return self._log.backlog

    async def erase(self, erasure_id: str, marker: Append) -> Appended:
        (appended,) = self._log.append([marker])
        self._log.erasures[erasure_id] = Erasure(erasure_id, appended.offset, int(self._log.clock()))
        return appended

    async def erasure(self, erasure_id: str) -> Erasure | None:
        return self._log.erasures.get(erasure_id)

    async def pending_erasures(self) -> list[Erasure]:
        return self._log.pending()


class InMemoryEventSource:
    """`EventSource`."""

    def __init__(self, log: InMemoryLog) -> None:
        self._log = log

    def log_id(self) -> str:
        return self._log.id

    def read(self, after: int, count: int, block_ms: int) -> LogRecords:
        log = self._log
        with log.grown:
            log.grown.wait_for(lambda: log.end > after, timeout=block_ms / 1000)
            if after + 1 < log.begin:
                raise LogTrimmed(f"the log begins at offset {log.begin}, the record {after + 1} is gone")
            span = slice(after + 1 - log.begin, after + 1 - log.begin + count)
            return LogRecords.of(log.offsets[span], log.timestamps[span], log.payloads[span])

    def end(self) -> int:
        return self._log.end

    def report(self, applied: int, pressure: str) -> None:
        with self._log.grown:
            self._log.applied, self._log.pressure = applied, pressure

    def fullness(self) -> float:
        return self._log.fullness

    def close(self) -> None:
        """There is nothing to give back."""

    def erased(self) -> int:
        return self._log.erased

    def refresh(self) -> None:
        """Nothing is read ahead."""
