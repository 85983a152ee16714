"""Work stays bounded whoever is hot: counted in graph calls, in the rows of each, in pairs handled and bytes stored."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from model.process import pairs as pairs_module
from model.process.batch import Events, Items, Users
from model.process.records import PAIR, Float, Int, Records, layout
from model.spec import ModelSpec
from service.adapters.in_memory import InMemoryEventSource, InMemoryLog, InMemoryState, InMemoryStateStore
from service.core.blobs import unpack_users
from service.core.types import Commit, Event
from service.event_path import Writer, accept
from tests.process.toy import TOY_SPEC, ToyModel

BATCH = 2_000
SPEC = TOY_SPEC.model_copy(update={"item_tick": 3_600, "pop_step": 3_600})
START = 1_000 * SPEC.item_tick
USER_BYTES = layout(SPEC).user.itemsize
Row = tuple[int, int, int]
"""User, item, seconds after START."""


class CountingModel(ToyModel):
    """rows: how many each call of an updater was given, for users and for items."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.users: list[int] = []
        self.items: list[int] = []

    def update_users(self, rows: Records) -> Float:
        self.users.append(len(rows))
        return super().update_users(rows)

    def update_items(self, rows: Records) -> Float:
        self.items.append(len(rows))
        return super().update_items(rows)


class CountingStore(InMemoryStateStore):
    """commits: what was committed; read: how many records were asked for."""

    def __init__(self, state: InMemoryState) -> None:
        super().__init__(state)
        self.commits: list[Commit] = []
        self.read = 0

    def users(self, user_ids: Sequence[bytes]) -> list[bytes | None]:
        self.read += len(user_ids)
        return super().users(user_ids)

    def items(self, index: Sequence[int]) -> list[bytes | None]:
        self.read += len(index)
        return super().items(index)

    def commit(self, commit: Commit) -> None:
        self.commits.append(commit)
        super().commit(commit)


class World:
    def __init__(self, spec: ModelSpec = SPEC) -> None:
        self.model, self.state, self.log = CountingModel(spec), InMemoryState(), InMemoryLog()
        self.store = CountingStore(self.state)
        self.writer = Writer(self.store, self.model, self.store.acquire("tests", 60_000))
        self.writer.resume()

    def apply(self, rows: Sequence[Row]) -> Commit:
        """The commit of one step with all of `rows`; the counts are of this step alone."""
        events = [Event("", f"u{user}", f"i{item}", "view", START + at, 1.0) for user, item, at in rows]
        self.log.append(accept(events, [False] * len(events)))
        self.model.users.clear()
        self.model.items.clear()
        self.store.read = 0
        done = len(self.store.commits)
        self.writer.step(InMemoryEventSource(self.log).read(self.writer.position.offset, len(rows), 0))
        (commit,) = self.store.commits[done:]
        return commit

    def user(self, user: int) -> Users:
        return unpack_users([self.state.users[f"u{user}".encode()]], SPEC)


def test_one_user_in_every_event_of_one_timestamp_is_one_moment() -> None:
    world = World()
    world.apply([(0, 0, 0)])
    commit = world.apply([(0, item, 60) for item in range(BATCH)])
    assert world.model.users == [1]
    assert list(commit.users) == [b"u0"]
    assert world.user(0).rows["moments"].tolist() == [2]


def test_one_user_in_every_event_of_different_timestamps_is_one_row_in_one_call_an_event() -> None:
    world = World()
    commit = world.apply([(0, at % 50, at) for at in range(BATCH)])
    assert world.model.users == [1] * (BATCH - 1)  # the first moment has none before it to be folded
    assert sum(world.model.items) == 0  # one tick
    assert (len(commit.users), len(commit.items)) == (1, 50)
    assert world.user(0).rows["moments"].tolist() == [BATCH]


def test_moments_of_different_users_share_their_calls() -> None:
    world = World()
    world.apply([(user, 0, 0) for user in range(40)])
    world.apply([(user, user, at) for at in range(1, 51) for user in range(40)])
    assert world.model.users == [40] * 50


def test_one_item_in_every_event_steps_once_a_tick_and_is_stored_once() -> None:
    world = World()
    world.apply([(user, 0, 0) for user in range(BATCH)])
    commit = world.apply([(user, 0, SPEC.item_tick + user) for user in range(BATCH)])
    assert world.model.items == [1]  # its old tick, folded
    assert list(commit.items) == [0]
    assert commit.feed is not None
    assert (len(commit.feed.counter_index), len(commit.feed.vector_index)) == (1, 1)


def test_a_hundred_thousand_events_on_fifty_thousand_items_stay_within_the_cap() -> None:
    """100 events a second for 1,000 s, each on an item of its own, every item twice."""
    world, basket = World(), 100
    rows = [(0, event % 50_000, event // basket) for event in range(100_000)]
    most = USER_BYTES + (SPEC.max_pairs + basket) * PAIR.itemsize
    for first in range(0, len(rows), BATCH):
        commit = world.apply(rows[first : first + BATCH])
        assert len(world.model.users) <= BATCH // basket
        assert len(commit.items) <= BATCH
        assert world.store.read <= 1 + BATCH
        assert len(commit.users[b"u0"]) <= most
    (record,) = world.user(0).rows
    assert (record["events"], record["moments"]) == (100_000, 1_000)
    assert record["evicted"] == 100_000 - len(world.user(0).pairs)
    assert world.user(0).pairs["item"].tolist() == sorted(world.user(0).pairs["item"].tolist())
    newest = {world.state.ids.index(f"i{item}") for _, item, _ in rows[-SPEC.max_pairs :]}
    assert newest <= set(world.user(0).pairs["item"].tolist())


def test_a_hot_user_at_the_cap_costs_its_own_pairs_and_not_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    cap, basket, others, moments = 50, 200, 100, 150
    world = World(SPEC.model_copy(update={"max_pairs": cap}))
    world.apply([(user, item, 0) for user in range(1, 1 + others) for item in range(basket)])
    handled: list[int] = []
    add = pairs_module._add

    def counting(users: Users, items: Items, events: Events, number: Int, spec: ModelSpec) -> None:
        add(users, items, events, number, spec)
        handled.append(len(users.pairs))

    monkeypatch.setattr(pairs_module, "_add", counting)
    world.apply([(0, at, at) for at in range(1, 1 + moments)] + [(user, 0, moments) for user in range(1, 1 + others)])
    assert len(world.user(0).pairs) == cap + 1
    assert world.user(0).rows["evicted"].tolist() == [moments - cap - 1]
    everybody_once = others * basket
    assert sum(handled) <= everybody_once + (moments + others) * (cap + 1)
