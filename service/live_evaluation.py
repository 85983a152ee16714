"""How good the lists are on the events that come in now: each sampled event is looked for before it is taken.

Beside every live model stand what it has to beat: popular items, and its own memory as it was some days ago (frozen).
Users are sampled, not events, so that the frozen memory knows whom it is asked about.
"""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import structlog

from model.process.records import Int
from service.core.side_by_side import SideBySide, gain
from service.core.types import Event, Position, Totals
from service.errors import MomentPassed, PeregrineError
from service.lines import Line, Lines
from service.ports import StateReader, UserRead
from service.replica import View
from service.request_path import Request, Serving, recommend

log = structlog.get_logger("peregrine.live_evaluation")

LIST = 20
MOST_PER_SECOND = 5
"""Events that are looked for, so that a flood of them costs nothing."""
MOST_WHILE_CHECKED = 10
"""While a new model's lists are looked at before it takes over; then also of users who are not sampled."""
FROZEN_USERS = 20_000
FROZEN_SECONDS = 7 * 86_400.0
"""After that it is copied anew; so long it may hold somebody who was erased."""
POPULAR, FROZEN = "popular", "frozen"
GAPS = (60, 600, 3_600, 21_600, 86_400, 259_200, 604_800, 2_592_000)
"""Seconds between two events of a user: upper bounds of what is counted together."""
_NOTHING: Int = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Looked:
    """place: of the event among those that were looked for; ranks: by contender, None where the item is not listed;
    log_gap: log1p of the seconds since the user's event before, None for the first one; sampled: whether it counts for
    more than a new model beside the active one."""

    place: int
    ranks: Mapping[str, int | None]
    log_gap: float | None
    sampled: bool = True


