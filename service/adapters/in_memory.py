"""Log, state and item feed inside one process: for tests, examples and contenders. Nothing outlives the process.

`InMemoryLog` and `InMemoryState` hold the data; the other classes are the ports to them. Several threads may share
them: a worker in one, an event loop in another.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Condition, RLock
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from model.process.records import layout
from model.spec import ModelSpec
from service.core.feed_packing import pack_feed, unpack_feed
from service.core.log_records import LogRecords
from service.core.types import Append, Appended, Backlog, Commit, FeedEntry, Position, Totals
from service.errors import Fenced, LeaseHeld
from service.ports import FeedLost, UserRead

Clock = Callable[[], float]
"""Unix seconds."""

_POLL_SECONDS = 0.002


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
        self.offsets: list[int] = []
        self.timestamps: list[int] = []
        self.payloads: list[bytes] = []
        self.grown = Condition()
        self.applied = 0
        self.pressure = ""
        self.fullness = 0.0
        self._clock = clock
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
        return self.offsets[-1] if self.offsets else 0

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
            self._seen[record.dedupe] = (offset, self._clock())
        return Appended(offset, duplicate=False)

    def _timestamp(self, record: Append) -> int:
        if record.timestamp is not None:
            return record.timestamp
        self._last_given = max(self._last_given, int(self._clock()))
        return self._last_given

    def _forget(self) -> None:
        since = self._clock() - self._window
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
            span = slice(after, after + count)
            return LogRecords.of(log.offsets[span], log.timestamps[span], log.payloads[span])

    def end(self) -> int:
        return self._log.end

    def report(self, applied: int, pressure: str) -> None:
        with self._log.grown:
            self._log.applied, self._log.pressure = applied, pressure

    def fullness(self) -> float:
        return self._log.fullness


@dataclass
class InMemoryState:
    """Everything a commit writes. clock: of the lease; feed_length: entries of the item feed that are kept; fullness:
    what `StateStore.fullness` answers."""

    clock: Clock = time.time
    feed_length: int = 2_000
    fullness: float = 0.0
    position: Position = field(default_factory=Position)
    users: dict[bytes, bytes] = field(default_factory=dict)
    items: dict[int, bytes] = field(default_factory=dict)
    texts: dict[int, bytes] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    pending: list[NDArray[np.uint32]] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)
    late: int = 0
    feed: deque[bytes] = field(default_factory=deque)
    feed_end: int = 0
    """Number of the feed's newest entry; `feed` holds the last ones."""
    epoch: int = 0
    lease: tuple[str, float] | None = None
    lock: RLock = field(default_factory=RLock)

    def holder(self) -> str | None:
        """Who holds the lease now."""
        return self.lease[0] if self.lease and self.lease[1] > self.clock() else None

    def publish(self, entry: FeedEntry) -> None:
        self.feed.append(pack_feed(entry))
        self.feed_end += 1
        while len(self.feed) > self.feed_length:
            self.feed.popleft()


