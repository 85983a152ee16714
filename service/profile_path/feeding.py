"""Feeds the queue: follows the log behind the state, and looks at whoever did something.

Of several workers one feeds, by lease. Two that believe they do are no harm: users are put into the queue once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from model.process.records import NEVER
from service.core.blobs import is_off, unpack_users
from service.core.log_records import EVENT, SWITCH, Columns, LogRecords, UnreadableRecord, readable
from service.core.profiles import StoredProfile, unpack_stored
from service.errors import LogTrimmed
from service.ports import EventSource
from service.profile_path.due import due
from service.profile_path.refreshing import Refreshing
from service.profile_ports import MET, MET_AGE, MET_DESCRIBED, DeadLetter, Due, Reason
from service.serving_ports import StateReader, UserRead

log = structlog.get_logger("peregrine.profiler")

LEASE_MS = 10_000
CHUNK = 2_000
"""Records of one turn."""
_AT_ONCE = 64
"""Users read at once."""


@dataclass
class Feeder:
    """source, first: the log, and where it begins; both block, so they run in a thread. owner: names this process."""

    source: EventSource
    first: Callable[[], int]
    refreshing: Refreshing
    owner: str
    clock: Callable[[], float] = time.time
    _began: bool = field(default=False, init=False)

    async def turn(self) -> bool:
        """Takes some records; False if there was nothing to do. Raises StoreUnavailable."""
        queue = self.refreshing.queue
        if not await queue.lead(self.owner, LEASE_MS):
            return False
        if not self._began:
            self._began = True
            log.info("outdated_profiles", users=await self.look_for_outdated())
        generation = await self.refreshing.state.current()
        position = await generation.reader.position()
        log_id, fed = await queue.cursor()
        if not position.log_id:
            return False
        if log_id != position.log_id:
            log_id, fed = position.log_id, 0
        if fed >= position.offset:
            return False
        records = await self._records(fed, position.offset)
        if len(records):
            await self.look_at(_users(records), generation.reader)
            fed = int(records.offset[-1])
        await queue.move(log_id, fed)
        return True

    async def leave(self) -> None:
        """Lets another one feed at once."""
        await self.refreshing.queue.leave(self.owner)

    async def _records(self, fed: int, applied: int) -> LogRecords:
        """Those that follow `fed` and that the state has; what was trimmed is passed over."""
        try:
            return await asyncio.to_thread(self.source.read, fed, min(CHUNK, applied - fed), 0)
        except LogTrimmed:
            first = await asyncio.to_thread(self.first)
            log.info("log_trimmed", passed_over=first - 1 - fed)
            return await asyncio.to_thread(self.source.read, first - 1, min(CHUNK, max(1, applied - first + 1)), 0)

    async def look_at(self, user_ids: Sequence[str], reader: StateReader) -> None:
        """Puts those into the queue whose profile is due, and forgets the profiles of those who are switched off."""
        refreshing, now = self.refreshing, self.clock()
        letters = await refreshing.queue.dead(user_ids)
        found: list[Due] = []
        off: list[str] = []
        for at in range(0, len(user_ids), _AT_ONCE):
            some = user_ids[at : at + _AT_ONCE]
            reads = await reader.users(some)
            for user_id, letter, read in zip(some, letters[at : at + _AT_ONCE], reads, strict=True):
                wanted = self._wanted(user_id, letter, read, now)
                if wanted is None:
                    off.append(user_id)
                else:
                    found += wanted
        if off:
            await refreshing.store.forget(off)
        await refreshing.queue.add(found)

    def _wanted(self, user_id: str, letter: DeadLetter | None, read: UserRead, now: float) -> list[Due] | None:
        """None for a user who is switched off."""
        if read.blob is None:
            return []
        try:
            users = unpack_users([read.blob], self.refreshing.spec)
        except UnreadableRecord as exc:
            log.debug("user_not_read", reason=str(exc))
            return []
        if is_off(users):
            return None
        if users.rows["last"][0] == NEVER:
            return []
        stored = unpack_stored(read.profile, read.edits)
        self._meet(stored, now)
        wanted = due(user_id, users.rows[0], stored, letter, now, self.refreshing.standing)
        return [] if wanted is None else [wanted]

    def _meet(self, stored: StoredProfile, now: float) -> None:
        counts = self.refreshing.counts
        counts[MET] += 1
        if stored.profile is not None:
            counts[MET_DESCRIBED] += 1
            counts[MET_AGE] += max(0, int(now) - stored.profile.origin.made_at)

    async def look_for_outdated(self) -> int:
        """Puts into the queue, last, whoever has a profile that is made otherwise now; how many."""
        refreshing, count = self.refreshing, 0
        maker = refreshing.standing.maker
        async for some in refreshing.store.user_ids():
            profiles = await refreshing.store.read(some)
            outdated = [
                Due(user_id, Reason.OUTDATED)
                for user_id, stored in zip(some, profiles, strict=True)
                if stored.profile is not None and stored.profile.origin.maker != maker
            ]
            await refreshing.queue.add(outdated)
            count += len(outdated)
        return count


def _users(records: LogRecords) -> list[str]:
    """Those who did something, or were switched, each once."""
    columns = Columns(records.take(readable(records)))
    known = (kind in {EVENT, SWITCH} for kind in columns.kind.tolist())
    return list(dict.fromkeys(user.decode() for user, is_about in zip(columns.user, known, strict=True) if is_about))
