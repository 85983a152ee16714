"""A writer that computes while its last commit is on its way makes the state of one that waits for each."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.in_memory import InMemoryEventSource, InMemoryState, InMemoryStateStore
from service.core.blobs import unpack_users
from service.core.types import Commit, Erase
from service.errors import Fenced, StoreUnavailable
from service.event_path import Writer, accept, accept_marker, apply_records
from service.event_path.cache import RecordCache
from tests.paths.test_event_path import Row, assert_agrees, events_of, log_of, offline, rows_of
from tests.process.toy import TOY_SPEC, ToyModel


class Unreliable(InMemoryStateStore):
    """Takes its time for a commit; refuses some, and of some only the answer is lost."""

    def __init__(self, state: InMemoryState, fates: Iterator[str], seconds: float = 0.001) -> None:
        super().__init__(state)
        self._fates = fates
        self._seconds = seconds

    def commit(self, commit: Commit) -> None:
        time.sleep(self._seconds)
        fate = next(self._fates, "done")
        if fate == "refused":
            raise StoreUnavailable("refused")
        super().commit(commit)
        if fate == "answer lost":
            raise StoreUnavailable("the answer was lost")


def overlapping(store: InMemoryStateStore) -> Writer:
    writer = Writer(store, ToyModel(), store.acquire("writer", 60_000), overlap=True)
    writer.resume()
    return writer


@given(
    rows=rows_of,
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    fates=st.lists(st.sampled_from(["done", "done", "refused", "answer lost"]), max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_commits_that_fail_behind_the_writer_s_back_cost_nothing_and_count_nothing_twice(
    rows: list[Row], cuts: list[int], fates: list[str]
) -> None:
    state, source = InMemoryState(), InMemoryEventSource(log_of(rows))
    writer = overlapping(Unreliable(state, iter(fates)))
    turn = 0
    while state.position.offset < len(rows):
        turn += 1
        try:
            records = source.read(writer.position.offset, cuts[turn % len(cuts)], 0)
            if len(records):
                apply_records(writer, records)
            else:
                writer.settle()
        except StoreUnavailable:
            writer.resume()
    writer.close()
    users = sorted({user for user, _, _ in rows})
    assert_agrees(state, offline(rows, state.ids, users), users)


def test_a_fenced_commit_under_way_is_told_at_the_next_step() -> None:
    rows = [("a", "x", 1_000), ("a", "y", 1_010), ("b", "x", 1_020)]
    state, source = InMemoryState(), InMemoryEventSource(log_of(rows))
    store = InMemoryStateStore(state)
    writer = overlapping(store)
    state.epoch += 1
    writer.step(source.read(0, 1, 0))
    with pytest.raises(Fenced):
        writer.step(source.read(1, 1, 0))
    assert (state.users, state.position.offset) == ({}, 0)
    writer.close()


def test_a_user_who_is_erased_by_a_commit_under_way_is_not_read_back() -> None:
    log = log_of([("a", "x", 1_000)])
    log.append([accept_marker(Erase("a")), *accept(events_of([("a", "y", 1_010)]), [False])])
    state, source = InMemoryState(), InMemoryEventSource(log)
    writer = overlapping(Unreliable(state, iter([]), seconds=0.05))
    for after in range(3):
        writer.step(source.read(after, 1, 0))
    writer.close()
    assert unpack_users([state.users[b"a"]], TOY_SPEC).rows["events"].tolist() == [1]


def test_a_cache_keeps_what_the_last_put_brought_and_forgets_what_is_old() -> None:
    asked: list[list[str]] = []

    def read(keys: object) -> list[bytes | None]:
        asked.append(list(keys))  # type: ignore[call-overload]
        return [None] * len(asked[-1])

    cache = RecordCache[str](10)
    cache.put({"a": b"1" * 20})
    cache.put({"b": b"2" * 8})
    assert cache.get(["b", "a", "c"], read) == [b"2" * 8, b"1" * 20, None]
    cache.put({"c": b"3" * 8})
    assert cache.get(["a", "b", "c"], read) == [None, b"2" * 8, b"3" * 8]
    assert asked == [["c"], ["a"]]
    cache.clear()
    assert cache.get(["b"], read) == [None]
