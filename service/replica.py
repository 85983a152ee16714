"""The replica: this process's copy of the items, loaded from the state and kept up by following the item feed.

It notes the feed's end, reads all items, and goes on from there. What it serves is always whole: an index is filled
aside and swapped in together with the reader of its generation's users, and entries are taken over on the event loop
between requests. A store that is down stops the following, not the serving; nor does a switch to another generation.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import structlog

from model.process.records import NEVER
from model.spec import ModelSpec
from service.core.attributes import Attributes
from service.core.blobs import unpack_items
from service.core.log_records import UnreadableRecord
from service.core.types import FeedEntry, Position
from service.errors import StateMismatch, StoreUnavailable
from service.ports import ActiveState, FeedLost, Generation, GenerationEnded, ItemIndex, StateReader
from service.tracing import Followed

log = structlog.get_logger("peregrine.replica")

CHUNK = 2_000
"""Items read in one round trip while loading."""
BLOCK_MS = 1_000
"""How long a read of the feed waits for its first entry."""
_LONGEST_PAUSE = 2.0  # seconds between two attempts
_TRIES = 5
"""How often a chunk is read while loading, before all is begun anew."""
_LOADING = "the items are being loaded"


@dataclass(frozen=True, slots=True)
class View:
    """Items and users that belong together: a request reads both from one view. reader: None until items are loaded.

    generation: number of the one they are of.
    """

    index: ItemIndex
    reader: StateReader | None = None
    generation: int = 0


@dataclass
class Replica:
    """new_index: makes an empty index; spec, bundle: of the weights that this process serves, and their hash; followed:
    told of the traced events that have come to the index."""

    state: ActiveState
    new_index: Callable[[], ItemIndex]
    spec: ModelSpec
    bundle: str
    clock: Literal["wall", "event"]
    followed: Followed | None = None

    def __post_init__(self) -> None:
        self.view = View(self.new_index())
        self._trouble = _LOADING
        self._target: int | None = None
        self._moved = asyncio.Condition()

    @property
    def index(self) -> ItemIndex:
        return self.view.index

    @property
    def reader(self) -> StateReader:
        """Of what belongs to the index. Raises StoreUnavailable, with the reason, if there is nothing to read."""
        if self.view.reader is None:
            raise StoreUnavailable(self._trouble or _LOADING)
        return self.view.reader

    @property
    def reasons(self) -> list[str]:
        """Why this replica is not ready; empty when it is."""
        if self._trouble:
            return [self._trouble]
        if self._target is None or self.index.position.offset < self._target:
            return [f"the items are at offset {self.index.position.offset}, the state was at {self._target}"]
        return []

    def now(self) -> int | None:
        """Unix seconds by the service's clock; None on an empty log whose events are the clock."""
        if self.clock == "wall":
            return int(time.time())
        log_time = self.index.position.log_time
        return None if log_time == NEVER else log_time

    async def wait_for(self, offset: int, seconds: float) -> bool:
        """True once everything up to `offset` shows in the index; False if that takes longer than `seconds`."""
        if self.index.position.offset >= offset:
            return True
        try:
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self.index.position.offset >= offset)
        except TimeoutError:
            return False
        return True

    async def frozen(self) -> Replica:
        """Another one with the items as they are now, which follows nothing. Raises StoreUnavailable, StateMismatch."""
        made = Replica(self.state, self.new_index, self.spec, self.bundle, self.clock)
        try:
            await made._load()
        except FeedLost as exc:
            raise StoreUnavailable(f"the items moved while they were copied: {exc}") from exc
        await made._do_chores()
        return made

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follows for the time of the block."""
        tasks = [asyncio.create_task(part) for part in (self._follow(), self._tend())]
        try:
            yield
        finally:
            for task in tasks:
                await _end(task)

    async def _tend(self) -> None:
        """Keeps the index at the wall clock, and does its chores beside the requests. What goes wrong in one second
        must not stop the following."""
        while True:
            try:
                if self.clock == "wall":
                    self.index.advance(int(time.time()))
                await self._do_chores()
            except Exception:
                log.exception("items_not_tended", log_time=self.index.position.log_time)
            await asyncio.sleep(1.0)

    async def _do_chores(self) -> None:
        while (chore := self.index.chore()) is not None:
            await asyncio.to_thread(chore.compute)
            chore.finish()

    async def _follow(self) -> None:
        cursor: str | None = None
        failures = 0
        while True:
            try:
                if cursor is None:
                    generation, cursor = await self._load()
                cursor, entries = await generation.feed.read(cursor, BLOCK_MS)
                await self._take(entries)
                self._trouble, failures = "", 0
            except GenerationEnded as exc:  # what is served stays whole, and is served until the next one is there
                log.info("generation_ended", reason=str(exc))
                cursor = None
            except FeedLost:
                log.warning("feed_lost", offset=self.index.position.offset)
                cursor, self._trouble = None, _LOADING
            except Exception as exc:
                failures += 1
                cursor = cursor if isinstance(exc, StoreUnavailable) else None
                await self._pause(exc, failures)

    async def _pause(self, exc: Exception, failures: int) -> None:
        """Notes the trouble and waits before the next attempt; what nobody foresaw is logged with its traceback."""
        foreseen = isinstance(exc, StoreUnavailable | StateMismatch | UnreadableRecord)
        self._trouble = str(exc) if foreseen else f"the item feed cannot be followed: {type(exc).__name__}: {exc}"
        if failures == 1 or failures % 30 == 0:
            log.warning("replica_waits", reason=self._trouble, failures=failures, exc_info=None if foreseen else exc)
        longest = min(_LONGEST_PAUSE, 0.05 * 2**failures)
        await asyncio.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    async def _load(self) -> tuple[Generation, str]:
        """Fills a fresh index and swaps it in; returns its generation and the feed's cursor before the first read."""
        started = time.perf_counter()
        generation = await self.state.current()
        reader, cursor = generation.reader, await generation.feed.cursor()
        position = await reader.position()
        self._check(position, generation.number)
        ids, blobs, attributes = await self._read_all(reader, position.item_count)
        index = self.new_index()
        await asyncio.to_thread(_fill, index, ids, blobs, position, attributes, self.spec)
        target = await reader.position()
        self._check(target, generation.number)
        if (await self.state.current()).number != generation.number:
            raise GenerationEnded(f"generation {generation.number} ended while it was loaded")
        self.view = View(index, reader, generation.number)
        self._target, self._trouble = target.offset, ""
        await self._notify()
        seconds = round(time.perf_counter() - started, 3)
        log.info("items_loaded", generation=generation.number, items=len(ids), offset=position.offset, seconds=seconds)
        return generation, cursor

    def _check(self, position: Position, generation: int) -> None:
        """State that other weights made must not be read. What was read of another generation is served on."""
        if position.bundle in {"", self.bundle}:
            return
        if self.view.generation == generation:
            self.view = View(self.new_index())
        raise StateMismatch(
            f"the state was made by bundle {position.bundle:.12}, this process serves {self.bundle:.12}: start worker "
            "and API with the same bundle"
        )

    async def _read_all(self, reader: StateReader, count: int) -> tuple[list[str], list[bytes], Attributes]:
        ids: list[str] = []
        blobs: list[bytes] = []
        attributes = Attributes()
        for start in range(0, count, CHUNK):
            places = range(start, min(start + CHUNK, count))
            some, found, documents = await self._read_some(reader, places)
            blobs += [blob for blob in found if blob is not None]
            await asyncio.to_thread(attributes.put_all, start, documents)
            ids += some
        if not len(ids) == len(blobs) == count:
            raise FeedLost  # the state was made anew in between
        return ids, blobs, attributes

    async def _read_some(
        self, reader: StateReader, places: range
    ) -> tuple[list[str], list[bytes | None], list[bytes | None]]:
        """Ids, records and documents of the items at `places`. A store that is slow for a moment must not cost the
        million items that were read before."""
        for failures in range(1, _TRIES):
            try:
                return await _items(reader, places)
            except StoreUnavailable as exc:
                await self._pause(exc, failures)
        return await _items(reader, places)

    async def _take(self, entries: Sequence[FeedEntry]) -> None:
        for entry in entries:
            self.index.apply(entry)
            if entry.trace and self.followed is not None:
                self.followed.applied(entry.trace)
            await self._notify()
            await asyncio.sleep(0)  # requests come first

    async def _notify(self) -> None:
        async with self._moved:
            self._moved.notify_all()


async def _items(reader: StateReader, places: range) -> tuple[list[str], list[bytes | None], list[bytes | None]]:
    some = await reader.item_ids(places.start, len(places))
    return some, await reader.items(places), await reader.documents(some)


def _fill(
    index: ItemIndex,
    ids: Sequence[str],
    blobs: Sequence[bytes],
    position: Position,
    attributes: Attributes,
    spec: ModelSpec,
) -> None:
    index.load(ids, unpack_items(blobs, spec), position, attributes)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancels until it is over: `asyncio.wait_for` of Python 3.11, which redis-py uses, may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
