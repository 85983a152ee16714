"""The ports of the profile path: profiles, the queue of users whose profile is due, what describes users."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from service.core.profiles import Facets, Profile, StoredProfile


class Reason(IntEnum):
    """Why a profile is due; the lower, the sooner. Also a user's rank in the queue."""

    ASKED = 0
    """Somebody asked for it, or changed a facet."""
    MISSING = 1
    """Enough events and no profile."""
    MOVED = 2
    """The user's memory has moved away from where it was."""
    GROWN = 3
    """Enough new events, and old enough. Also whoever was put off."""
    OUTDATED = 4
    """Made by another prompt, model or embedder."""


@dataclass(frozen=True, slots=True)
class Due:
    """ready_at: unix seconds from when on the user may be claimed."""

    user_id: str
    reason: Reason
    ready_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Claim:
    """One user, for one worker, for the time of a lease. tries: how often the user was claimed without success, this
    time included."""

    user_id: str
    token: str
    reason: Reason
    tries: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A user who could not be described. Holds nothing of prompt, titles or answer. at: unix seconds."""

    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Users in the queue by what they wait for: a worker, their time, the end of a call, somebody who looks."""

    due: int
    later: int
    claimed: int
    dead: int


OUTCOMES = {
    "described": "the profiler was asked, and its answer is stored",
    "kept": "it was not asked: not due any more, nothing new, or nothing to tell",
    "rejected": "its answer cannot be used; the user is tried again",
    "unavailable": "the endpoint did not answer",
    "refused": "the endpoint wants another key or money",
    "budget": "the day's tokens are spent",
    "given_up": "after several tries",
}
"""What becomes of a user who is claimed."""
MET, MET_DESCRIBED, MET_AGE = "met", "met_described", "met_age"
"""Users who did something, as the feeder meets them; those with a profile; the seconds that these are old, summed."""


class ProfileStore(Protocol):
    """Profiles by user. They belong to no generation of the state: a rebuild leaves them alone."""

    async def read(self, user_ids: Sequence[str]) -> list[StoredProfile]: ...

    async def replace(self, user_id: str, before: Profile, after: Profile) -> bool:
        """Stores `after` in place of `before`; False, and nothing is stored, if the profile is another one by now."""
        ...

    async def edit(self, user_id: str, edits: Facets) -> None:
        """Replaces what was changed before, and puts the user first in the queue; a claim on them ends."""
        ...

    async def forget(self, user_ids: Sequence[str]) -> None:
        """Deletes profile, edits and dead letter, takes the users out of the queue, ends claims on them."""
        ...

    def user_ids(self) -> AsyncIterator[list[str]]:
        """All users with a profile, some at a time; one may come twice."""
        ...


class ProfileQueue(Protocol):
    """Users whose profile is due, shared by several workers. Whoever claims a user has them alone until the lease ends;
    then the user is due again."""

    async def add(self, due: Sequence[Due]) -> None:
        """Users who are claimed now, or put off, stay as they are, unless somebody asked. A user in the queue keeps
        the lower reason."""
        ...

    async def claim(self, count: int, lease_seconds: float) -> list[Claim]:
        """Up to `count` users: lowest reason first, then who waits longest."""
        ...

    async def finish(self, claim: Claim, profile: Profile) -> bool:
        """Stores the profile. False, and nothing is stored, if the claim has ended."""
        ...

    async def drop(self, claim: Claim) -> None:
        """The user's profile is not due."""
        ...

    async def put_off(self, claim: Claim, seconds: float, counted: bool) -> None:
        """The user is due again in a while. counted: whether this was one of the user's tries."""
        ...

    async def bury(self, claim: Claim, letter: DeadLetter) -> None:
        """Takes the user out of the queue and notes why."""
        ...

    async def dead(self, user_ids: Sequence[str]) -> list[DeadLetter | None]: ...

    async def waiting(self) -> Waiting: ...

    async def count(self, counts: Mapping[str, int]) -> None:
        """Adds to what all workers of the deployment have counted, by name."""
        ...

    async def counted(self) -> dict[str, int]: ...

    async def lead(self, owner: str, ttl_ms: int) -> bool:
        """Takes or keeps the lease of the one who feeds the queue; False if another has it."""
        ...

    async def leave(self, owner: str) -> None:
        """Gives the lease back, if it is still `owner`'s."""
        ...

    async def cursor(self) -> tuple[str, int]:
        """Log and offset up to which the queue was fed; ("", 0) at first."""
        ...

    async def move(self, log_id: str, offset: int) -> None: ...


class ProfileBook(ProfileStore, ProfileQueue, Protocol):
    """Both, which share what is stored."""


class TokenBudget(Protocol):
    """Tokens that may be spent in one day (UTC)."""

    async def reserve(self, tokens: int) -> int:
        """Sets tokens aside and returns the day. Raises BudgetSpent, and sets nothing aside, when too few are left."""
        ...

    async def spent(self) -> int:
        """Tokens of today that are spent or set aside."""
        ...

    async def settle(self, day: int, surplus: int) -> None:
        """Gives back what was set aside and not used (less than 0: more was used)."""
        ...


class ProfileEraser(Protocol):
    """What the keeper needs of the profiles."""

    def forget(self, user_ids: Sequence[str]) -> None:
        """As `ProfileStore.forget`."""
        ...


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One item of a user's history, its texts cleaned (`profile_path.untrusted`); "" where nothing is known.

    type: of the user's newest event with it, "" if that is not kept; count: of events; age: whole days before the
    user's last event.
    """

    item_id: str
    title: str
    category: str
    brand: str
    type: str
    count: int
    age: int


@dataclass(frozen=True, slots=True)
class History:
    """What a profiler is given of a user, newest item first. Who the user is, is not part of it."""

    items: tuple[HistoryItem, ...]

    def texts(self) -> list[str]:
        """Distinct titles, categories and brands."""
        found = [text for item in self.items for text in (item.title, item.category, item.brand) if text]
        return list(dict.fromkeys(found))


class Profiler(Protocol):
    """Describes users. Raises what stands under ProfilerError."""

    @property
    def source(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def prompt(self) -> str:
        """Version of the prompt, or of the rules."""
        ...

    async def describe(self, history: History) -> Mapping[str, Sequence[str]]:
        """Phrases by facet, as they came; a facet that cannot be told is empty or left out."""
        ...