@dataclass
class LiveEvaluation:
    """share: of the users; 0: none. Figures are sums over evaluated events, by contender: a live model's version,
    POPULAR or FROZEN."""

    lines: Lines
    share: float
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.events = 0
        self.new_items = 0
        """Events with an item that this replica did not know."""
        self.evaluated = Counter[str]()
        self.recall: dict[str, float] = {}
        self.ndcg: dict[str, float] = {}
        self.log_gaps = 0.0
        """Sum of log1p of the seconds since the user's event before, over `gaps` events."""
        self.gaps = 0
        self.gap_seconds = 0.0
        self.gap_counts = [0] * (len(GAPS) + 1)
        """By the first bound of GAPS that is not exceeded; the last of those above all."""
        self._frozen: tuple[Line, Serving] | None = None
        self._until = 0.0
        self._freezing: asyncio.Task[None] | None = None
        self._second, self._left = 0, 0

    async def look(self, events: Sequence[Event]) -> list[Looked]:
        """Looks for what is about to be appended. Never raises: no event is refused because of a figure."""
        checked = any(model.stage == "checking" for model in self.lines.live.models)
        places = {event.user_id: place for place, event in reversed(list(enumerate(events)))}  # of each user's first
        found = []
        for user_id, place in places.items():
            sampled = self._is_sampled(user_id)
            if not checked and not sampled:
                continue
            if not self._may(MOST_WHILE_CHECKED if checked else MOST_PER_SECOND):
                break
            try:
                looked = await self._look(place, events[place], sampled)
            except MomentPassed:
                continue  # late: memory has moved past it
            except PeregrineError as exc:
                log.warning("not_evaluated", reason=str(exc))
                break
            except Exception:
                log.exception("not_evaluated")
                break
            found += [looked] if looked is not None else []
        return found

    def count(self, events: Sequence[Event], fresh: Sequence[bool], looked: Sequence[Looked]) -> None:
        """Counts what became part of the log. fresh: (n,) which of the events were not known before."""
        find = self.lines.default.replica.index.find
        for event, is_fresh in zip(events, fresh, strict=True):
            self.events += is_fresh
            self.new_items += is_fresh and find(event.item_id) is None
        for one in looked:
            if not fresh[one.place]:
                continue
            self._count_beside(one.ranks)
            if not one.sampled:
                continue
            for contender, rank in one.ranks.items():
                self._count(contender, rank)
            if one.log_gap is not None:
                self._count_gap(one.log_gap)

    def _count_gap(self, log_gap: float) -> None:
        seconds = round(math.expm1(log_gap))
        self.log_gaps, self.gaps = self.log_gaps + log_gap, self.gaps + 1
        self.gap_seconds += seconds
        self.gap_counts[bisect_left(GAPS, seconds)] += 1

    def _is_sampled(self, user_id: str) -> bool:
        return crc32(user_id.encode()) < self.share * 2**32

    def _may(self, most: int) -> bool:
        now = int(self.clock())
        if now != self._second:
            self._second, self._left = now, most
        self._left -= 1
        return self._left >= 0

    async def _look(self, place: int, event: Event, sampled: bool) -> Looked | None:
        """None while the items or the frozen memory are not there yet, or the state does not answer."""
        default = self.lines.default
        if self.lines.of(default.bundle.hash) is None:
            return None
        asked = Request(event.user_id, LIST, event.timestamp)
        contenders = {line.bundle.version: line.serving for line in self.lines.serving()}
        if sampled:
            if (frozen := self._frozen_now(default)) is None:
                return None
            contenders[FROZEN] = frozen
        found = {name: await recommend(asked, serving) for name, serving in contenders.items()}
        if any(answer.strategy == "fallback" for answer in found.values()):
            return None
        lists = {name: answer.item_ids for name, answer in found.items()}
        index = default.replica.index
        lists[POPULAR] = [index.ids[at] for at in index.popular(LIST, _NOTHING)[0].tolist()]
        ranks = {name: _rank(event.item_id, items) for name, items in lists.items()}
        last = found[default.bundle.version].last_event_at
        now = event.timestamp or default.replica.now()
        gap = math.log1p(now - last) if last is not None and now is not None and now > last else None
        return Looked(place, ranks, gap, sampled)

    def _count(self, contender: str, rank: int | None) -> None:
        self.evaluated[contender] += 1
        self.recall[contender] = self.recall.get(contender, 0.0) + (rank is not None)
        self.ndcg[contender] = self.ndcg.get(contender, 0.0) + gain(rank)

    def _count_beside(self, ranks: Mapping[str, int | None]) -> None:
        """Every other line against the default one, where both were looked at."""
        beside, default = self.lines.beside, self.lines.default.bundle
        for line in self.lines.serving():
            bundle = line.bundle
            if bundle.hash != default.hash and {bundle.version, default.version} <= ranks.keys():
                found = SideBySide.of(ranks[bundle.version], ranks[default.version])
                beside[bundle.hash] = beside.get(bundle.hash, SideBySide()) + found

    def _frozen_now(self, line: Line) -> Serving | None:
        """The line as it was when it was first asked for; None while it is being copied."""
        if self._frozen is not None and self._frozen[0] is line and self.clock() < self._until:
            return self._frozen[1]
        if self._freezing is None or self._freezing.done():
            self._freezing = asyncio.create_task(self.freeze(line))
        return None

    async def freeze(self, line: Line) -> None:
        """Copies the line's items; users are copied when they are first read."""
        try:
            replica = await line.replica.frozen()
            reader = FrozenReader(replica.reader)
        except PeregrineError as exc:
            log.warning("not_frozen", reason=str(exc))
            return
        replica.view = View(replica.view.index, reader, replica.view.generation)
        self._until = self.clock() + FROZEN_SECONDS
        self._frozen = (line, Serving(replica, line.bundle.model, line.serving.has_bundle))


class FrozenReader:
    """`StateReader` that remembers each user as first read."""

    def __init__(self, reader: StateReader) -> None:
        self._reader = reader
        self._users: dict[str, UserRead] = {}

    async def user(self, user_id: str) -> UserRead:
        return (await self.users([user_id]))[0]

    async def users(self, user_ids: Sequence[str]) -> list[UserRead]:
        missing = [user_id for user_id in user_ids if user_id not in self._users]
        fresh = dict(zip(missing, await self._reader.users(missing), strict=True)) if missing else {}
        if len(self._users) < FROZEN_USERS:
            self._users |= fresh
        return [self._users.get(user_id) or fresh[user_id] for user_id in user_ids]

    async def position(self) -> Position:
        return await self._reader.position()

    async def totals(self) -> Totals:
        return await self._reader.totals()

    async def items(self, index: Sequence[int]) -> list[bytes | None]:
        return await self._reader.items(index)

    async def item_ids(self, start: int, count: int) -> list[str]:
        return await self._reader.item_ids(start, count)

    async def documents(self, item_ids: Sequence[str]) -> list[bytes | None]:
        return await self._reader.documents(item_ids)


def _rank(item_id: str, items: Sequence[str]) -> int | None:
    return items.index(item_id) + 1 if item_id in items else None
