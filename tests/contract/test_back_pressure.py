"""A log that takes no more refuses whole appends, remembers nothing of them, and goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from service.adapters.redis_clients import Server
from service.adapters.redis_log import RedisEventLog, RedisEventSource
from service.adapters.redis_state import RedisStateStore
from service.core.types import Append, Appended, Backlog, Totals
from service.embedded import EmbeddedValkey
from service.errors import BackPressure, StoreFull
from tests.contract.commits import commit_of
from tests.contract.conftest import TIMEOUT, NewLog, NewState
from tests.contract.entries import digest, entries_of

pytestmark = pytest.mark.anyio

FULL = "the memory of the state store is 97% full"


def some(*names: str) -> list[Append]:
    return [Append(name.encode(), 1, digest(name)) for name in names]


async def test_an_append_above_the_limit_is_refused_whole_and_taken_as_new_afterwards(new_log: NewLog) -> None:
    log = new_log(max_lag=3)
    await log.events.append(some("a", "b", "c", "d"))  # 4 wait
    with pytest.raises(BackPressure) as refused:
        await log.events.append(some("e", "a", "f"))
    assert (refused.value.lag, refused.value.limit, refused.value.pressure) == (4, 3, "")
    assert "4 records" in str(refused.value)
    assert log.source.end() == await log.events.end() == 4
    assert len(log.source.read(0, 100, 0)) == 4
    log.source.report(1, "")
    answer = await log.events.append(some("e", "a", "f"))
    assert answer == [Appended(5, False), Appended(1, True), Appended(6, False)]
    assert [entry.payload for entry in entries_of(log.source.read(4, 100, 0))] == [b"e", b"f"]


async def test_the_limit_itself_may_wait(new_log: NewLog) -> None:
    log = new_log(max_lag=2)
    await log.events.append(some("a", "b"))
    await log.events.append(some("c"))
    with pytest.raises(BackPressure):
        await log.events.append(some("d"))


async def test_duplicates_are_refused_with_the_others_and_nothing_at_all_is_never_refused(new_log: NewLog) -> None:
    log = new_log(max_lag=1)
    await log.events.append(some("a", "b"))
    with pytest.raises(BackPressure):
        await log.events.append(some("a"))
    assert await log.events.append([]) == []


async def test_a_store_that_is_reported_nearly_full_refuses_until_it_is_reported_well(new_log: NewLog) -> None:
    log = new_log()
    await log.events.append(some("a"))
    log.source.report(1, FULL)
    with pytest.raises(BackPressure, match="97% full") as refused:
        await log.events.append(some("b"))
    assert (refused.value.lag, refused.value.limit) == (0, 1_000_000)
    log.source.report(1, "")
    assert await log.events.append(some("b")) == [Appended(2, False)]


async def test_the_backlog_says_what_was_appended_and_reported(new_log: NewLog) -> None:
    log = new_log()
    assert await log.events.backlog() == Backlog(0, 0, "")
    await log.events.append(some("a", "b", "c"))
    assert await log.events.backlog() == Backlog(3, 0, "")
    log.source.report(2, FULL)
    found = await log.events.backlog()
    assert (found, found.lag) == (Backlog(3, 2, FULL), 1)
    log.source.report(0, "")  # a state that is made again stands further back
    assert await log.events.backlog() == Backlog(3, 0, "")


async def test_without_a_memory_limit_nothing_is_full(new_log: NewLog, new_state: NewState) -> None:
    assert new_state().store.fullness() == 0.0
    assert 0.0 <= new_log().source.fullness() < 0.5


async def test_the_totals_add_up_what_commits_said(new_state: NewState) -> None:
    state = new_state()
    assert await state.reader.totals() == Totals()
    epoch = state.store.acquire("w", 60_000)
    state.store.commit(commit_of(epoch, 0, 5, late=2, new_items=("a", "b"), item_count=2, skipped={3: "bad"}))
    state.store.commit(commit_of(epoch, 5, 9, late=1, item_count=2))
    assert await state.reader.totals() == Totals(offset=9, items=2, epoch=epoch, late=3, skipped=1)


async def test_the_share_of_the_memory_limit_is_told_and_a_full_server_is_told_apart(
    tmp_path: Path, server_binary: Path | None, prefix: str
) -> None:
    with EmbeddedValkey(tmp_path, server_binary) as own, redis.Redis.from_url(own.log_url) as raw:
        server = Server(own.log_url, prefix, TIMEOUT)
        log, source, store = RedisEventLog(server), RedisEventSource(server), RedisStateStore(server)
        raw.setrange("ballast", 20_000_000, "x")
        raw.config_set("maxmemory", 2 * raw.info("memory")["used_memory"])
        assert 0.4 < source.fullness() < 0.6
        assert 0.4 < store.fullness() < 0.6
        epoch = store.acquire("w", 60_000)
        raw.config_set("maxmemory", 1)
        assert source.fullness() > 1
        with pytest.raises(StoreFull):
            await log.append(some("a"))
        with pytest.raises(StoreFull):
            store.commit(commit_of(epoch, 0, 1))
        source.report(0, FULL)  # says so all the same
        store.renew("w", 60_000)
        assert (await log.backlog()).pressure == FULL
        await log.aclose()
        for close in (source.close, store.close):
            close()


async def test_a_report_that_says_nothing_new_writes_nothing(valkey: EmbeddedValkey, prefix: str) -> None:
    source = RedisEventSource(Server(valkey.log_url, prefix, TIMEOUT))
    with redis.Redis.from_url(valkey.log_url) as raw:
        source.report(7, "")
        written = raw.info("replication")["master_repl_offset"], raw.info("persistence")["aof_current_size"]
        source.report(7, "")
        assert (raw.info("replication")["master_repl_offset"], raw.info("persistence")["aof_current_size"]) == written
        source.report(8, "")
        assert raw.info("persistence")["aof_current_size"] > written[1]
    source.close()
