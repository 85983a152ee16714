"""Reading the log with its archive behind it, and the keeper's process around the keeper."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import pytest

from service.adapters.in_memory import InMemoryEventSource, InMemoryGenerations
from service.adapters.in_memory_archive import (
    InMemoryArchive,
    InMemoryArchiveStore,
    InMemoryLogKeeper,
    InMemorySnapshots,
)
from service.adapters.in_memory_erasures import InMemoryErasures
from service.adapters.in_memory_profiles import InMemoryProfileEraser
from service.core.log_records import LogRecords
from service.errors import LogTrimmed, StoreUnavailable
from service.event_path import ArchivedSource
from service.ports import EventArchive
from service.processes.keeper import Keeper
from service.settings import load_settings
from service.wiring import KeeperServices
from tests.paths.keeping import LENGTH, Place, all_of


def test_a_source_with_an_archive_reads_the_log_where_the_log_is_whole() -> None:
    place = Place()
    place.append(20)
    source = ArchivedSource(place.archive(), InMemoryEventSource(place.log))
    assert source.log_id() == place.log.id
    assert source.end() == 20
    assert all_of(source) == list(range(1, 21))


@pytest.mark.parametrize("count", [1, 7, 1_000])
def test_a_source_with_an_archive_goes_from_archive_to_log_and_back(count: int) -> None:
    place = Place()
    place.append(90)
    keeping = place.keeping()
    for _ in range(3):
        keeping.turn()
        place.append(10)
    place.log.trim(100)
    source = place.archived_source()
    for _ in range(2):  # a state that was lost begins again
        assert all_of(source, count) == list(range(1, 121))
    keeping.turn()
    place.append(5)
    assert source.read(120, 10, 0).offset.tolist() == [121, 122, 123, 124, 125]


def test_records_that_are_gone_from_both_are_missed() -> None:
    place = Place()
    place.append(20)
    place.log.trim(10)
    with pytest.raises(LogTrimmed, match="the archive ends before it"):
        place.archived_source().read(0, 10, 0)


class Flaky(InMemoryArchive):
    """Its first appends fail, some after they happened."""

    def __init__(self, store: InMemoryArchiveStore) -> None:
        super().__init__(store)
        self.failures = [False, True, False, True]

    def append(self, records: LogRecords) -> None:
        if self.failures and self.failures.pop():
            super().append(records)
            raise StoreUnavailable("the archive: lost reply")
        if self.failures:
            raise StoreUnavailable("the archive: away")
        super().append(records)


def run_until(keeper: Keeper, condition: Callable[[], bool]) -> None:
    """Runs a keeper in a thread until the condition holds, then stops it."""
    thread = Thread(target=keeper.run)
    thread.start()
    try:
        for _ in range(1_000):
            if condition():
                break
            thread.join(0.02)
        assert condition()
    finally:
        keeper.stop.set()
        thread.join(20)
    assert not thread.is_alive()


def services(place: Place, archive: EventArchive | None) -> KeeperServices:
    source, keeper = InMemoryEventSource(place.log), InMemoryLogKeeper(place.log)
    eraser = InMemoryProfileEraser(place.state.profiles)
    erasing = (InMemoryErasures(place.log), InMemorySnapshots(), InMemorySnapshots(), eraser)
    return KeeperServices(source, keeper, InMemoryGenerations(place.state), place.snapshots, archive, *erasing)


def test_the_process_rides_out_an_archive_that_is_away_and_gives_its_lease_back() -> None:
    place = Place()
    place.append(150)
    place.apply(150)
    settings = load_settings(log_length=LENGTH, keeper_seconds=0.01)
    run_until(Keeper(services(place, Flaky(place.store)), settings), lambda: place.log.begin == 101)
    assert place.log.lease is None
    assert all_of(place.archived_source()) == list(range(1, 151))


def test_a_second_process_waits_and_takes_over() -> None:
    place = Place()
    settings = load_settings(log_length=LENGTH, keeper_seconds=0.01, lease_seconds=1.0)
    place.append(10)
    InMemoryLogKeeper(place.log).acquire("dead", 300)  # was killed: its lease runs out
    run_until(Keeper(services(place, place.archive()), settings), lambda: place.archive().end() == 10)
