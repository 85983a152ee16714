"""What every log promises to whoever erases users from it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest
import redis

from service.adapters import redis_erasures
from service.adapters.redis_clients import Server
from service.adapters.redis_erasures import RedisErasures
from service.core.log_records import LogRecords
from service.core.types import Append, Appended, Erasure
from service.embedded import EmbeddedValkey
from service.errors import Fenced, StoreUnavailable
from tests.contract.conftest import TIMEOUT, Log, NewLog
from tests.contract.entries import digest, entries_of

pytestmark = pytest.mark.anyio

TTL = 60_000


def same(records: LogRecords) -> LogRecords:
    return records


def without_a(records: LogRecords) -> LogRecords:
    payloads = [b"" if payload.startswith(b"a") else payload for payload in records.payloads()]
    return LogRecords.of(records.offset.tolist(), records.timestamp.tolist(), payloads)


def read_all(log: Log, after: int = 0) -> LogRecords:
    log.source.refresh()
    found = []
    while len(some := log.source.read(after, 1_000, 0)):
        found.append(some)
        after = int(some.offset[-1])
    return LogRecords.join(found)


async def test_an_erasure_is_pending_until_it_is_completed(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append([Append(b"x", 1)])
    started = int(time.time())
    assert await log.events.erase("e-1", Append(b"marker")) == Appended(2, False)
    assert await log.events.erase("e-2", Append(b"marker")) == Appended(3, False)
    first = await log.events.erasure("e-1")
    assert first is not None
    assert (first.id, first.offset, first.completed_at) == ("e-1", 2, None)
    assert first.requested_at - started in range(60)
    assert (
        [e.id for e in log.erasures.pending()] == [e.id for e in await log.events.pending_erasures()] == ["e-1", "e-2"]
    )
    log.erasures.complete(log.keeper.acquire("k", TTL), ["e-1"])
    done = await log.events.erasure("e-1")
    assert done is not None
    assert done == Erasure("e-1", 2, first.requested_at, done.completed_at)
    assert (done.completed_at or 0) >= done.requested_at
    assert log.erasures.pending() == await log.events.pending_erasures() == [await log.events.erasure("e-2")]
    assert await log.events.erasure("e-3") is None
    assert read_all(log).payloads() == [b"x", b"marker", b"marker"]


async def test_rewriting_keeps_offsets_timestamps_and_all_other_records(new_log: NewLog) -> None:
    log = new_log()
    rng = np.random.default_rng(0)
    sent = [Append(b"%s%d" % (rng.choice([b"a", b"b"]), n), n) for n in range(6_543)]
    at = 0
    while at < len(sent):
        size = int(rng.choice([1, 2, 700]))
        await log.events.append(sent[at : at + size])
        at += size
    epoch = log.keeper.acquire("k", TTL)
    log.erasures.rewrite(epoch, without_a, len(sent))
    found = read_all(log)
    assert found.offset.tolist() == list(range(1, len(sent) + 1))
    assert found.timestamp.tolist() == [record.timestamp for record in sent]
    assert found.payloads() == [b"" if r.payload.startswith(b"a") else r.payload for r in sent]
    assert await log.events.append([Append(b"next", 1)]) == [Appended(len(sent) + 1, False)]
    assert read_all(log, len(sent)).payloads() == [b"next"]


async def test_a_trimmed_log_is_rewritten_from_where_it_begins(new_log: NewLog) -> None:
    log = new_log()
    for turn in range(4):
        await log.events.append([Append(b"a%d" % (3 * turn + n), n) for n in range(3)])
    epoch = log.keeper.acquire("k", TTL)
    log.keeper.trim(epoch, 6)
    log.erasures.rewrite(epoch, without_a, 12)
    assert log.keeper.begin() == 7
    assert read_all(log, 6).payloads() == [b""] * 6
    log.keeper.trim(epoch, 12)
    log.erasures.rewrite(epoch, without_a, 12)
    assert (log.keeper.begin(), log.source.end()) == (13, 12)


async def test_an_empty_log_can_be_rewritten(new_log: NewLog) -> None:
    log = new_log()
    log.erasures.rewrite(log.keeper.acquire("k", TTL), same, 0)
    assert await log.events.append([Append(b"x", 1)]) == [Appended(1, False)]


async def test_what_is_appended_meanwhile_is_not_lost(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append([Append(b"a", 1)] * 5_000)
    epoch, loop = log.keeper.acquire("k", TTL), asyncio.get_running_loop()

    def appending(records: LogRecords) -> LogRecords:
        for size in (1, 3):
            asyncio.run_coroutine_threadsafe(log.events.append([Append(b"late", 2)] * size), loop).result(TIMEOUT)
        return without_a(records)

    await asyncio.to_thread(log.erasures.rewrite, epoch, appending, 5_000)
    found = read_all(log)
    assert found.offset.tolist() == list(range(1, log.source.end() + 1))
    late = len(found) - 5_000
    assert late >= 4
    assert found.payloads() == [b""] * 5_000 + [b"late"] * late


async def test_a_reader_that_waits_gets_what_comes_after_the_swap(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append([Append(b"a", 1)])
    got: list[LogRecords] = []
    waiting = threading.Thread(target=lambda: got.append(log.source.read(1, 10, 500)))
    waiting.start()
    log.erasures.rewrite(log.keeper.acquire("k", TTL), without_a, 1)
    await log.events.append([Append(b"next", 1)])
    await asyncio.to_thread(waiting.join)
    assert [entry.payload for entry in entries_of(got[0])] in ([b"next"], [])
    assert log.source.read(1, 10, 0).payloads() == [b"next"]


async def test_the_log_remembers_the_highest_marker_it_got_rid_of(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append([Append(b"x", 1)] * 9)
    epoch = log.keeper.acquire("k", TTL)
    assert log.source.erased() == 0
    for erased, expected in ((5, 5), (3, 5), (8, 8)):
        log.erasures.rewrite(epoch, same, erased)
        assert log.source.erased() == expected


async def test_forgotten_digests_are_new_again_and_others_are_not(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append([Append(b"p", 1, digest(f"d{n}")) for n in range(300)])
    epoch = log.keeper.acquire("k", TTL)
    gone = [(n + 1, digest(f"d{n}")) for n in range(0, 300, 2)]
    another = (7, digest("d9"))  # brought by the record at 10, not by this one
    log.erasures.forget(epoch, [*gone, another, (5_000, digest("never"))])
    answer = await log.events.append([Append(b"p", 1, digest(f"d{n}")) for n in range(300)])
    assert [one.duplicate for one in answer] == [n % 2 == 1 for n in range(300)]


async def test_the_oldest_digest_tells_from_where_on_there_are_some(new_log: NewLog) -> None:
    log = new_log(digests=2)
    assert log.erasures.oldest_digest() == 1
    await log.events.append([Append(b"p", 1), Append(b"p", 1, digest("a")), Append(b"p", 1, digest("b"))])
    assert log.erasures.oldest_digest() == 2
    await log.events.append([Append(b"p", 1, digest("c"))])
    assert log.erasures.oldest_digest() in {2, 3}  # it may leave a little later


async def test_digests_are_forgotten_for_good_once_there_are_too_many(new_log: NewLog) -> None:
    """Places of forgotten ones do not keep the others from leaving."""
    log = new_log(digests=4)
    for name in "abcd":
        await log.events.append([Append(b"p", 1, digest(name))])
    log.erasures.forget(log.keeper.acquire("k", TTL), [(1, digest("a")), (2, digest("b"))])
    for name in "efg":
        await log.events.append([Append(b"p", 1, digest(name))])
    answer = await log.events.append([Append(b"p", 1, digest(name)) for name in "defg"])
    assert [one.duplicate for one in answer] == [True] * 4
    assert not (await log.events.append([Append(b"p", 1, digest("c"))]))[0].duplicate


async def test_a_keeper_whose_lease_another_took_erases_nothing(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append([Append(b"a", 1, digest("d"))])
    await log.events.erase("e", Append(b"marker"))
    first = log.keeper.acquire("one", 50)
    log.sleep(0.1)
    log.keeper.acquire("two", TTL)
    with pytest.raises(Fenced):
        log.erasures.rewrite(first, without_a, 2)
    with pytest.raises(Fenced):
        log.erasures.forget(first, [(1, digest("d"))])
    with pytest.raises(Fenced):
        log.erasures.complete(first, ["e"])
    assert read_all(log).payloads() == [b"a", b"marker"]
    assert (await log.events.append([Append(b"a", 1, digest("d"))]))[0].duplicate
    assert [erasure.id for erasure in log.erasures.pending()] == ["e"]


@pytest.fixture
def on_valkey(valkey: EmbeddedValkey, prefix: str) -> Server:
    return Server(valkey.log_url, prefix, TIMEOUT)


async def test_a_rewrite_that_was_broken_off_leaves_the_log_and_is_begun_again(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_erasures, "CHUNK", 10)
    log = new_log()
    await log.events.append([Append(b"a", 1)] * 25)
    epoch = log.keeper.acquire("k", TTL)
    turns = iter(range(2))

    def failing(records: LogRecords) -> LogRecords:
        if next(turns, None) is None:
            raise KeyboardInterrupt
        return without_a(records)

    if isinstance(log.erasures, RedisErasures):
        with pytest.raises(KeyboardInterrupt):
            log.erasures.rewrite(epoch, failing, 25)
    assert read_all(log).payloads() == [b"a"] * 25
    assert log.source.erased() == 0
    log.erasures.rewrite(epoch, without_a, 25)
    assert read_all(log).payloads() == [b""] * 25


async def test_the_copy_of_a_killed_keeper_is_begun_again(
    raw_log: Any, on_valkey: Server, monkeypatch: pytest.MonkeyPatch, new_log: NewLog
) -> None:
    """A copy that is left over is in nobody's way."""
    raw_log.xadd(f"{on_valkey.prefix}:log:copy", {"t": b"\0" * 8, "l": b"\0" * 4, "p": b""}, id="99-0")
    log = new_log()
    await log.events.append([Append(b"a", 1)] * 3)
    log.erasures.rewrite(log.keeper.acquire("k", TTL), without_a, 3)
    assert read_all(log).payloads() == [b""] * 3
    if isinstance(log.erasures, RedisErasures):
        assert [key for key in raw_log.scan_iter(f"{on_valkey.prefix}:*") if b"copy" in key] == []


