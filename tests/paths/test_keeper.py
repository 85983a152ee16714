"""The keeper over in-memory adapters: what it copies, when it trims, and that nothing is lost wherever it ends."""

from __future__ import annotations

from typing import Any

import pytest

from service.adapters.in_memory import InMemoryEventSource, InMemoryGenerations
from service.adapters.in_memory_archive import InMemoryArchive, InMemoryArchiveStore, InMemoryLogKeeper
from service.core.types import ArchiveFile, Position
from service.errors import ArchiveMismatch, Fenced, LogTrimmed
from service.event_path import Keeping
from service.event_path.keeping import PAUSE_SECONDS
from tests.paths.keeping import LENGTH, Place, all_of, turns


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
    place.append(400)
    keeping = place.keeping()
    place.apply(30)
    turns(keeping)
    assert (place.log.begin, place.snapshots.begun) == (31, 1)
    place.now += PAUSE_SECONDS
    turns(keeping)
    assert place.snapshots.begun == 1  # the state has not moved: another copy would not help
    place.apply(60)
    turns(keeping)
    assert (place.log.begin, place.snapshots.begun) == (61, 2)
    place.apply(390)
    turns(keeping)
    assert place.snapshots.begun == 2  # not every few seconds
    place.now += PAUSE_SECONDS
    turns(keeping)
    assert (place.log.begin, place.snapshots.begun) == (351, 3)


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


def test_a_server_that_makes_no_copies_keeps_the_log_whole_and_is_asked_seldom(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
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
    assert (capsys.readouterr().out + caplog.text).count("not allowed") == 1  # said once
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
        keeping = Keeping(source, keeper, InMemoryGenerations(place.state), snapshots, archive, LENGTH)  # type: ignore[arg-type]
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


def test_without_an_archive_nothing_is_trimmed() -> None:
    place = Place()
    place.append(150)
    place.apply(150)
    keeping = Keeping(
        InMemoryEventSource(place.log),
        InMemoryLogKeeper(place.log),
        InMemoryGenerations(place.state),
        place.snapshots,
        None,
        LENGTH,
    )
    keeping.resume(1)
    turns(keeping)
    assert (place.log.begin, place.snapshots.begun) == (1, 0)
