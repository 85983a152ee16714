"""Log, state and item feed inside one process: for tests, examples and contenders. Nothing outlives the process.

`InMemoryLog` and `InMemoryState` hold the data; the other classes are the ports to them. Several threads may share
them: a worker in one, an event loop in another.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from service.adapters.in_memory_log import Clock, InMemoryEventLog, InMemoryEventSource, InMemoryLog
from service.adapters.in_memory_profiles import InMemoryProfiles
from service.core.feed_packing import pack_feed
from service.core.live_models import LiveModel
from service.core.types import Commit, FeedEntry, Position
from service.errors import Fenced, LeaseHeld
from service.ports import StateStore

__all__ = [
    "InMemoryEventLog",
    "InMemoryEventSource",
    "InMemoryGenerations",
    "InMemoryLog",
    "InMemoryState",
    "InMemoryStateStore",
]

_POLL_SECONDS = 0.002


@dataclass
class InMemoryState:
    """One generation: everything a commit writes. clock: of the lease; feed_length: entries of the item feed that are
    kept; lock, skipped, profiles: shared by all generations; fullness: what `StateStore.fullness` answers.
    """

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
    profiles: InMemoryProfiles = field(default_factory=InMemoryProfiles)
    late: int = 0
    feed: deque[bytes] = field(default_factory=deque)
    feed_end: int = 0
    """Number of the feed's newest entry; `feed` holds the last ones."""
    epoch: int = 0
    lease: tuple[str, float] | None = None
    lock: RLock = field(default_factory=RLock)
    number: int = 1
    deleted: bool = False

    def holder(self) -> str | None:
        """Who holds the lease now."""
        return self.lease[0] if self.lease and self.lease[1] > self.clock() else None

    def publish(self, entry: FeedEntry) -> None:
        self.feed.append(pack_feed(entry))
        self.feed_end += 1
        while len(self.feed) > self.feed_length:
            self.feed.popleft()

    def clear(self) -> None:
        """Deletes all but lease and epoch; readers of the feed notice."""
        for each in (self.users, self.items, self.texts, self.documents, self.ids, self.pending, self.feed):
            each.clear()
        self.late, self.feed_end = 0, self.feed_end + 1  # nobody has this entry: all readers reload
        self.position = Position()


class InMemoryGenerations:
    """`Generations`. first: what the generation that is active at the beginning holds."""

    def __init__(self, first: InMemoryState | None = None) -> None:
        self.active = first or InMemoryState()
        self.upcoming: InMemoryState | None = None
        self.live: dict[int, tuple[InMemoryState, LiveModel]] = {}
        """Of each live model."""
        self.before: int | None = None
        self.retired: list[tuple[InMemoryState, float]] = []
        """With the time at which each ceased to be active."""

    def current(self) -> InMemoryStateStore:
        return InMemoryStateStore(self.active, self)

    def of(self, bundle: str) -> InMemoryStateStore:
        states = [state for state, model in self.live.values() if model.bundle == bundle]
        return InMemoryStateStore(states[0] if states else self.active, self)

    def written(self) -> list[StateStore]:
        states = {self.active.number: self.active} | {number: state for number, (state, _) in self.live.items()}
        return [InMemoryStateStore(state, self) for state in states.values()]

    def next(self) -> InMemoryStateStore:
        if self.upcoming is None:
            self.upcoming = self.blank(1 + max(self.active.number, *self.live, 0))
        return InMemoryStateStore(self.upcoming, self)

    def blank(self, number: int) -> InMemoryState:
        names = ("clock", "feed_length", "skipped", "profiles", "lock")
        return InMemoryState(number=number, **{name: getattr(self.active, name) for name in names})

    def is_written(self, state: InMemoryState) -> bool:
        """Whether it is active or live."""
        return state is self.active or state.number in self.live

    def activate(self, state: InMemoryState) -> None:
        before, self.active, self.upcoming = self.active, state, None
        model = self.live.pop(before.number, None)
        if model is not None and model[1].bundle == state.position.bundle:
            self.live[state.number] = (state, replace(model[1], generation=state.number))
        self.retire(before)

    def retire(self, before: InMemoryState) -> None:
        before.epoch = -1  # no writer's
        before.feed_end += 1  # nobody has this entry: all readers look for the active generation
        self.retired.append((before, before.clock()))

    def delete_retired(self, grace_seconds: float) -> int:
        with self.active.lock:
            due = self.active.clock() - grace_seconds
            gone = [state for state, since in self.retired if since <= due]
            self.retired = [(state, since) for state, since in self.retired if since > due]
            for state in gone:
                state.deleted = True
                state.clear()
        return len(gone)

    def alone(self) -> bool:
        with self.active.lock:
            if self.retired or any(model.stage == "filling" for _, model in self.live.values()):
                return False
            return self.upcoming is None or self.upcoming.position == Position()


class InMemoryStateStore:
    """`StateStore`. generations: those that `state` is one of."""

    def __init__(self, state: InMemoryState, generations: InMemoryGenerations | None = None) -> None:
        self._state = state
        self._generations = generations or InMemoryGenerations(state)
        self._replaces = self._generations.active.number

    @property
    def generation(self) -> int:
        return self._state.number

    @property
    def state(self) -> InMemoryState:
        return self._state

    def acquire(self, owner: str, ttl_ms: int) -> int:
        with self._state.lock:
            self._check_active()
            if self._state.holder() not in {None, owner}:
                raise LeaseHeld(f"{self._state.holder()} leads")
            self._state.epoch += 1
            self._state.lease = (owner, self._state.clock() + ttl_ms / 1000)
            return self._state.epoch

    def renew(self, owner: str, ttl_ms: int) -> None:
        with self._state.lock:
            self._check_active()
            if self._state.holder() not in {None, owner}:
                raise Fenced(f"{self._state.holder()} holds the lease by now")
            self._state.lease = (owner, self._state.clock() + ttl_ms / 1000)

    def _check_active(self) -> None:
        generations = self._generations
        if not generations.is_written(self._state) and self._state is not generations.upcoming:
            raise Fenced(f"generation {generations.active.number} is active, this writer has {self._state.number}")

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
        with (state := self._state).lock:
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
            for user_id in commit.deleted_users:
                state.users.pop(user_id, None)
            if commit.closing:
                state.pending.clear()
            state.pending.append(commit.pending)
            state.position = commit.position
            if commit.feed is not None:
                state.publish(commit.feed)

    def reset(self, epoch: int, position: Position) -> None:
        with (state := self._state).lock:
            self._check(epoch)
            state.clear()
            state.position = position

    def activate(self, epoch: int) -> bool:
        state, generations = self._state, self._generations
        with state.lock:
            self._check(epoch)
            self._check_active()
            if state is generations.active:
                return True
            if generations.active.number != self._replaces:
                raise Fenced(f"generation {generations.active.number} is active by now")
            if state.position.offset < generations.active.position.offset:
                return False
            generations.activate(state)
        return True

    def fullness(self) -> float:
        return self._state.fullness

    def _check(self, epoch: int) -> None:
        if epoch != self._state.epoch:
            raise Fenced(f"the state is written by epoch {self._state.epoch}, this writer has epoch {epoch}")
