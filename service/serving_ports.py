"""The ports of the request path: reading the state, following the items, searching them. `service.ports` has all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from model.process.records import Float, Int, Records
from service.core.attributes import Attributes, Mask
from service.core.impressions import Impression, Outcome, Shown
from service.core.types import FeedEntry, Position, Totals


@dataclass(frozen=True, slots=True)
class UserRead:
    """blob: the user's packed record and pairs, None for an unknown user; committed: the state's offset, read with
    it in one step; profile, edits: the packed halves of the user's profile, of no generation."""

    blob: bytes | None
    committed: int
    profile: bytes | None = None
    edits: bytes | None = None


class StateReader(Protocol):
    """One generation of the state as the request path sees it. Never writes."""

    async def user(self, user_id: str) -> UserRead:
        """Raises StoreUnavailable, too, once this generation was deleted."""
        ...

    async def users(self, user_ids: Sequence[str]) -> list[UserRead]:
        """The same for many, in one step each thousand."""
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
        this generation is neither active nor live any more."""
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
    """The state as the API sees it, or one live model's part of it."""

    async def current(self) -> Generation:
        """The generation that is active now; of a live model, the one it writes."""
        ...


class Chore(Protocol):
    """Work on an index that takes too long to be done between two requests."""

    def compute(self) -> None:
        """In any thread; changes nothing that requests read."""
        ...

    def finish(self) -> None:
        """Between requests: takes over what was computed, but for what has changed meanwhile."""
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

    @property
    def attributes(self) -> Attributes:
        """What lists filter by, (N,) columns. Not to be written."""
        ...

    @property
    def available(self) -> Mask:
        """(N,) items that lists may hold now: released, not hidden, not past their end. Not to be written."""
        ...

    @property
    def velocity(self) -> Float:
        """(N,) distance a day that each vector moves lately (half-life a day), as far as this process has seen it."""
        ...

    def find(self, item_id: str) -> int | None: ...

    def load(
        self, ids: Sequence[str], items: Records, position: Position, attributes: Attributes | None = None
    ) -> None:
        """Replaces everything by item records (N,) and their attributes (None: all blank) as read from the state; they
        may be newer than `position`."""
        ...

    def apply(self, entry: FeedEntry) -> None:
        """Takes over a feed entry; what an item already has from a newer offset stays."""
        ...

    def advance(self, log_time: int) -> None:
        """Moves the time that popularity's decay and availability are judged by (never back). Live only: the wall
        clock; otherwise entries move it."""
        ...

    def chore(self) -> Chore | None:
        """The next thing to be done beside the requests; None if there is nothing. One at a time."""
        ...

    @property
    def figures(self) -> Mapping[str, float]:
        """What the index has measured of itself: `bytes_per_item`, and `recall` against a search of every item, where
        it is one that looks at some."""
        ...

    @property
    def looks_at_all(self) -> bool:
        """Whether a search looks at every item, so that one pass pays for many queries."""
        ...

    def top_k(
        self,
        query: Float,
        k: int,
        additions: tuple[Int, Float],
        exclude: Int,
        allowed: Mask | None = None,
        bonus: Float | None = None,
    ) -> tuple[Int, Float]:
        """The k available items with the highest query . item + addition + bonus, best first: (index, score).

        query: (d + P,); additions: distinct indexes (M,) and what to add to their scores; exclude: indexes to leave
        out; allowed: (N,) items to choose from, None for all; bonus: (N,) to add to the scores. Fewer than k come back
        only when fewer are left. Equal scores stand in order of index.
        """
        ...

    def best(self, scores: Float, k: int, exclude: Int, allowed: Mask | None = None) -> tuple[Int, Float]:
        """The k available items with the highest of the given `scores` (N,), in the same way."""
        ...

    def best_many(
        self, scores: Float, k: int, exclude: tuple[Int, Int], allowed: Mask | None = None
    ) -> list[tuple[Int, Float]]:
        """The same of each row of `scores` (B, N), which may be spoiled. exclude: (row, index)."""
        ...

    def nearest(self, vector: Float, k: int, exclude: Int, allowed: Mask | None = None) -> tuple[Int, Float]:
        """The k available items whose vectors have the highest cosine with `vector` (d,): (index, cosine)."""
        ...

    def score_many(self, queries: Float, additions: tuple[Int, Int, Float]) -> Float:
        """(B, N) scores of all items for B queries (B, d + P), in one matrix pass. additions: (query, index, score)."""
        ...

    def popularity(self) -> Float:
        """(N,) counts with a half-life of 7 days."""
        ...

    def popular(self, k: int, exclude: Int) -> tuple[Int, Float]:
        """The k available items with the highest 7-day-half-life counts, best first: (index, count)."""
        ...


class Impressions(Protocol):
    """What was shown, by request: of the newest requests, for a time. All raise StoreUnavailable."""

    async def store(self, shown: Sequence[Impression]) -> None: ...

    async def credit(self, outcomes: Sequence[Outcome]) -> int:
        """Counts events for the requests they name, as far as those are kept; how many did."""
        ...

    async def read(self, request_id: str) -> Shown | None: ...


class TextEmbedder(Protocol):
    """Texts to unit vectors. `id` names the weights; vectors of different ids never meet."""

    @property
    def id(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Float:
        """(B, dim) float32; a text without any known word, or an empty one, is the zero vector."""
        ...