class InMemoryStateStore:
    """`StateStore`."""

    def __init__(self, state: InMemoryState) -> None:
        self._state = state

    def acquire(self, owner: str, ttl_ms: int) -> int:
        with self._state.lock:
            if self._state.holder() not in {None, owner}:
                raise LeaseHeld(f"{self._state.holder()} leads")
            self._state.epoch += 1
            self._state.lease = (owner, self._state.clock() + ttl_ms / 1000)
            return self._state.epoch

    def renew(self, owner: str, ttl_ms: int) -> None:
        with self._state.lock:
            if self._state.holder() not in {None, owner}:
                raise Fenced(f"{self._state.holder()} holds the lease by now")
            self._state.lease = (owner, self._state.clock() + ttl_ms / 1000)

    def release(self, owner: str) -> None:
        with self._state.lock:
            if self._state.holder() == owner:
                self._state.lease = None

    def position(self) -> Position:
        return self._state.position

    def skipped(self) -> dict[int, str]:
        return dict(self._state.skipped)

    def pending(self) -> NDArray[np.uint32]:
        return np.concatenate([np.empty(0, np.uint32), *self._state.pending])

    def users(self, user_ids: Sequence[bytes]) -> list[bytes | None]:
        return [self._state.users.get(user_id) for user_id in user_ids]

    def items(self, index: Sequence[int]) -> list[bytes | None]:
        return [self._state.items.get(at) for at in index]

    def texts(self, index: Sequence[int]) -> list[bytes | None]:
        return [self._state.texts.get(at) for at in index]

    def item_ids(self, start: int, count: int) -> list[str]:
        return self._state.ids[start : start + count]

    def commit(self, commit: Commit) -> None:
        state = self._state
        with state.lock:
            self._check(commit.epoch)
            if state.position.offset != commit.previous:
                raise Fenced(f"the state stands at offset {state.position.offset}, this writer left it otherwise")
            state.users.update(commit.users)
            state.items.update(commit.items)
            state.texts.update(commit.texts)
            state.documents.update(commit.documents)
            state.ids.extend(commit.new_items)
            state.skipped.update(commit.skipped)
            state.late += commit.late
            if commit.closing:
                state.pending.clear()
            state.pending.append(commit.pending)
            state.position = commit.position
            if commit.feed is not None:
                state.publish(commit.feed)

    def reset(self, epoch: int, position: Position) -> None:
        state = self._state
        with state.lock:
            self._check(epoch)
            for records in (
                state.users,
                state.items,
                state.texts,
                state.documents,
                state.ids,
                state.pending,
                state.feed,
            ):
                records.clear()
            state.late = 0
            state.feed_end += 1  # nobody has this entry: all readers reload
            state.position = position

    def fullness(self) -> float:
        return self._state.fullness

    def _check(self, epoch: int) -> None:
        if epoch != self._state.epoch:
            raise Fenced(f"the state is written by epoch {self._state.epoch}, this writer has epoch {epoch}")


class InMemoryStateReader:
    """`StateReader`."""

    def __init__(self, state: InMemoryState) -> None:
        self._store = InMemoryStateStore(state)
        self._state = state

    async def user(self, user_id: str) -> UserRead:
        with self._state.lock:
            return UserRead(self._state.users.get(user_id.encode()), self._state.position.offset)

    async def position(self) -> Position:
        return self._state.position

    async def totals(self) -> Totals:
        state = self._state
        with state.lock:
            return Totals(state.position.offset, len(state.ids), state.epoch, state.late, len(state.skipped))

    async def items(self, index: Sequence[int]) -> list[bytes | None]:
        return self._store.items(index)

    async def item_ids(self, start: int, count: int) -> list[str]:
        return self._store.item_ids(start, count)

    async def documents(self, item_ids: Sequence[str]) -> list[bytes | None]:
        return [self._state.documents.get(item_id) for item_id in item_ids]


class InMemoryItemFeed:
    """`ItemFeed`. A cursor is the number of an entry."""

    def __init__(self, state: InMemoryState, spec: ModelSpec) -> None:
        self._state = state
        self._counters, self._dim = layout(spec).counters, spec.dim

    async def cursor(self) -> str:
        return str(self._state.feed_end)

    async def read(self, cursor: str, block_ms: int) -> tuple[str, list[FeedEntry]]:
        deadline = time.monotonic() + block_ms / 1000
        while self._state.feed_end == int(cursor) and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        with self._state.lock:
            behind = self._state.feed_end - int(cursor)
            if not 0 <= behind <= len(self._state.feed):
                raise FeedLost(f"the item feed ends at {self._state.feed_end} and no longer has what follows {cursor}")
            newest = list(self._state.feed)[len(self._state.feed) - behind :]
            return str(self._state.feed_end), [unpack_feed(entry, self._counters, self._dim) for entry in newest]
