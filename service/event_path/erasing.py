"""What finishes erasures: everything that a user did before the marker goes from the log, the archive, the files.

    the state is past the marker -> profiles go -> the state's files are written anew -> archive and log get tombstones
    -> the log's files are written anew -> complete

The order is what makes it safe to be killed anywhere. The state's files come first, so that the state cannot fall back
to before a marker that it would never meet again. The marker names the user until log and archive have got rid of
them, and goes with them: whoever begins again finds it, or finds that there is nothing left to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from service.core.log_records import ERASE, Columns, LogRecords
from service.core.tombstones import event_ids, tombstones
from service.core.types import Erasure
from service.errors import LogTrimmed, SnapshotFailed, StoreUnavailable
from service.event_path.accept import digest_of
from service.ports import Erasures, EventArchive, EventSource, Generations, Snapshots
from service.profile_ports import ProfileEraser

log = structlog.get_logger("peregrine.erasing")

CHUNK = 5_000
"""Records of one read of the archive."""
REST = 10
"""Times as long as an erasure took, the next one waits: each goes through everything, so they are done together."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 300.0
"""Seconds before the next attempt when something is in the way; it doubles."""


@dataclass
class _Work:
    """erasures: those that are under way; swept: log and archive have got rid of them."""

    erasures: Sequence[Erasure]
    began: float
    swept: bool = False


class Erasing:
    """source: with the archive behind it, if there is one; state_files, log_files: of the two servers."""

    def __init__(
        self,
        source: EventSource,
        generations: Generations,
        erasures: Erasures,
        archive: EventArchive | None,
        state_files: Snapshots,
        log_files: Snapshots,
        profiles: ProfileEraser,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._generations = generations
        self._erasures = erasures
        self._archive = archive
        self._state_files = state_files
        self._log_files = log_files
        self._profiles = profiles
        self._clock = clock
        self._epoch = 0
        self._work: _Work | None = None
        self._earliest = clock()
        self._pause = FIRST_PAUSE

    def resume(self, epoch: int) -> None:
        """Begins again with what is pending. epoch: of the keeper; the archive is claimed."""
        self._epoch, self._work = epoch, None

    def turn(self) -> None:
        """Goes on as far as it can without waiting."""
        try:
            if self._work is None:
                self._work = self._begin()
            if self._work is not None and not self._work.swept and self._state_files.ended():
                self._sweep(self._work)
            if self._work is not None and self._work.swept and self._log_files.ended():
                self._complete(self._work)
        except (SnapshotFailed, StoreUnavailable) as exc:
            self._work = None
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
            self._earliest = self._clock() + self._pause
            log.warning("erasure_waits", reason=str(exc), seconds=self._pause)

    def _begin(self) -> _Work | None:
        """Takes up the pending erasures whose markers the state has passed."""
        if self._clock() < self._earliest or not (pending := self._erasures.pending()):
            return None
        if not self._generations.alone():
            return None  # another one may hold what is to go, and will be deleted, or take this one's place
        positions = [store.position() for store in self._generations.written()]
        log_id = self._source.log_id()
        applied = min(position.offset if position.log_id == log_id else 0 for position in positions)
        ready = [erasure for erasure in pending if erasure.offset <= applied]
        if not ready:
            return None
        self._profiles.forget([user_id.decode() for user_id in self._users(ready)])
        self._state_files.begin()
        return _Work(ready, self._clock())

    def _sweep(self, work: _Work) -> None:
        if erased := self._users(work.erasures):
            newest = max(erased.values())
            if self._archive is not None:
                self._sweep_archive(self._archive, erased, newest)
            self._erasures.rewrite(self._epoch, lambda records: self._erase(records, erased), newest)
            self._source.refresh()
        self._log_files.begin()
        work.swept = True

    def _sweep_archive(self, archive: EventArchive, erased: dict[bytes, int], newest: int) -> None:
        after = self._erasures.oldest_digest() - 1
        while after < newest and len(records := archive.read(after, CHUNK)):
            self._forget(records, erased)
            after = int(records.offset[-1])
        for file in archive.files():
            if file.first <= newest:
                archive.rewrite(file, erased)

    def _users(self, erasures: Sequence[Erasure]) -> dict[bytes, int]:
        """Offset of the newest marker by user id; users whose markers have gone are swept already."""
        erased = {}
        for erasure in erasures:
            try:
                columns = Columns(self._source.read(erasure.offset - 1, 1, block_ms=0))
            except LogTrimmed:
                continue  # gone by other means, and what came before with it
            if len(columns) and columns.kind[0] == ERASE:
                erased[columns.user[0]] = erasure.offset
        return erased

    def _erase(self, records: LogRecords, erased: dict[bytes, int]) -> LogRecords:
        self._forget(records, erased)
        return tombstones(records, erased)[0]

    def _forget(self, records: LogRecords, erased: dict[bytes, int]) -> None:
        self._erasures.forget(self._epoch, [(at, digest_of(i)) for at, i in event_ids(records, erased)])

    def _complete(self, work: _Work) -> None:
        if not self._generations.alone():
            self._work = None  # a rebuild began meanwhile and has written to the files: once more, when it is over
            return
        self._erasures.complete(self._epoch, [erasure.id for erasure in work.erasures])
        now = self._clock()
        for erasure in work.erasures:
            log.info("erasure_complete", erasure=erasure.id, offset=erasure.offset, seconds=round(now - work.began, 1))
        self._work, self._pause = None, FIRST_PAUSE
        self._earliest = now + REST * (now - work.began)
