"""The writer makes of a log what the state process makes of the same events, however it is cut, stopped or resumed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.process.apply import visible_items
from model.process.batch import Events
from model.process.records import NEVER
from model.process.state import State
from model.spec import ModelSpec
from service.adapters.exact_index import ExactIndex
from service.adapters.in_memory import InMemoryEventSource, InMemoryLog, InMemoryState, InMemoryStateStore
from service.core.blobs import unpack_items, unpack_users
from service.core.feed_packing import unpack_feed
from service.core.types import Event, ItemChange, Position
from service.errors import Fenced, StateMismatch
from service.event_path import Writer, accept, accept_items, check_state
from tests.process.toy import TOY_SPEC, ToyModel

Row = tuple[str, str, int]


def events_of(rows: list[Row]) -> list[Event]:
    return [Event(f"e{n}", user, item, "purchase", at, 1.0) for n, (user, item, at) in enumerate(rows)]


def log_of(rows: list[Row]) -> InMemoryLog:
    log = InMemoryLog()
    log.append(accept(events_of(rows), [False] * len(rows)))
    return log


def writer_on(state: InMemoryState) -> Writer:
    store = InMemoryStateStore(state)
    writer = Writer(store, ToyModel(), store.acquire("writer", 60_000))
    writer.resume()
    return writer


def offline(rows: list[Row], item_ids: list[str], user_ids: list[str]) -> State:
    """The same events through dense arrays, with items in the order of the log."""
    state = State(
        ToyModel(),
        len(user_ids),
        item_ids,
        np.zeros((len(item_ids), TOY_SPEC.static_dim), np.float32),
        np.full(len(item_ids), -NEVER),
    )
    count = len(rows)
    state.apply(
        Events(
            np.array([user_ids.index(user) for user, _, _ in rows]),
            np.array([item_ids.index(item) for _, item, _ in rows]),
            np.array([at for _, _, at in rows]),
            np.full(count, TOY_SPEC.type_code("purchase"), dtype=np.uint8),
            np.ones(count, dtype=np.float32),
            np.arange(1, count + 1),
        )
    )
    return state


def assert_agrees(stored: InMemoryState, expected: State, user_ids: list[str], spec: ModelSpec = TOY_SPEC) -> None:
    """Integers equal; floats to the rounding of sums taken in another order."""
    users = unpack_users([stored.users[user.encode()] for user in user_ids], spec)
    items = unpack_items([stored.items[at] for at in range(len(stored.ids))], spec)
    for ours, theirs in ((users.rows, expected.users), (items, expected.items)):
        for name in ours.dtype.names or ():
            np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-5, atol=2e-6, err_msg=name)
    for place in range(len(user_ids)):
        np.testing.assert_array_equal(users.pairs_of(place)["count"], expected.pairs[place]["count"])
        np.testing.assert_array_equal(users.pairs_of(place)["item"], expected.pairs[place]["item"])


rows_of = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("uvwxyz"), st.integers(1_000, 1_600)), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None)
@given(rows=rows_of, data=st.data())
def test_the_writer_gives_the_state_of_the_process_and_replicas_see_its_item_matrix(
    rows: list[Row], data: st.DataObject
) -> None:
    source = InMemoryEventSource(log_of(rows))
    stored = InMemoryState()
    writer = writer_on(stored)
    index = ExactIndex(ToyModel())
    index.load([], unpack_items([], TOY_SPEC), Position())
    while len(entries := source.read(writer.position.offset, data.draw(st.integers(1, 12)), 0)):
        if data.draw(st.booleans()):
            writer = writer_on(stored)  # as after a crash: everything in memory is read back
        writer.step(entries)
    user_ids = sorted({user for user, _, _ in rows})
    expected = offline(rows, stored.ids, user_ids)
    assert_agrees(stored, expected, user_ids)
    for entry in stored.feed:
        index.apply(unpack_feed(entry, index.counters.dtype, TOY_SPEC.dim))
    np.testing.assert_allclose(index.vectors, expected.item_vectors, rtol=2e-5, atol=2e-6)
    assert index.position.log_time == expected.log_time
    fresh = ExactIndex(ToyModel())
    items = unpack_items([stored.items[at] for at in range(len(stored.ids))], TOY_SPEC)
    fresh.load(stored.ids, items, stored.position)
    np.testing.assert_allclose(fresh.vectors, index.vectors, rtol=2e-5, atol=2e-6)


def test_the_wall_clock_closes_a_tick_without_an_event_and_only_once() -> None:
    stored = InMemoryState()
    writer = writer_on(stored)
    writer.step(InMemoryEventSource(log_of([("a", "x", 1_000), ("b", "x", 1_010)])).read(0, 10, 0))
    before = visible_items(unpack_items([stored.items[0]], TOY_SPEC), 10, ToyModel())
    assert writer.close_ticks(1_099) is False
    assert writer.close_ticks(1_100) is True
    assert writer.close_ticks(1_150) is False
    shown = unpack_feed(stored.feed[-1], ExactIndex(ToyModel()).counters.dtype, TOY_SPEC.dim)
    assert shown.vector_index.tolist() == [0]
    assert not np.allclose(shown.vectors, before)


def test_an_event_late_for_the_published_tick_is_shown_at_once() -> None:
    log = log_of([("a", "y", 900), ("a", "x", 1_000)])  # a's memory has moved when it meets x, b's has not
    stored = InMemoryState()
    writer = writer_on(stored)
    writer.step(InMemoryEventSource(log).read(0, 10, 0))
    writer.close_ticks(1_200)
    shown = unpack_feed(stored.feed[-1], ExactIndex(ToyModel()).counters.dtype, TOY_SPEC.dim)
    first = shown.vectors[shown.vector_index == stored.ids.index("x")]
    log.append(accept(events_of([("b", "x", 1_020)]), [False]))
    writer.step(InMemoryEventSource(log).read(2, 10, 0))
    again = unpack_feed(stored.feed[-1], ExactIndex(ToyModel()).counters.dtype, TOY_SPEC.dim)
    assert again.vector_index.tolist() == [stored.ids.index("x")]
    assert not np.allclose(again.vectors, first)


def test_a_catalogue_change_moves_the_static_half_and_keeps_memory_and_counters() -> None:
    spec = TOY_SPEC.model_copy(update={"embedder": "toy", "text_dim": 4})
    log, stored = log_of([("a", "x", 1_000)]), InMemoryState()
    store = InMemoryStateStore(stored)
    writer = Writer(store, ToyModel(spec), store.acquire("writer", 60_000))
    writer.resume()
    document = json.dumps({"title": "X"}).encode()
    vector = np.array([1, 2, 3, 4], dtype=np.float32)
    log.append(
        accept_items(
            [ItemChange("x", document, "toy", vector.tobytes(), 5), ItemChange("new", document, "", b"", None)]
        )
    )
    log.append(accept_items([ItemChange("x", document, "another", vector.tobytes(), 7)]))
    entries = InMemoryEventSource(log).read(0, 10, 0)
    writer.step(entries.part(0, 3))
    row = unpack_items([stored.items[0]], spec)[0]
    assert (row["events"], row["available_from"], row["x"].tolist()) == (1, 5, [1.0, 2.0])
    assert stored.ids == ["x", "new"]
    assert stored.documents["new"] == document
    assert unpack_items([stored.items[1]], spec)["available_from"][0] == -NEVER
    writer.step(entries.part(3, len(entries)))
    row = unpack_items([stored.items[0]], spec)[0]
    assert (row["available_from"], row["x"].tolist()) == (7, [0.0, 0.0])  # another embedder's vector says nothing here


def test_a_stalled_writer_is_fenced_and_changes_nothing() -> None:
    log, stored = log_of([("a", "x", 1_000), ("a", "y", 1_010)]), InMemoryState()
    store = InMemoryStateStore(stored)
    entries = InMemoryEventSource(log).read(0, 10, 0)
    stalled = Writer(store, ToyModel(), store.acquire("first", 0))
    stalled.resume()
    writer = writer_on(stored)
    writer.step(entries.part(0, 1))
    before = (dict(stored.users), dict(stored.items), stored.position)
    with pytest.raises(Fenced):
        stalled.step(entries)
    assert (stored.users, stored.items, stored.position) == before


def test_a_state_that_fell_back_while_nothing_came_in_is_noticed() -> None:
    log, stored = log_of([("a", "x", 1_000), ("a", "y", 1_100)]), InMemoryState()
    writer, source = writer_on(stored), InMemoryEventSource(log)
    writer.step(source.read(0, 1, 0))
    before = stored.position
    writer.step(source.read(1, 1, 0))
    writer.check()
    stored.position = before
    with pytest.raises(Fenced, match=r"stands at .*offset=1"):
        writer.check()


def test_a_writer_that_meets_what_a_fallen_back_state_lost_is_fenced() -> None:
    """Not a mismatch, which would end the worker and ask for a rebuild."""
    stored = InMemoryState()
    writer = writer_on(stored)
    before = stored.position
    writer.step(InMemoryEventSource(log_of([("a", "x", 1_000)])).read(0, 1, 0))
    stored.position, stored.items = before, {}
    writer._records._item_records.clear()
    with pytest.raises(Fenced):
        writer.close_ticks(2_000)


def test_state_of_another_log_and_state_ahead_of_its_log_are_refused() -> None:
    log, stored = log_of([("a", "x", 1_000)]), InMemoryState()
    store, source = InMemoryStateStore(stored), InMemoryEventSource(log)
    epoch = store.acquire("writer", 60_000)
    check_state(store, source, "bundle", epoch)
    writer = Writer(store, ToyModel(), epoch)
    writer.resume()
    writer.step(source.read(0, 10, 0))
    with pytest.raises(StateMismatch, match="belongs to log"):
        check_state(store, InMemoryEventSource(InMemoryLog()), "bundle", epoch)
    log.offsets.clear()
    with pytest.raises(StateMismatch, match="has lost records"):
        check_state(store, source, "bundle", epoch)


def test_only_a_state_in_which_nothing_happened_is_taken_over_by_another_bundle() -> None:
    log, stored = log_of([("a", "x", 1_000)]), InMemoryState()
    store, source = InMemoryStateStore(stored), InMemoryEventSource(log)
    epoch = store.acquire("writer", 60_000)
    for bundle in ("old", "new"):
        check_state(store, source, bundle, epoch)
        assert store.position() == Position(log_id=log.id, bundle=bundle)
    writer_on(stored).step(source.read(0, 10, 0))
    with pytest.raises(StateMismatch, match="made by bundle new, not by old"):
        check_state(store, source, "old", epoch)
    assert list(stored.users) == [b"a"]


def test_a_state_from_before_a_complete_erasure_is_made_again() -> None:
    """It would never meet the marker."""
    log, stored = log_of([("a", "x", 1_000), ("b", "x", 1_000)]), InMemoryState()
    store, source = InMemoryStateStore(stored), InMemoryEventSource(log)
    epoch = store.acquire("writer", 60_000)
    check_state(store, source, "bundle", epoch)
    writer = Writer(store, ToyModel(), epoch)
    writer.resume()
    writer.step(source.read(0, 1, 0))
    log.erased = 1
    assert check_state(store, source, "bundle", epoch) is False
    log.erased = 2
    assert check_state(store, source, "bundle", epoch) is True
    assert (stored.users, stored.position.offset) == ({}, 0)
    assert check_state(store, source, "bundle", epoch) is False


def test_accept_deduplicates_only_ids_that_the_client_gave() -> None:
    first, second = accept(events_of([("a", "x", 1), ("a", "y", 2)]), [True, False])
    assert len(first.dedupe) == 16
    assert second.dedupe == b""
    assert first.payload != second.payload
