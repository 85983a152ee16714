"""The ports: small protocols between the paths and the technologies. One contract suite each, run on every adapter.

The API is asyncio, the worker is not: what both sides need of a store is therefore two ports (a log is appended to
through `EventLog` and read through `EventSource`). All of them raise `StoreUnavailable` when the store does not
answer in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.process.temporal_model import TemporalModel
from service.core.log_records import LogRecords
from service.core.types import Append, Appended, Backlog, Commit, Erasure, Position
from service.keeper_ports import Erasures, EventArchive, LogKeeper, Snapshots
from service.live_ports import Experiments, LiveModels, ModelRegistry
from service.serving_ports import (
    ActiveState,
    Chore,
    FeedLost,
    Generation,
    GenerationEnded,
    Impressions,
    ItemFeed,
    ItemIndex,
    StateReader,
    TextEmbedder,
    UserRead,
)

__all__ = [
    "ActiveState",
    "Chore",
    "Erasures",
    "EventArchive",
    "EventLog",
    "EventSource",
    "Experiments",
    "FeedLost",
    "Generation",
    "GenerationEnded",
    "Generations",
    "Impressions",
    "ItemFeed",
    "ItemIndex",
    "LiveModels",
    "LogKeeper",
    "ModelRegistry",
    "Snapshots",
    "StateReader",
    "StateRecords",
    "StateStore",
    "TemporalModel",
    "TextEmbedder",
    "UserRead",
]


class EventLog(Protocol):
    """The durable log as the API sees it."""

    async def append(self, records: Sequence[Append]) -> list[Appended]:
        """Appends all of `records` in one durable step and answers when they cannot be lost any more.

        A record whose `dedupe` digest was appended before (24 h or 2 M digests, whichever is first), in an earlier
        call or earlier in this one, is left out and answered with the first one's offset. A record without a
        timestamp takes the log server's time, never below one it gave before.

        Raises BackPressure, and takes nothing, while more records wait to be applied than the log was told to allow,
        or a store is nearly full; StoreFull if the log has no room at all.
        """
        ...

    async def backlog(self) -> Backlog: ...

    async def end(self) -> int:
        """Offset of the newest record, 0 for an empty log."""
        ...

    async def erase(self, erasure_id: str, marker: Append) -> Appended:
        """Appends an erase marker and notes the erasure as pending, both at once."""
        ...

    async def erasure(self, erasure_id: str) -> Erasure | None:
        """The erasure of that id; None if there never was one, or it was completed long ago (90 days)."""
        ...

    async def pending_erasures(self) -> list[Erasure]:
        """Those that are not complete, in order of their markers."""
        ...


class EventSource(Protocol):
    """The durable log as the worker sees it."""

    def log_id(self) -> str:
        """Identity of the log, made when it was first used; state of another log must not follow it."""
        ...

    def read(self, after: int, count: int, block_ms: int) -> LogRecords:
        """Up to `count` records with offset > `after`, in order; waits up to `block_ms` for the first.

        Raises LogTrimmed if the record that follows `after` is gone.
        """
        ...

    def end(self) -> int: ...

    def report(self, applied: int, pressure: str) -> None:
        """Tells those who append where the worker stands (`Backlog`). Writes nothing that is so already."""
        ...

    def fullness(self) -> float:
        """Share of the server's memory limit that is taken; 0.0 without a limit."""
        ...

    def erased(self) -> int:
        """Offset of the newest erase marker that the log has got rid of, 0 if there is none. A state from before it may
        hold what it never hears of again."""
        ...

    def refresh(self) -> None:
        """Drops what was read ahead, for the log has been rewritten."""
        ...

    def close(self) -> None:
        """Gives connections back."""
        ...


class StateRecords(Protocol):
    """What a writer reads and writes of a generation."""

    def position(self) -> Position: ...

    def skipped(self) -> dict[int, str]:
        """Reasons by offset of the records of this log that could not be applied. All generations share them."""
        ...

    def pending(self) -> NDArray[np.uint32]:
        """Catalogue indexes of the items whose open tick may not be published yet."""
        ...

    def users(self, user_ids: Sequence[bytes]) -> list[bytes | None]:
        """By id in UTF-8."""
        ...

    def items(self, index: Sequence[int]) -> list[bytes | None]: ...

    def texts(self, index: Sequence[int]) -> list[bytes | None]:
        """Packed text vectors: embedder id, b"\\0", float32 bytes."""
        ...

    def item_ids(self, start: int, count: int) -> list[str]:
        """Ids of the items with catalogue indexes start, start + 1, ..."""
        ...

    def commit(self, commit: Commit) -> None:
        """Writes everything in `commit` at once.

        Raises Fenced, and writes nothing, if a newer epoch exists or the state's offset is not `commit.previous`.
        """
        ...


class StateStore(StateRecords, Protocol):
    """One generation of the state as its one writer sees it."""

    @property
    def generation(self) -> int:
        """Its number."""
        ...

    def acquire(self, owner: str, ttl_ms: int) -> int:
        """Takes the lease and returns a new epoch, higher than any before.

        Raises LeaseHeld, naming the holder; Fenced, if this generation is neither active nor to be the next one.
        """
        ...

    def renew(self, owner: str, ttl_ms: int) -> None:
        """Raises Fenced if the lease is somebody else's by now, or another generation is active."""
        ...

    def release(self, owner: str) -> None:
        """Gives the lease back, if it is still `owner`'s."""
        ...

    def reset(self, epoch: int, position: Position) -> None:
        """Deletes all users, items and feed entries and starts again at `position`. Raises Fenced."""
        ...

    def fullness(self) -> float:
        """Share of the server's memory limit that is taken; 0.0 without a limit."""
        ...

    def activate(self, epoch: int) -> bool:
        """Makes this generation, which follows the active one, the active one, at once: the writer of the one before is
        fenced, and its feed's readers are told. False, and nothing is done, while this one's offset is behind.

        Raises Fenced.
        """
        ...


class Generations(Protocol):
    """The generations of the state as writers see them. One is active: it is served and written. The next one can be
    made beside it, from the log, and take its place. Those of other live models are written beside it, too."""

    def current(self) -> StateStore:
        """The active one."""
        ...

    def of(self, bundle: str) -> StateStore:
        """The one that the live model with this bundle's hash writes; the active one if no live model has it."""
        ...

    def written(self) -> list[StateStore]:
        """The active one and those of the other live models."""
        ...

    def next(self) -> StateStore:
        """The one that may take the active one's place: blank, or what a former attempt left."""
        ...

    def delete_retired(self, grace_seconds: float) -> int:
        """Deletes those that ceased to be active so long ago; how many. Requests may still read the younger ones."""
        ...

    def alone(self) -> bool:
        """True if nothing holds anything but the active one and those of live models that have caught up."""
        ...
