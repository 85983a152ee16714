"""What every event log promises, to the side that appends and to the side that reads."""

from __future__ import annotations

import asyncio
import time

import pytest

from service.adapters import redis_log
from service.core.types import Append, Appended
from tests.contract.conftest import Log, NewLog
from tests.contract.entries import LogEntry, digest, entries_of

pytestmark = pytest.mark.anyio


def plain(*payloads: bytes) -> list[Append]:
    return [Append(payload, 1_000) for payload in payloads]


def read_all(log: Log) -> list[LogEntry]:
    found = []
    while some := entries_of(log.source.read(len(found), 100_000, 0)):
        found += some
    return found


async def test_an_empty_log_ends_at_zero_and_has_nothing_to_read(new_log: NewLog) -> None:
    log = new_log()
    assert await log.events.end() == log.source.end() == 0
    assert read_all(log) == []
    assert await log.events.append([]) == []


async def test_records_come_back_as_they_were_appended_in_order(new_log: NewLog) -> None:
    log = new_log()
    payload = bytes(range(256)) + "é".encode()
    answer = await log.events.append([Append(payload, 7), Append(b"", -5), Append(b"x", 2**62, digest("d"))])
    assert answer == [Appended(1, False), Appended(2, False), Appended(3, False)]
    assert read_all(log) == [LogEntry(1, 7, payload), LogEntry(2, -5, b""), LogEntry(3, 2**62, b"x")]
    assert await log.events.end() == log.source.end() == 3


async def test_offsets_have_no_gaps_over_many_appends_with_duplicates_between_them(new_log: NewLog) -> None:
    log = new_log()
    expected = 0
    for turn in range(20):
        digests = [b"", digest(f"new-{turn}"), digest("again"), digest(f"new-{turn}")]
        answer = await log.events.append([Append(b"p", 1, one) for one in digests])
        new = [one.offset for one in answer if not one.duplicate]
        assert new == list(range(expected + 1, expected + 1 + len(new)))
        expected += len(new)
    assert [entry.offset for entry in read_all(log)] == list(range(1, expected + 1))
    assert expected == 20 * 2 + 1


async def test_a_duplicate_in_one_call_is_left_out_and_answered_with_the_first_offset(new_log: NewLog) -> None:
    log = new_log()
    answer = await log.events.append(
        [Append(b"first", 1, digest("d")), Append(b"other", 1), Append(b"second", 1, digest("d"))]
    )
    assert answer == [Appended(1, False), Appended(2, False), Appended(1, True)]
    assert [entry.payload for entry in read_all(log)] == [b"first", b"other"]


async def test_a_duplicate_in_a_later_call_is_left_out_and_answered_with_the_first_offset(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append([Append(b"a", 1), Append(b"first", 1, digest("d"))])
    assert await log.events.append([Append(b"second", 2, digest("d"))]) == [Appended(2, True)]
    assert await log.events.end() == 2


async def test_records_without_a_digest_are_never_duplicates(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append(plain(b"same", b"same"))
    await log.events.append(plain(b"same"))
    assert await log.events.end() == 3


async def test_a_digest_is_forgotten_when_its_window_has_passed(new_log: NewLog) -> None:
    log = new_log(window=1)
    await log.events.append([Append(b"a", 1, digest("d"))])
    assert (await log.events.append([Append(b"b", 1, digest("d"))]))[0].duplicate
    log.sleep(1.2)
    assert await log.events.append([Append(b"c", 1, digest("d"))]) == [Appended(2, False)]
    assert await log.events.append([Append(b"d", 1, digest("d"))]) == [Appended(2, True)]


async def test_only_so_many_digests_are_remembered_the_oldest_go_first(new_log: NewLog) -> None:
    log = new_log(digests=3)
    for name in "abcd":
        await log.events.append([Append(b"p", 1, digest(name))])
    answer = await log.events.append([Append(b"p", 1, digest(name)) for name in "bcd"])
    assert [one.duplicate for one in answer] == [True, True, True]
    assert await log.events.append([Append(b"p", 1, digest("a"))]) == [Appended(5, False)]


async def test_a_missing_timestamp_is_the_servers_time(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append([Append(b"p")])
    assert abs(read_all(log)[0].timestamp - time.time()) < 5  # the server's clock is this machine's


async def test_given_times_never_fall_though_the_clock_is_set_back(new_log: NewLog) -> None:
    log = new_log()
    ahead = log.run_ahead(1_000)
    await log.events.append([Append(b"p"), Append(b"p", 5), Append(b"p")])
    assert [entry.timestamp for entry in read_all(log)[-3:]] == [ahead, 5, ahead]


async def test_a_thousand_records_of_a_kilobyte_go_in_one_append(new_log: NewLog) -> None:
    log = new_log()
    records = [Append(b"%04d" % n + b"x" * 1_000, n, digest(f"digest-{n}")) for n in range(1_000)]
    answer = await log.events.append(records)
    assert [one.offset for one in answer] == list(range(1, 1_001))
    assert [(entry.timestamp, entry.payload) for entry in read_all(log)] == [
        (record.timestamp, record.payload) for record in records
    ]
    assert all(one.duplicate for one in await log.events.append(records))
    assert log.source.end() == 1_000


async def test_concurrent_appends_each_stay_together_and_leave_no_gap(new_log: NewLog) -> None:
    log = new_log()
    answers = await asyncio.gather(*(log.events.append(plain(b"%d" % n, b"%d" % n)) for n in range(100)))
    assert all(second.offset == first.offset + 1 for first, second in answers)
    assert sorted(one.offset for answer in answers for one in answer) == list(range(1, 201))


async def test_reading_starts_behind_an_offset_and_stops_at_the_count(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append(plain(*(b"%d" % n for n in range(10))))
    assert log.source.read(4, 3, 0).offset.tolist() == [5, 6, 7]
    assert log.source.read(8, 100, 1_000).offset.tolist() == [9, 10]
    assert len(log.source.read(10, 100, 0)) == 0


async def test_reading_at_the_end_waits_as_long_as_it_was_told(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append(plain(b"p"))
    started = time.monotonic()
    assert len(log.source.read(1, 10, 100)) == 0
    assert 0.08 <= time.monotonic() - started < 2


async def test_a_waiting_reader_gets_a_record_as_soon_as_it_is_there(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_log, "MAX_BLOCK_MS", 4_000)
    log = new_log()
    await log.events.append(plain(b"p"))
    reading = asyncio.create_task(asyncio.to_thread(log.source.read, 1, 10, 4_000))
    await asyncio.sleep(0.1)
    started = time.monotonic()
    await log.events.append(plain(b"q"))
    assert (await reading).payloads() == [b"q"]
    assert time.monotonic() - started < 2


async def test_the_logs_identity_stays(new_log: NewLog) -> None:
    log = new_log()
    first = log.source.log_id()
    await log.events.append(plain(b"p"))
    assert first
    assert log.source.log_id() == first
