"""Workers beside each other, in memory: one leads, the others stand by, and no two of them write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread

import pytest

from service.adapters.bundle import Bundle
from service.adapters.in_memory import (
    InMemoryEventSource,
    InMemoryGenerations,
    InMemoryLog,
    InMemoryState,
    InMemoryStateStore,
)
from service.adapters.in_memory_live import InMemoryLiveModels
from service.core.log_records import LogRecords
from service.core.types import Commit
from service.errors import StateMismatch, StoreUnavailable
from service.event_path import Catalogue, Lease, Rebuild, accept
from service.event_path import lease as lease_module
from service.processes import worker as worker_module
from service.processes.worker import Worker
from service.settings import load_settings
from service.wiring import WorkerServices
from tests.paths.test_event_path import Row, events_of
from tests.paths.test_rebuild import assert_same_state
from tests.process.toy import ToyModel

SETTINGS = load_settings(clock="event", lease_seconds=1.0, batch_size=5)
ROWS: list[Row] = [("abc"[n % 3], "uvwxyz"[n * n % 6], 1_000 + 9 * n) for n in range(60)]
DEADLINE = 10.0


class Deployment:
    """A log and the generations of a state that several workers share."""

    def __init__(self) -> None:
        self.log = InMemoryLog()
        self.first = InMemoryState()
        self.generations = InMemoryGenerations(self.first)

    def post(self, rows: list[Row]) -> None:
        self.log.append(accept(events_of(rows), [False] * len(rows)))

    def worker(self, bundle: str = "toy", owner: str = "one", source: InMemoryEventSource | None = None) -> Worker:
        weights = Bundle(ToyModel(), bundle, bundle)
        models = InMemoryLiveModels(self.generations)
        services = WorkerServices(source or InMemoryEventSource(self.log), self.generations, weights, models)
        return Worker(services, SETTINGS, owner=owner)

    def applied(self) -> bool:
        return self.generations.active.position.offset == self.log.end


@contextmanager
def running(*workers: Worker) -> Iterator[None]:
    threads = [Thread(target=worker.run, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.stop.set()
        for thread in threads:
            thread.join(DEADLINE)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def replayed(rows: list[Row]) -> InMemoryState:
    """The state of an undisturbed worker."""
    calm = Deployment()
    calm.post(rows)
    with running(calm.worker()):
        until(calm.applied)
    return calm.first


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LOOK_SECONDS", 0.01)


def test_a_standby_waits_and_takes_over_when_the_leader_stops() -> None:
    deployment = Deployment()
    first, second = deployment.worker(owner="one"), deployment.worker(owner="two")
    with running(first):
        until(lambda: deployment.first.holder() == "one")
        with running(second):
            deployment.post(ROWS[:20])
            until(deployment.applied)
            assert deployment.first.holder() == "one"
            epoch = deployment.first.epoch
            first.stop.set()
            until(lambda: deployment.first.holder() == "two")
            deployment.post(ROWS[20:])
            until(deployment.applied)
            assert deployment.first.epoch == epoch + 1
    assert deployment.first.holder() is None
    assert_same_state(deployment.first, replayed(ROWS))


def test_a_standby_holds_the_catalogue_when_it_takes_over() -> None:
    deployment = Deployment()
    first, second = deployment.worker(owner="one"), deployment.worker(owner="two")
    with running(first), running(second):
        until(lambda: deployment.first.holder() is not None)
        standby = second if deployment.first.holder() == "one" else first
        deployment.post(ROWS)
        until(lambda: deployment.applied() and len(standby._items) == len(deployment.first.ids))
        assert standby._items.index == {item.encode(): at for at, item in enumerate(deployment.first.ids)}


@pytest.mark.parametrize("held", [[], ["u"], ["u", "v"], ["u", "v", "w"], ["v", "u"], ["x", "y", "z", "u"]])
def test_whatever_a_catalogue_holds_it_becomes_that_of_the_store_it_follows(held: list[str]) -> None:
    store, items = InMemoryStateStore(InMemoryState(ids=["u", "v", "w"])), Catalogue()
    items.add(held)
    for count in (2, 3, 1):
        items.follow(store, count)
        assert items.index == {item.encode(): at for at, item in enumerate(["u", "v", "w"][:count])}
        assert len(items.hash) == count
    with pytest.raises(StateMismatch, match="counts 9 items and lists 3"):
        items.follow(store, 9)


def test_a_leader_that_is_stuck_loses_the_lease_and_is_fenced_when_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "STUCK_SECONDS", 0.3)
    deployment = Deployment()
    stuck: list[int] = []

    class Stuck(InMemoryEventSource):
        """Reads some records, and gives them only when somebody else has applied them."""

        def read(self, after: int, count: int, block_ms: int) -> LogRecords:
            found = super().read(after, count, block_ms)
            if len(found) and not stuck:
                stuck.append(len(found))
                until(lambda: deployment.first.holder() == "two" and deployment.applied())
            return found

    first = deployment.worker(owner="one", source=Stuck(deployment.log))
    second = deployment.worker(owner="two")
    with running(first):
        until(lambda: deployment.first.holder() == "one")
        with running(second):
            deployment.post(ROWS[:30])
            until(deployment.applied)
            deployment.post(ROWS[30:40])
            until(deployment.applied)
            assert (stuck, deployment.first.holder()) == ([5], "two")
            second.stop.set()
            until(lambda: deployment.first.holder() == "one")  # it has stood by
            deployment.post(ROWS[40:])
            until(deployment.applied)
    assert_same_state(deployment.first, replayed(ROWS))


def test_another_bundle_takes_over_when_it_has_caught_up_and_the_old_one_never_undoes_it() -> None:
    deployment = Deployment()
    old, new = deployment.worker("old", "one"), deployment.worker("new", "two")
    with running(old):
        deployment.post(ROWS[:40])
        until(deployment.applied)
        with running(new):
            until(lambda: deployment.generations.active.number == 2)
            deployment.post(ROWS[40:])
            until(deployment.applied)
            assert deployment.generations.active.holder() == "two"
            until(lambda: deployment.first.holder() is None)  # the old one gave up what it had
        until(lambda: "made by bundle new" in old._waits_for)
        assert deployment.generations.active.holder() is None
    assert (deployment.generations.active.number, deployment.generations.active.position.bundle) == (2, "new")
    assert_same_state(deployment.generations.active, replayed(ROWS))


def test_a_worker_started_with_another_bundle_makes_the_state_again_even_if_nobody_leads() -> None:
    deployment = Deployment()
    deployment.post(ROWS)
    with running(deployment.worker("old")):
        until(deployment.applied)
    with running(deployment.worker("new")):
        until(lambda: deployment.generations.active.position.bundle == "new")
    assert deployment.first.position.bundle == "old"
    assert_same_state(deployment.generations.active, deployment.first)


def test_a_worker_whose_state_would_not_fit_waits_until_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_ROOM_SECONDS", 0.01)
    deployment, taken = Deployment(), [0.6]
    deployment.post(ROWS)
    with running(deployment.worker("old")):
        until(deployment.applied)
    monkeypatch.setattr(InMemoryStateStore, "fullness", lambda _: taken[0])
    worker = deployment.worker("new")
    with running(worker):
        until(lambda: "60% is taken" in worker._waits_for)
        assert deployment.generations.active is deployment.first
        taken[0] = 0.1
        until(lambda: deployment.generations.active.position.bundle == "new")
    assert_same_state(deployment.generations.active, deployment.first)


def test_a_state_in_which_nothing_happened_is_taken_over_in_place() -> None:
    deployment = Deployment()
    for bundle in ("none", "first"):
        with running(deployment.worker(bundle)):
            until(lambda wanted=bundle: deployment.first.position.bundle == wanted)  # type: ignore[misc]
    assert deployment.generations.active is deployment.first


def test_a_leader_goes_on_in_the_generation_that_a_rebuild_made() -> None:
    deployment = Deployment()
    with running(deployment.worker()):
        deployment.post(ROWS[:30])
        until(deployment.applied)
        store = deployment.generations.next()
        with Lease(store, "rebuild", 60.0) as lease:
            made = Rebuild(lease, InMemoryEventSource(deployment.log), ToyModel(), "toy")
            assert made.run(7, Flag(), lambda *_: None)
        until(lambda: deployment.generations.active.holder() == "one")  # though there was nothing to commit
        deployment.post(ROWS[30:])
        until(deployment.applied)
    assert deployment.generations.active.number == 2
    assert_same_state(deployment.generations.active, replayed(ROWS))


def test_the_state_of_another_log_ends_a_worker() -> None:
    deployment = Deployment()
    deployment.post(ROWS)
    with running(deployment.worker()):
        until(deployment.applied)
    for bundle in ("toy", "another"):
        stranger = deployment.worker(bundle, source=InMemoryEventSource(InMemoryLog()))
        with pytest.raises(StateMismatch, match="belongs to log"):
            stranger.run()


def test_a_lost_reply_and_a_store_that_is_away_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.event_path.patience._LONGEST", 0.01)
    commit, calls = InMemoryStateStore.commit, []

    def shaky(store: InMemoryStateStore, one: Commit) -> None:
        calls.append(one)
        if len(calls) % 4 == 2:
            raise StoreUnavailable("away")
        commit(store, one)
        if len(calls) % 4 == 0:
            raise StoreUnavailable("the reply is lost")

    expected = replayed(ROWS)
    deployment = Deployment()
    monkeypatch.setattr(InMemoryStateStore, "commit", shaky)
    deployment.post(ROWS)
    with running(deployment.worker()):
        until(deployment.applied)
    assert len(calls) > 12
    assert_same_state(deployment.first, expected)
