"""Erasures inside one process: for tests and examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from service.adapters.in_memory import InMemoryLog
from service.core.log_records import LogRecords
from service.core.types import Erasure
from service.errors import Fenced

CHUNK = 2_000
"""Records changed at once."""


class InMemoryErasures:
    """`Erasures`."""

    def __init__(self, log: InMemoryLog) -> None:
        self._log = log

    def pending(self) -> list[Erasure]:
        return self._log.pending()

    def oldest_digest(self) -> int:
        return min(self._log.remembered(), default=self._log.end + 1)

    def forget(self, epoch: int, digests: Sequence[tuple[int, bytes]]) -> None:
        with self._log.grown:
            self._check(epoch)
            for offset, digest in digests:
                self._log.forget(digest, offset)

    def rewrite(self, epoch: int, change: Callable[[LogRecords], LogRecords], erased: int) -> None:
        log, length = self._log, len(self._log.offsets)
        changed: list[bytes] = []
        for at in range(0, length, CHUNK):
            span = slice(at, min(at + CHUNK, length))
            changed += change(LogRecords.of(log.offsets[span], log.timestamps[span], log.payloads[span])).payloads()
        with log.grown:
            self._check(epoch)
            log.payloads[: len(changed)] = changed
            log.erased = max(log.erased, erased)

    def complete(self, epoch: int, erasure_ids: Sequence[str]) -> None:
        with self._log.grown:
            self._check(epoch)
            now = int(self._log.clock())
            for erasure_id in erasure_ids:
                self._log.erasures[erasure_id] = replace(self._log.erasures[erasure_id], completed_at=now)

    def _check(self, epoch: int) -> None:
        if epoch != self._log.epoch:
            raise Fenced(f"epoch {self._log.epoch} writes by now, this keeper has epoch {epoch}")
