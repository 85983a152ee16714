"""The keeper over in-memory adapters: what it copies, when it trims, and that nothing is lost wherever it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import pytest

from service.adapters.in_memory import InMemoryEventSource, InMemoryLog, InMemoryState, InMemoryStateStore
from service.adapters.in_memory_archive import (
    InMemoryArchive,
    InMemoryArchiveStore,
    InMemoryLogKeeper,
    InMemorySnapshots,
)
from service.core.log_records import LogRecords
from service.core.types import Append, ArchiveFile, Position
from service.errors import ArchiveMismatch, Fenced, LogTrimmed, StoreUnavailable
from service.event_path import ArchivedSource, Keeping
from service.event_path.keeping import PAUSE_SECONDS
from service.ports import EventArchive
from service.processes.keeper import Keeper
from service.settings import load_settings
from service.wiring import KeeperServices

LENGTH = 100


@dataclass
class Place:
    """A log, a state and an archive; the state stands where it is told."""

    log: InMemoryLog = field(default_factory=InMemoryLog)
    state: InMemoryState = field(default_factory=InMemoryState)
    store: InMemoryArchiveStore = field(default_factory=InMemoryArchiveStore)
    snapshots: InMemorySnapshots = field(default_factory=InMemorySnapshots)
    now: float = 0.0

    def keeping(self, archive: EventArchive | None = None, epoch: int | None = None) -> Keeping:
        source, keeper = InMemoryEventSource(self.log), InMemoryLogKeeper(self.log)
        found = Keeping(
            source,
            keeper,
            InMemoryStateStore(self.state),
            self.snapshots,
            archive or InMemoryArchive(self.store),
            LENGTH,
            lambda: self.now,
        )
        found.resume(keeper.acquire("keeper", 60_000) if epoch is None else epoch)
        return found

    def append(self, count: int) -> None:
        self.log.append([Append(b"p", n) for n in range(count)])

    def apply(self, offset: int) -> None:
        self.state.position = Position(offset=offset, log_id=self.log.id)

    def archive(self) -> InMemoryArchive:
        return InMemoryArchive(self.store)

    def archived_source(self) -> ArchivedSource:
        return ArchivedSource(self.archive(), InMemoryEventSource(self.log))


def turns(keeping: Keeping, number: int = 3) -> None:
    for _ in range(number):
        keeping.turn()


def all_of(source: ArchivedSource, count: int = 33) -> list[int]:
    offsets: list[int] = []
    while len(some := source.read(offsets[-1] if offsets else 0, count, 0)):
        offsets += some.offset.tolist()
    return offsets


def test_what_is_in_the_log_is_in_the_archive_after_a_turn() -> None:
    place = Place()
    keeping = place.keeping()
    for count in (0, 3, 1, 0, 250):
        place.append(count)
        keeping.turn()
        assert place.archive().end() == place.log.end
    archive = place.archive()
    assert archive.log_id() == place.log.id
    found = archive.read(3, 1)
    assert (found.offset.tolist(), found.timestamp.tolist(), found.payloads()) == ([4], [0], [b"p"])


def test_a_long_log_is_copied_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.event_path.keeping.CHUNK", 10)
    monkeypatch.setattr("service.event_path.keeping.MOST_RECORDS", 30)
    place = Place()
    place.append(70)
    keeping = place.keeping()
    assert [keeping.turn() for _ in range(3)] == [True, True, False]
    assert [file.rows for file in place.archive().files()] == [30, 30, 10]


def test_a_log_that_is_too_long_is_cut_to_half_when_all_is_kept_elsewhere() -> None:
    place = Place()
    keeping = place.keeping()
    place.append(LENGTH)
    place.apply(LENGTH)
    turns(keeping)
    assert (place.log.begin, place.snapshots.begun) == (1, 0)  # not too long yet
    place.append(1)
    place.apply(LENGTH + 1)
    turns(keeping)
    assert (place.log.begin, place.log.end) == (LENGTH // 2 + 2, LENGTH + 1)
    assert all_of(place.archived_source()) == list(range(1, LENGTH + 2))


def test_nothing_is_trimmed_before_a_copy_of_the_state_is_complete() -> None:
    place = Place()
    place.append(150)
    place.apply(150)
    place.snapshots.busy = True
    keeping = place.keeping()
    turns(keeping, 5)
    assert (place.log.begin, place.snapshots.begun) == (1, 1)
    place.snapshots.busy = False
    turns(keeping)
    assert place.log.begin == 101


def test_records_that_the_state_did_not_reach_stay() -> None:
    place = Place()
    place.append(150)
    place.apply(30)
    keeping = place.keeping()
    turns(keeping)
    assert place.log.begin == 31
    turns(keeping)
    assert place.snapshots.begun == 1  # the state has not moved: another copy would not help
    place.apply(120)
    turns(keeping)
    assert place.snapshots.begun == 1  # nor is one made every few seconds
    place.now += PAUSE_SECONDS
    turns(keeping)
    assert (place.log.begin, place.snapshots.begun) == (101, 2)


def test_a_copy_covers_what_the_state_held_when_it_began_and_not_what_came_since() -> None:
    place = Place()
    place.append(150)
    place.apply(60)
    place.snapshots.busy = True
    keeping = place.keeping()
    turns(keeping)
    place.apply(150)
    place.snapshots.busy = False
    turns(keeping)
    assert place.log.begin == 61


@pytest.mark.parametrize("position", [Position(), Position(offset=150, log_id="another")])
def test_a_state_that_is_not_this_logs_covers_nothing(position: Position) -> None:
    place = Place()
    place.append(150)
    place.state.position = position
    keeping = place.keeping()
    turns(keeping)
    assert (place.log.begin, place.snapshots.begun) == (1, 0)


def test_a_server_that_makes_no_copies_keeps_the_log_whole_and_is_asked_seldom(capsys: Any) -> None:
    place = Place()
    place.append(150)
    place.apply(150)
    place.snapshots.refusal = "BGREWRITEAOF: not allowed"
    keeping = place.keeping()
    for _ in range(3):
        turns(keeping)
        place.now += PAUSE_SECONDS
    assert place.log.begin == 1
    assert place.archive().end() == 150  # copying goes on
    assert capsys.readouterr().out.count("not allowed") == 1  # said once
    place.snapshots.refusal = ""
    turns(keeping)
    assert place.log.begin == 101


class Damaged(InMemoryArchive):
    """Its file that holds `offset` is broken."""

    def __init__(self, store: InMemoryArchiveStore, offset: int) -> None:
        super().__init__(store)
        self.offset = offset

    def check(self, file: ArchiveFile) -> str:
        return "broken" if file.first <= self.offset <= file.last else super().check(file)


@pytest.mark.parametrize(("offset", "begin"), [(1, 1), (45, 41), (90, 81), (130, 101)])
def test_nothing_is_trimmed_that_cannot_be_read_back_from_the_archive(offset: int, begin: int) -> None:
    place = Place()
    keeping = place.keeping(Damaged(place.store, offset))
    for count in (20, 20, 20, 20, 20, 20, 20, 10):  # a file each
        place.append(count)
        keeping.turn()
    place.apply(150)
    turns(keeping)
    assert place.log.begin == begin


def test_records_that_neither_log_nor_archive_has_stop_the_keeper() -> None:
    place = Place()
    place.append(150)
    place.log.trim(50)
    keeping = place.keeping()
    with pytest.raises(LogTrimmed, match="the record 1 is gone"):
        keeping.turn()


def test_an_archive_ahead_of_the_log_or_of_another_log_is_refused() -> None:
    place = Place()
    place.append(10)
    place.keeping().turn()
    lost = Place(store=place.store)
    lost.log.id = place.log.id
    with pytest.raises(ArchiveMismatch, match="the archive ends at offset 10, the log at 0"):
        lost.keeping()
    with pytest.raises(ArchiveMismatch, match="belongs to log"):
        Place(store=place.store).keeping()
    other = Place(store=place.store)
    other.append(3)
    other.log.trim(2)
    with pytest.raises(ArchiveMismatch, match="belongs to log"):
        other.archived_source().read(0, 10, 0)


class Killed(Exception):
    """The keeper's process ends here."""


