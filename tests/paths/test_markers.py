"""Erase and switch markers in the log: what the writer makes of them, wherever a batch is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.process.batch import Users
from model.process.records import NEVER, SWITCHED_OFF
from service.core.blobs import unpack_users
from service.core.types import Erase, Switch
from service.request_path import Request, recommend
from tests.paths.world import World, assert_same
from tests.process.toy import TOY_SPEC

EVENTS = [("ann", "x", 1_000), ("bob", "x", 1_010), ("ann", "y", 1_150)]


def record_of(world: World, user_id: str) -> Users:
    return unpack_users([world.state.users[user_id.encode()]], TOY_SPEC)


def test_an_erased_user_has_no_record_and_others_keep_theirs() -> None:
    world = World()
    world.post(EVENTS)
    bob = world.state.users[b"bob"]
    items = dict(world.state.items)
    world.mark(Erase("ann"), Erase("nobody"), Erase("ann"))
    assert world.state.users == {b"bob": bob}
    assert world.state.items == items  # what items have learned stays until a rebuild
    assert world.writer.position.offset == 6


def test_events_after_the_marker_begin_a_new_record() -> None:
    world, fresh = World(), World()
    world.post(EVENTS)
    world.mark(Erase("ann"))
    world.post([("ann", "z", 1_160)])
    row = record_of(world, "ann").rows[0]
    assert (row["events"], row["moments"], row["steps"], row["key"]) == (1, 1, 0, 1_160)
    fresh.post([("bob", "x", 1_010), ("ann", "z", 1_160)])
    assert record_of(fresh, "ann").pairs["count"].tolist() == record_of(world, "ann").pairs["count"].tolist()


def test_switching_off_deletes_memory_neighbours_and_pairs_and_events_no_longer_reach_them() -> None:
    world = World()
    world.post(EVENTS)
    world.mark(Switch("ann", on=False))
    blank = world.state.users[b"ann"]
    world.post([("ann", "y", 1_200), ("ann", "w", 1_300)])
    assert world.state.users[b"ann"] == blank
    users = record_of(world, "ann")
    row = users.rows[0]
    assert (row["flags"], row["events"], row["count"], row["key"]) == (SWITCHED_OFF, 0, 0, NEVER)
    assert (row["nb_time"] == NEVER).all()
    assert len(users.pairs) == 0
    assert row["m"].tolist() == world.model.initial_user.tolist()
    assert world.state.ids == ["x", "y", "w"]  # the new item is counted


def test_switching_on_starts_from_the_initial_state() -> None:
    world, fresh = World(), World()
    world.post(EVENTS)
    world.mark(Switch("ann", on=False))
    world.mark(Switch("ann", on=True))
    assert b"ann" not in world.state.users
    world.post([("ann", "q", 1_400)])
    fresh.post([("ann", "q", 1_400)])
    row, expected = record_of(world, "ann").rows[0], record_of(fresh, "ann").rows[0]
    assert {name: row[name].tolist() for name in ("m", "count", "events", "flags", "steps")} == {
        name: expected[name].tolist() for name in ("m", "count", "events", "flags", "steps")
    }


def test_switching_on_a_user_who_is_on_changes_nothing() -> None:
    world = World()
    world.post(EVENTS)
    before = dict(world.state.users)
    world.mark(Switch("ann", on=True), Switch("nobody", on=True))
    assert world.state.users == before


markers = st.sampled_from(["event", "erase", "off", "on"])


@settings(max_examples=80, deadline=None)
@given(script=st.lists(st.tuples(markers, st.sampled_from("abc"), st.integers(0, 5)), max_size=25), data=st.data())
def test_where_a_batch_is_cut_does_not_matter_nor_whether_commits_overlap(
    script: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    whole, parts = World(), World(overlap=True)
    for world in (whole, parts):
        for at, (kind, user, item) in enumerate(script):
            if kind == "event":
                world.append([(user, f"item-{item}", 1_000 + 30 * at)])
            else:
                world.append_markers(Erase(user) if kind == "erase" else Switch(user, on=kind == "on"))
    whole.work()
    while len(records := parts.source.read(parts.writer.position.offset, data.draw(st.integers(1, 6)), 0)):
        parts.writer.step(records)
    parts.writer.close()
    assert_same(parts.state, whole.state)


@pytest.mark.anyio
async def test_the_list_of_a_switched_off_user_is_that_of_an_unknown_one_and_says_so() -> None:
    world = World()
    world.post([*EVENTS, ("bob", "y", 1_300)])
    async with world.serving() as serving:
        personal = await recommend(Request("ann", exclude_seen=True), serving)
    world.mark(Switch("ann", on=False))
    world.post([("ann", "x", 1_350)])
    async with world.serving() as serving:
        switched_off = await recommend(Request("ann", exclude_seen=True, at=1_400), serving)
        unknown = await recommend(Request("nobody", exclude_seen=True, at=1_400), serving)
    assert (personal.strategy, personal.personalised, personal.item_ids) == ("model", True, [])
    assert (switched_off.strategy, switched_off.personalised) == ("impersonal", False)
    assert (unknown.strategy, unknown.personalised) == ("model", True)
    assert set(switched_off.item_ids) == {"x", "y"}
    assert switched_off.item_ids == unknown.item_ids
    assert switched_off.scores == unknown.scores
    assert (switched_off.events_seen, switched_off.last_event_at) == (0, None)


@pytest.mark.anyio
async def test_popular_items_of_a_switched_off_user_leave_nothing_out() -> None:
    world = World()
    world.post([("ann", "x", 1_000), ("bob", "y", 1_010)])
    world.mark(Switch("ann", on=False))
    world.post([("ann", "x", 1_020)])
    async with world.serving(has_bundle=False) as serving:
        answer = await recommend(Request("ann", exclude_seen=True), serving)
    assert (answer.strategy, answer.personalised, answer.item_ids) == ("popular", False, ["x", "y"])
