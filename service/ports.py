"""The ports: small protocols between the paths and the technologies. One contract suite each, run on every adapter.

The API is asyncio, the worker is not: what both sides need of a store is therefore two ports (a log is appended to
through `EventLog` and read through `EventSource`). All of them raise `StoreUnavailable` when the store does not
answer in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.process.records import Float, Int, Records
from model.process.temporal_model import TemporalModel
from service.core.log_records import LogRecords
from service.core.types import Append, Appended, Backlog, Commit, Erasure, FeedEntry, Position, Totals
from service.keeper_ports import Erasures, EventArchive, LogKeeper, Snapshots

__all__ = [
    "ActiveState",
    "Erasures",
    "EventArchive",
    "EventLog",
    "EventSource",
    "Generation",
    "Generations",
    "ItemFeed",
    "ItemIndex",
    "LogKeeper",
    "Snapshots",
    "StateReader",
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


class StateStore(Protocol):
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
    made beside it, from the log, and take its place."""

    def current(self) -> StateStore:
        """The active one."""
        ...

    def next(self) -> StateStore:
        """The one that follows it: blank, or what a former attempt left."""
        ...

    def delete_retired(self, grace_seconds: float) -> int:
        """Deletes those that ceased to be active so long ago; how many. Requests may still read the younger ones."""
        ...

    def alone(self) -> bool:
        """True if nothing but the active one holds anything. What a broken-off attempt at the next one left goes."""
        ...


@dataclass(frozen=True, slots=True)
class UserRead:
    """blob: the user's packed record and pairs, None for an unknown user; committed: the state's offset, read with
    it in one step."""

    blob: bytes | None
    committed: int


class StateReader(Protocol):
    """One generation of the state as the request path sees it. Never writes."""

    async def user(self, user_id: str) -> UserRead:
        """Raises StoreUnavailable, too, once this generation was deleted."""
        ...

    async def position(self) -> Position: ...

    async def totals(self) -> Totals: ...

    async def items(self, index: Sequence[int]) -> list[bytes | None]: ...

    async def item_ids(self, start: int, count: int) -> list[str]: ...

    async def documents(self, item_ids: Sequence[str]) -> list[bytes | None]:
        """Catalogue JSON by item id, None for items the catalogue was never told of."""
        ...


class ItemFeed(Protocol):
    """The bounded stream of one generation's item changes as a replica follows it."""

    async def cursor(self) -> str:
        """The place of the newest entry; reading after it gives what is committed from now on."""
        ...

    async def read(self, cursor: str, block_ms: int) -> tuple[str, list[FeedEntry]]:
        """Entries after `cursor`, and the new cursor. Raises FeedLost if `cursor` was trimmed away, GenerationEnded if
        another generation is active."""
        ...


class FeedLost(Exception):
    """The place in the feed is gone (trimmed, or another server): load the items again."""


class GenerationEnded(FeedLost):
    """Another generation is active by now: load its items, and serve this one's until they are there."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation as the API reads it: users, items and feed that belong together."""

    number: int
    reader: StateReader
    feed: ItemFeed


class ActiveState(Protocol):
    """The state as the API sees it."""

    async def current(self) -> Generation:
        """The generation that is active now."""
        ...


class ItemIndex(Protocol):
    """The items of one replica, in process memory, searchable by inner product. Indexes are catalogue indexes."""

    @property
    def position(self) -> Position:
        """Of the newest entry applied; its log_time also counts what `advance` was told."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """Item ids by index."""
        ...

    @property
    def vectors(self) -> Float:
        """(N, d) visible vectors, for the neighbours of a user. Not to be written."""
        ...

    @property
    def counters(self) -> Records:
        """(N,) counter records, for the features of pairs. Not to be written."""
        ...

    def find(self, item_id: str) -> int | None: ...

    def load(self, ids: Sequence[str], items: Records, position: Position) -> None:
        """Replaces everything by item records (N,) as read from the state; they may be newer than `position`."""
        ...

    def apply(self, entry: FeedEntry) -> None:
        """Takes over a feed entry; what an item already has from a newer offset stays."""
        ...

    def advance(self, log_time: int) -> None:
        """Moves the time that popularity's decay and availability are judged by (never back). Live only: the wall
        clock; otherwise entries move it."""
        ...

    def top_k(self, query: Float, k: int, additions: tuple[Int, Float], exclude: Int) -> tuple[Int, Float]:
        """The k available items with the highest query . item + addition, best first: (index, score).

        query: (d + P,); additions: distinct indexes (M,) and what to add to their scores; exclude: indexes to leave
        out. Fewer than k come back when fewer are available. Equal scores stand in order of index.
        """
        ...

    def popular(self, k: int, exclude: Int) -> tuple[Int, Float]:
        """The k available items with the highest 7-day-half-life counts, best first: (index, count)."""
        ...


class TextEmbedder(Protocol):
    """Texts to unit vectors. `id` names the weights; vectors of different ids never meet."""

    @property
    def id(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Float:
        """(B, dim) float32; a text without any known word, or an empty one, is the zero vector."""
        ...