async def test_a_log_without_room_for_its_copy_is_left_alone(raw_log: Any, on_valkey: Server, new_log: NewLog) -> None:
    log = new_log()
    if not isinstance(log.erasures, RedisErasures):
        pytest.skip("memory has no limit of its own")
    await log.events.append([Append(b"a" * 1_000, 1)] * 1_000)
    epoch, before = log.keeper.acquire("k", TTL), raw_log.config_get("maxmemory")["maxmemory"]
    raw_log.config_set("maxmemory", int(raw_log.info("memory")["used_memory"]) + 500_000)
    try:
        with pytest.raises(StoreUnavailable, match="no room for a copy of the log"):
            log.erasures.rewrite(epoch, without_a, 1)
    finally:
        raw_log.config_set("maxmemory", before)
    assert read_all(log).payloads()[0].startswith(b"a")


async def test_digests_leave_no_trace_in_the_list_of_recent_ones(
    raw_log: Any, on_valkey: Server, new_log: NewLog
) -> None:
    log = new_log()
    if not isinstance(log.erasures, RedisErasures):
        pytest.skip("has no such list")
    await log.events.append([Append(b"p", 1, digest(f"d{n}-")) for n in range(50)])
    raw_log.delete(b"%s:d:%s" % (on_valkey.prefix.encode(), digest("d7-")))  # expired
    log.erasures.forget(log.keeper.acquire("k", TTL), [(n + 1, digest(f"d{n}-")) for n in (0, 7, 49)])
    left = raw_log.lrange(f"{on_valkey.prefix}:log:recent", 0, -1)
    assert len(left) == 50
    assert [n for n in range(50) if not any(digest(f"d{n}-") in entry for entry in left)] == [0, 7, 49]
    assert isinstance(raw_log, redis.Redis)
