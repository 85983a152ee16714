"""A record that cannot be applied is skipped, alone, and recorded; nothing else is lost and nothing waits for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.in_memory import InMemoryEventSource, InMemoryLog, InMemoryState, InMemoryStateStore
from service.core.log_records import pack_nothing
from service.core.types import Append, Position
from service.errors import Fenced, StoreUnavailable
from service.event_path import accept, apply_records
from tests.paths.test_event_path import Row, assert_agrees, events_of, offline, writer_on

ROWS: list[Row] = [("ab"[n % 2], "uvwxyz"[n % 5], 1_000 + 7 * n) for n in range(20)]
POISON = {
    "of an unknown kind": b"?" + bytes(16),
    "too short": b"E",
    "of a wrong length": accept(events_of(ROWS[:1]), [False])[0].payload + b"!",
    "without a text in it": accept(events_of([("a", "?", 1)]), [False])[0].payload.replace(b"?", b"\xff"),
    "not a number": accept(events_of(ROWS[:1]), [False])[0].payload.replace(b"\x00\x00\x80\x3f", b"\x00\x00\xc0\x7f"),
}


def applied(log: InMemoryLog, state: InMemoryState, count: int = 100) -> InMemoryState:
    writer, source = writer_on(state), InMemoryEventSource(log)
    while len(records := source.read(writer.position.offset, count, 0)):
        apply_records(writer, records)
    return state


def log_with(poison: dict[int, bytes]) -> InMemoryLog:
    """ROWS, with other payloads in the places of `poison`."""
    log, good = InMemoryLog(), accept(events_of(ROWS), [False] * len(ROWS))
    log.append([Append(poison.get(n, one.payload), one.timestamp) for n, one in enumerate(good)])
    return log


@pytest.mark.parametrize("kind", POISON)
@given(places=st.sets(st.integers(0, len(ROWS) - 1), min_size=1, max_size=4), count=st.integers(1, 30))
@settings(max_examples=15, deadline=None)
def test_the_state_is_that_of_a_log_without_the_poison(kind: str, places: set[int], count: int) -> None:
    state = applied(log_with(dict.fromkeys(places, POISON[kind])), InMemoryState(), count)
    assert set(state.skipped) == {place + 1 for place in places}
    assert state.position.offset == len(ROWS)
    left = [row for place, row in enumerate(ROWS) if place not in places]
    users = sorted({user for user, _, _ in left})
    expected = offline(left, state.ids, users)
    offsets = np.array([0, *(place + 1 for place in range(len(ROWS)) if place not in places)])
    for records in (expected.users, expected.items):  # a skipped record keeps its offset
        records["offset"] = offsets[records["offset"]]
    assert_agrees(state, expected, users)


def test_a_replay_skips_the_same_records_though_they_could_be_applied_by_now() -> None:
    log = log_with({3: POISON["too short"]})
    state = applied(log, InMemoryState())
    before = dict(state.users)
    InMemoryStateStore(state).reset(state.epoch, Position())
    assert (state.skipped, state.users) == ({4: "UnreadableRecord"}, {})
    log.payloads[3] = log.payloads[4]
    assert applied(log, state).users == before


def test_erased_records_leave_nothing_and_move_the_offset() -> None:
    state = applied(log_with(dict.fromkeys(range(20), pack_nothing())), InMemoryState())
    assert (state.position.offset, state.users, state.ids, state.skipped) == (20, {}, [], {})


def test_a_state_that_fell_back_before_the_poison_is_not_continued_behind_a_gap() -> None:
    """As after a power cut of the state: what is no longer applied is not what the writer has in its hands."""
    state = InMemoryState()
    writer, source = writer_on(state), InMemoryEventSource(log_with({12: POISON["too short"]}))
    apply_records(writer, source.read(0, 5, 0))
    state.position, state.users, state.items, state.ids = Position(), {}, {}, []
    with pytest.raises(Fenced, match="fell back to offset 0"):
        apply_records(writer, source.read(5, 100, 0))
    assert state.position.offset == 0


def test_a_store_that_is_down_is_nobody_s_poison() -> None:
    class Down(InMemoryStateStore):
        def commit(self, commit: object) -> None:
            raise StoreUnavailable("down")

    state = InMemoryState()
    writer, source = writer_on(state), InMemoryEventSource(log_with({}))
    writer._store = Down(state)
    with pytest.raises(StoreUnavailable):
        apply_records(writer, source.read(0, 100, 0))
    assert state.skipped == {}