class KilledAt:
    """Ends the process before or after the n-th call of a port that changes something."""

    def __init__(self, port: Any, left: list[int], after: bool) -> None:
        self._port, self._left, self._after = port, left, after

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if name not in {"claim", "append", "trim", "begin", "ended"}:
            return attribute

        def call(*args: Any) -> Any:
            self._left[0] -= 1
            if self._left[0] == 0 and not self._after:
                raise Killed
            answer = attribute(*args)
            if self._left[0] == 0:
                raise Killed
            return answer

        return call


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_it_goes_on_without_a_record_lost_or_doubled(after: bool) -> None:
    kills = 0
    for number in range(1, 60):
        place, left = Place(), [number]
        place.append(150)
        place.apply(140)
        source = InMemoryEventSource(place.log)
        ports = [InMemoryLogKeeper(place.log), place.snapshots, place.archive()]
        keeper, snapshots, archive = (KilledAt(port, left, after) for port in ports)
        keeping = Keeping(source, keeper, InMemoryStateStore(place.state), snapshots, archive, LENGTH)  # type: ignore[arg-type]
        try:
            keeping.resume(InMemoryLogKeeper(place.log).acquire("keeper", 60_000))
            turns(keeping)
        except Killed:
            kills += 1
        else:
            break
        assert all_of(place.archived_source()) == list(range(1, 151))
        turns(place.keeping())
        assert place.log.begin == 101
        assert all_of(place.archived_source()) == list(range(1, 151))
        assert [file.first for file in place.archive().files()] == [1]
    assert kills > 6


def test_a_stalled_keeper_that_wakes_up_changes_nothing() -> None:
    place = Place()
    place.append(150)
    place.apply(150)
    stalled = place.keeping()
    turns(stalled, 1)  # it has begun a copy of the state
    place.log.lease = None  # its lease runs out
    turns(place.keeping(), 1)
    place.append(1)
    with pytest.raises(Fenced):
        stalled.turn()
    assert place.log.begin == 1
    assert place.archive().end() == 150


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
    return KeeperServices(source, keeper, InMemoryStateStore(place.state), place.snapshots, archive)


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


def test_without_an_archive_nothing_is_trimmed() -> None:
    place = Place()
    place.append(150)
    place.apply(150)
    keeping = Keeping(
        InMemoryEventSource(place.log),
        InMemoryLogKeeper(place.log),
        InMemoryStateStore(place.state),
        place.snapshots,
        None,
        LENGTH,
    )
    keeping.resume(1)
    turns(keeping)
    assert (place.log.begin, place.snapshots.begun) == (1, 0)
