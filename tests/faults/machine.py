"""The event path in memory as a state machine: what comes in, what happens to the worker, and what must hold."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from threading import Event as Flag
from typing import Literal

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from model.process.apply import visible_items
from service.adapters.exact_index import ExactIndex
from service.adapters.in_memory import (
    InMemoryEventSource,
    InMemoryGenerations,
    InMemoryLog,
    InMemoryState,
    InMemoryStateStore,
)
from service.adapters.in_memory_reading import InMemoryItemFeed
from service.core.blobs import unpack_items
from service.core.types import Append, Commit, Event, ItemChange
from service.errors import StoreUnavailable, WriterConflict
from service.event_path import Lease, Rebuild, Writer, accept, accept_items, apply_records, check_state
from service.ports import FeedLost
from tests.faults.one_by_one import GONE, MODEL, SPEC, Told, items_of, one_by_one, users_of
from tests.paths.test_event_path import assert_agrees

USERS, ITEMS = "abcd", "uvwxyz"
POISON = b"?" + bytes(16)
gaps = st.integers(0, 150)
rows = st.lists(st.tuples(st.sampled_from(USERS), st.sampled_from(ITEMS), gaps), min_size=1, max_size=8)


class UnreliableStore(InMemoryStateStore):
    """Loses the next commit, or only its answer, when told to."""

    lose: Literal["", "commit", "answer"] = ""

    def commit(self, commit: Commit) -> None:
        lose, self.lose = self.lose, ""
        if lose != "commit":
            super().commit(commit)
        if lose:
            raise StoreUnavailable(f"lost: the {lose}")


class EventPathMachine(RuleBasedStateMachine):
    """told: everything that was ever appended, by offset; swept: offsets of what erasures have taken from the log;
    gone: those of them before the active state was made. What the state should be is made of these alone.
    """

    batches: Bundle[list[Event]] = Bundle("batches")
    stalled: Bundle[Writer] = Bundle("stalled")

    def __init__(self) -> None:
        super().__init__()
        self.log = InMemoryLog()
        self.generations = InMemoryGenerations(InMemoryState(feed_length=30))
        self.source = InMemoryEventSource(self.log)
        self._open()
        self.told: list[Told] = []
        self.swept: set[int] = set()
        self.gone: set[int] = set()
        self.time = 1_000
        self.weights = 0
        self.writers: list[Writer] = []
        self.index, self.cursor = ExactIndex(MODEL), ""

    @initialize(overlap=st.booleans())
    def begin(self, overlap: bool) -> None:
        self.overlap = overlap
        self.writer = self._lead()
        self.snapshot = self._snapshot()
        self._load()

    def _open(self) -> None:
        """The generation that is active now."""
        self.state = self.generations.active
        self.store = UnreliableStore(self.state, self.generations)
        self.feed = InMemoryItemFeed(self.state, SPEC, self.generations)

    def _lead(self) -> Writer:
        epoch = self.store.acquire(f"worker {self.state.epoch}", 0)
        check_state(self.store, self.source, self.state.position.bundle or "weights", epoch)
        writer = Writer(self.store, MODEL, epoch, self.overlap)
        self.writers.append(writer)
        writer.resume()
        return writer

    # What comes in

    @rule(target=batches, rows=rows)
    def post(self, rows: Sequence[tuple[str, str, int]]) -> list[Event]:
        """Events in order of time, or at equal times."""
        events: list[Event] = []
        for user, item, gap in rows:
            self.time += gap
            events.append(self._event(user, item, self.time, len(events)))
        return self._append(events)

    @rule(target=batches, rows=rows)
    def post_late(self, rows: Sequence[tuple[str, str, int]]) -> list[Event]:
        return self._append([self._event(u, i, self.time - 3 * gap, n) for n, (u, i, gap) in enumerate(rows)])

    def _event(self, user: str, item: str, at: int, number: int) -> Event:
        kind = SPEC.event_types[(at + number) % len(SPEC.event_types)]
        return Event(f"{len(self.told)}.{number}", user, item, kind, at, float(number))

    def _append(self, events: list[Event]) -> list[Event]:
        first = len(self.told) + 1
        answers = self.log.append(accept(events, [True] * len(events)))
        assert [a.offset for a in answers] == list(range(first, first + len(events)))
        self.told += events
        return events

    @rule(events=batches)
    def post_again(self, events: list[Event]) -> None:
        """Of what was erased nothing is known any more."""
        for event, answer in zip(events, self.log.append(accept(events, [True] * len(events))), strict=True):
            before = {at for at, one in enumerate(self.told, 1) if one == event}
            if answer.duplicate:
                assert answer.offset in before - self.swept
            else:
                assert before <= self.swept
                assert answer.offset == len(self.told) + 1
                self.told.append(event)

    @rule(item=st.sampled_from(ITEMS), text=st.integers(0, 3), available=st.none() | st.integers(900, 2_000))
    def put(self, item: str, text: int, available: int | None) -> None:
        vector = np.full(SPEC.text_dim, text / 4, np.float32).tobytes() if text else b""
        change = ItemChange(item, b"{}", "toy" if text else "", vector, available)
        self.log.append(accept_items([change]))
        self.told.append(change)

    @rule()
    def poison(self) -> None:
        self.log.append([Append(POISON)])
        self.told.append(None)

    # What happens to the worker

    @rule(count=st.integers(1, 12))
    def work(self, count: int) -> None:
        with self._worker():
            if len(records := self.source.read(self.writer.position.offset, count, 0)):
                apply_records(self.writer, records)
            else:
                self.writer.check()

    @rule(seconds=st.integers(0, 400))
    def close_ticks(self, seconds: int) -> None:
        with self._worker():
            self.writer.close_ticks(self.time + seconds)

    @contextmanager
    def _worker(self) -> Iterator[None]:
        """After a lost commit the worker reads back where the state stands; fenced, it leads anew."""
        try:
            yield
        except StoreUnavailable:
            self.writer.resume()
        except WriterConflict:
            self.writer = self._lead()

    @rule(lose=st.sampled_from(["commit", "answer"]))
    def lose(self, lose: Literal["commit", "answer"]) -> None:
        self.store.lose = lose

    @rule(target=stalled)
    def restart(self) -> Writer:
        """Another worker leads; the one before has stalled."""
        before, self.writer = self.writer, self._lead()
        return before

    @rule(writer=consumes(stalled), count=st.integers(1, 12))
    def wake(self, writer: Writer, count: int) -> None:
        with self._worker():
            self.writer.settle()
        before = (self.state.position, dict(self.state.users), dict(self.state.items), self.state.feed_end)
        if len(records := self.source.read(writer.position.offset, count, 0)):
            with suppress(WriterConflict, StoreUnavailable):  # fenced, or met what a newer one has deleted
                apply_records(writer, records)
                writer.settle()
        assert before == (self.state.position, self.state.users, self.state.items, self.state.feed_end)

    @rule(target=stalled, batch_size=st.integers(1, 12))
    def rebuild(self, batch_size: int) -> Writer:
        """The next generation is made by weights of another name, and takes the place of the one that is served."""
        self.weights += 1
        with Lease(self.generations.next(), "rebuild", 60.0) as lease:
            rebuild = Rebuild(lease, self.source, MODEL, f"weights {self.weights}")
            assert rebuild.run(batch_size, Flag(), lambda *_: None)
        before, self.gone = self.writer, set(self.swept)
        self._open()
        self.writer = self._lead()
        self.snapshot = self._snapshot()
        self._load()
        return before

    @rule()
    def sync(self) -> None:
        """The state's server syncs its file."""
        self.snapshot = self._snapshot()

    @rule()
    def cut_power(self) -> None:
        """The state falls back to where its file was synced: connections break, and replicas see another feed."""
        with self._worker():
            self.writer.settle()
        kept = {
            "feed": deque(),
            "feed_end": self.state.feed_end + 1,
            "lock": self.state.lock,
            "epoch": self.state.epoch,
        }
        vars(self.state).update(vars(self._copy(self.snapshot)) | kept)
        self.store.lose = "commit"

    def _snapshot(self) -> InMemoryState:
        with self._worker():
            self.writer.settle()
        return self._copy(self.state)

    def _copy(self, state: InMemoryState) -> InMemoryState:
        fields = {name: copy(value) for name, value in vars(state).items() if name not in {"lock", "clock"}}
        return InMemoryState(**fields)

    # What replicas and the oracle see

    @rule()
    def follow(self) -> None:
        try:
            self.cursor, entries = asyncio.run(self.feed.read(self.cursor, 0))
        except FeedLost:
            self._load()
        else:
            for entry in entries:
                self.index.apply(entry)

    def _load(self) -> None:
        self.cursor, self.index = asyncio.run(self.feed.cursor()), ExactIndex(MODEL)
        self.index.load(self.state.ids, self._items(), self.state.position)

    def _items(self) -> np.ndarray:
        return unpack_items([self.state.items[at] for at in range(len(self.state.ids))], SPEC)

    @rule()
    def settle(self) -> None:
        """Everything applied and followed; then both are compared with the oracle."""
        with self._worker():
            self.writer.settle()  # a tick's closing, under way, leaves the offset where it is
        while self.state.position.offset < self.source.end():
            self.work(100)
        self.follow()
        told: list[Told] = [GONE if at in self.gone else one for at, one in enumerate(self.told, 1)]
        assert self.state.ids == items_of(told)
        expected, users = one_by_one(told), users_of(told)
        assert sorted(self.state.users) == [user.encode() for user in users]
        assert_agrees(self.state, expected, users, SPEC)
        assert self.state.position.log_time == expected.log_time
        assert set(self.state.skipped) == {at for at, told in enumerate(self.told, 1) if told is None}
        shown = visible_items(expected.items, self.state.position.tick, MODEL)
        np.testing.assert_allclose(self.index.vectors, shown, rtol=2e-5, atol=2e-6)
        for name in self.index.counters.dtype.names or ():
            np.testing.assert_allclose(self.index.counters[name], expected.items[name], rtol=2e-5, err_msg=name)
        assert self.index.position.offset == len(self.told)

    @invariant()
    def the_state_is_never_ahead(self) -> None:
        assert self.state.position.offset <= self.source.end()

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            for writer in self.writers:
                writer.close()
