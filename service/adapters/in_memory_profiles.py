"""Profiles, their queue and the token budget inside one process: for tests and examples."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from service.core.profiles import Facets, Profile, StoredProfile, pack_edits, pack_profile, unpack_stored
from service.errors import BudgetSpent
from service.profile_ports import Claim, DeadLetter, Due, Reason, Waiting

_DAY = 86_400


@dataclass
class InMemoryProfiles:
    """`ProfileStore` and `ProfileQueue`. All of it by user.

    queued: reason and time since when; later: time at which the user is due again; claimed: token, and the time at
    which the lease ends.
    """

    clock: Callable[[], float] = time.time
    made: dict[str, bytes] = field(default_factory=dict)
    edited: dict[str, bytes] = field(default_factory=dict)
    queued: dict[str, tuple[Reason, float]] = field(default_factory=dict)
    later: dict[str, float] = field(default_factory=dict)
    claimed: dict[str, tuple[str, float]] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    letters: dict[str, DeadLetter] = field(default_factory=dict)
    feeder: tuple[str, float] = ("", 0.0)
    fed: tuple[str, int] = ("", 0)
    tokens: Iterator[int] = field(default_factory=itertools.count)
    counts: Counter[str] = field(default_factory=Counter)

    def packed(self, user_id: str) -> tuple[bytes | None, bytes | None]:
        return self.made.get(user_id), self.edited.get(user_id)

    async def read(self, user_ids: Sequence[str]) -> list[StoredProfile]:
        return [unpack_stored(*self.packed(user_id)) for user_id in user_ids]

    async def replace(self, user_id: str, before: Profile, after: Profile) -> bool:
        if self.made.get(user_id) != pack_profile(before):
            return False
        self.made[user_id] = pack_profile(after)
        return True

    async def edit(self, user_id: str, edits: Facets) -> None:
        self.edited[user_id] = pack_edits(edits)
        self._enqueue(Due(user_id, Reason.ASKED))

    async def forget(self, user_ids: Sequence[str]) -> None:
        self.erase(user_ids)

    def erase(self, user_ids: Sequence[str]) -> None:
        for each in (self.made, self.edited, self.queued, self.later, self.claimed, self.tries, self.letters):
            for user_id in user_ids:
                each.pop(user_id, None)

    async def user_ids(self) -> AsyncIterator[list[str]]:
        if self.made:
            yield list(self.made)

    async def add(self, due: Sequence[Due]) -> None:
        for one in due:
            self._enqueue(one)

    def _enqueue(self, due: Due) -> None:
        user_id, now = due.user_id, self.clock()
        if due.reason is Reason.ASKED:
            for each in (self.claimed, self.later, self.tries, self.letters):
                each.pop(user_id, None)
        elif user_id in self.claimed or user_id in self.later:
            return
        if due.ready_at > now:
            if user_id not in self.queued:
                self.later[user_id] = due.ready_at
        elif user_id not in self.queued or self.queued[user_id][0] > due.reason:
            self.queued[user_id] = (due.reason, now)

    async def claim(self, count: int, lease_seconds: float) -> list[Claim]:
        now = self.clock()
        ended = [user_id for user_id, (_, end) in self.claimed.items() if end <= now]
        awake = [user_id for user_id, ready in self.later.items() if ready <= now]
        for user_id in (*ended, *awake):
            self.claimed.pop(user_id, None)
            self.later.pop(user_id, None)
            self.queued.setdefault(user_id, (Reason.GROWN, now))
        first = sorted(self.queued, key=lambda user_id: self.queued[user_id])[:count]
        return [self._claim(user_id, now + lease_seconds) for user_id in first]

    def _claim(self, user_id: str, end: float) -> Claim:
        reason, _ = self.queued.pop(user_id)
        token = str(next(self.tokens))
        self.claimed[user_id] = (token, end)
        self.tries[user_id] = self.tries.get(user_id, 0) + 1
        return Claim(user_id, token, reason, self.tries[user_id])

    def _ends(self, claim: Claim) -> bool:
        """Ends the claim, if it has not ended already."""
        if self.claimed.get(claim.user_id, ("", 0.0))[0] != claim.token:
            return False
        del self.claimed[claim.user_id]
        return True

    async def finish(self, claim: Claim, profile: Profile) -> bool:
        if not self._ends(claim):
            return False
        self.made[claim.user_id] = pack_profile(profile)
        del self.tries[claim.user_id]
        self.letters.pop(claim.user_id, None)
        return True

    async def drop(self, claim: Claim) -> None:
        if self._ends(claim):
            del self.tries[claim.user_id]

    async def put_off(self, claim: Claim, seconds: float, counted: bool) -> None:
        if self._ends(claim):
            self.later[claim.user_id] = self.clock() + seconds
            self.tries[claim.user_id] -= not counted

    async def bury(self, claim: Claim, letter: DeadLetter) -> None:
        if self._ends(claim):
            del self.tries[claim.user_id]
            self.letters[claim.user_id] = letter

    async def dead(self, user_ids: Sequence[str]) -> list[DeadLetter | None]:
        return [self.letters.get(user_id) for user_id in user_ids]

    async def waiting(self) -> Waiting:
        return Waiting(len(self.queued), len(self.later), len(self.claimed), len(self.letters))

    async def count(self, counts: Mapping[str, int]) -> None:
        self.counts.update(counts)

    async def counted(self) -> dict[str, int]:
        return dict(self.counts)

    async def lead(self, owner: str, ttl_ms: int) -> bool:
        holder, end = self.feeder
        if holder not in {"", owner} and end > self.clock():
            return False
        self.feeder = (owner, self.clock() + ttl_ms / 1000)
        return True

    async def leave(self, owner: str) -> None:
        if self.feeder[0] == owner:
            self.feeder = ("", 0.0)

    async def cursor(self) -> tuple[str, int]:
        return self.fed

    async def move(self, log_id: str, offset: int) -> None:
        self.fed = (log_id, offset)


@dataclass
class InMemoryTokenBudget:
    """`TokenBudget`. limit: tokens a day."""

    limit: int
    clock: Callable[[], float] = time.time
    used: dict[int, int] = field(default_factory=dict)

    async def reserve(self, tokens: int) -> int:
        day = int(self.clock()) // _DAY
        if self.used.get(day, 0) + tokens > self.limit:
            raise BudgetSpent(f"the day's {self.limit:,} tokens do not last for another call of up to {tokens:,}")
        self.used[day] = self.used.get(day, 0) + tokens
        return day

    async def spent(self) -> int:
        return self.used.get(int(self.clock()) // _DAY, 0)

    async def settle(self, day: int, surplus: int) -> None:
        self.used[day] -= surplus


@dataclass
class InMemoryProfileEraser:
    """`ProfileEraser`."""

    profiles: InMemoryProfiles

    def forget(self, user_ids: Sequence[str]) -> None:
        self.profiles.erase(user_ids)
