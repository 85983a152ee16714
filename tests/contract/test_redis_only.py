"""What only the Redis/Valkey adapters can get wrong: functions, broken-off resets, shared and unfit servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from service.adapters.keys import RESETTING, StateKeys
from service.adapters.redis_clients import Server, check_server
from service.adapters.redis_feed import RedisItemFeed
from service.adapters.redis_log import RedisEventLog, RedisEventSource
from service.adapters.redis_state import RedisStateReader, RedisStateStore
from service.core.types import Append, Appended, Position
from service.embedded import EmbeddedValkey
from service.errors import ConfigurationError, Fenced, LeaseHeld, StoreUnavailable
from service.ports import FeedLost
from tests.contract.commits import commit_of, feed_entry
from tests.contract.conftest import TIMEOUT, dump_of
from tests.contract.entries import digest
from tests.process.toy import TOY_SPEC

pytestmark = pytest.mark.anyio


@contextmanager
def store_at(url: str, prefix: str, **options: int) -> Iterator[RedisStateStore]:
    store = RedisStateStore(Server(url, prefix, TIMEOUT), **options)
    try:
        yield store
    finally:
        store.close()


async def test_functions_that_the_server_lost_are_loaded_again(
    valkey: EmbeddedValkey, prefix: str, raw_log: Any, raw_state: Any
) -> None:
    log = RedisEventLog(Server(valkey.log_url, prefix, TIMEOUT))
    assert await log.append([Append(b"a", 1)]) == [Appended(1, False)]
    raw_log.function_flush()
    assert await log.append([Append(b"b", 1)]) == [Appended(2, False)]
    await log.aclose()
    with store_at(valkey.state_url, prefix) as store:
        epoch = store.acquire("w", 1_000)
        raw_state.function_flush()
        store.commit(commit_of(epoch, 0, 1))
        raw_state.function_flush()
        with pytest.raises(Fenced):
            store.commit(commit_of(epoch, 0, 1))


async def test_a_lease_that_a_clock_set_back_made_long_does_not_outlive_its_holder(
    valkey: EmbeddedValkey, prefix: str, raw_state: Any
) -> None:
    with store_at(valkey.state_url, prefix) as store:
        store.acquire("leader", 10_000)
        raw_state.pexpire(StateKeys(prefix).lease, 3_600_000)
        for _ in range(2):  # the second attempt does not make it long again
            with pytest.raises(LeaseHeld):
                store.acquire("standby", 400)
        store.renew("leader", 10_000)  # one who lives keeps it
        with pytest.raises(LeaseHeld):
            store.acquire("standby", 400)
        deadline = time.monotonic() + 10.0
        while True:
            try:
                store.acquire("standby", 400)
                break
            except LeaseHeld:
                assert time.monotonic() < deadline
                time.sleep(0.02)


async def test_many_clients_may_load_the_functions_at_once(valkey: EmbeddedValkey, prefix: str, raw_log: Any) -> None:
    raw_log.function_flush()
    logs = [RedisEventLog(Server(valkey.log_url, prefix, TIMEOUT)) for _ in range(20)]
    answers = await asyncio.gather(*(log.append([Append(b"a", 1)]) for log in logs))
    assert sorted(answer[0].offset for answer in answers) == list(range(1, 21))
    for log in logs:
        await log.aclose()


async def test_more_requests_than_connections_wait_for_one(valkey: EmbeddedValkey, prefix: str) -> None:
    log = RedisEventLog(Server(valkey.log_url, prefix, TIMEOUT, max_connections=2))
    answers = await asyncio.gather(*(log.append([Append(b"a", 1)]) for _ in range(100)))
    assert sorted(answer[0].offset for answer in answers) == list(range(1, 101))
    await log.aclose()


async def test_log_and_state_can_share_a_server_and_a_prefix(valkey: EmbeddedValkey, prefix: str) -> None:
    server = Server(valkey.state_url, prefix, TIMEOUT)
    log, source = RedisEventLog(server), RedisEventSource(server)
    await log.append([Append(b"a", 1, digest("d"))])
    identity = source.log_id()
    with store_at(valkey.state_url, prefix) as store, store_at(valkey.state_url, f"{prefix}-other") as other:
        epoch, theirs = store.acquire("w", 60_000), other.acquire("w", 60_000)
        store.commit(commit_of(epoch, 0, 1, users={b"u": b"u"}, new_items=("a",)))
        other.commit(commit_of(theirs, 0, 1, users={b"u": b"u"}, new_items=("a",)))
        store.reset(epoch, Position())
        assert store.users([b"u"]) == [None]
        assert (other.users([b"u"]), other.item_ids(0, 9), other.position().offset) == ([b"u"], ["a"], 1)
    assert source.read(0, 9, 0).payloads() == [b"a"]
    assert source.log_id() == identity
    assert await log.append([Append(b"b", 1, digest("d"))]) == [Appended(1, True)]
    await log.aclose()
    source.close()


async def test_digests_that_expired_leave_the_list_that_bounds_them(
    valkey: EmbeddedValkey, prefix: str, raw_log: Any
) -> None:
    log = RedisEventLog(Server(valkey.log_url, prefix, TIMEOUT), window=1)
    await log.append([Append(b"a", 1, digest(f"old-{n}")) for n in range(10)])
    await asyncio.sleep(1.2)
    await log.append([Append(b"a", 1, digest(f"new-{n}")) for n in range(10)])
    assert raw_log.llen(f"{prefix}:log:recent") == 10
    await log.aclose()


async def test_a_user_is_read_with_the_offset_in_one_command(
    valkey: EmbeddedValkey, prefix: str, raw_state: Any
) -> None:
    reader = RedisStateReader(Server(valkey.state_url, prefix, TIMEOUT))
    before = raw_state.info("stats")["total_commands_processed"]
    await reader.user("u")
    assert raw_state.info("stats")["total_commands_processed"] - before == 2  # the MGET, and this INFO
    await reader.aclose()


async def test_a_blocking_read_may_wait_for_longer_than_an_answer_may_take(valkey: EmbeddedValkey, prefix: str) -> None:
    source = RedisEventSource(Server(valkey.log_url, prefix, timeout=0.1))
    feed = RedisItemFeed(Server(valkey.state_url, prefix, timeout=0.1), TOY_SPEC)
    assert len(source.read(0, 1, 400)) == 0
    assert await feed.read("0-0", 400) == ("0-0", [])
    source.close()
    await feed.aclose()


async def test_a_reset_broken_off_in_the_middle_is_recognised_and_begun_again(
    valkey: EmbeddedValkey, prefix: str, raw_state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = RedisItemFeed(Server(valkey.state_url, prefix, TIMEOUT), TOY_SPEC)
    cursor = await feed.cursor()
    with store_at(valkey.state_url, prefix) as store:
        epoch = store.acquire("w", 60_000)
        users = {b"user-%d" % n: b"x" for n in range(5_000)}
        store.commit(commit_of(epoch, 0, 9, users=users, items={0: b"i"}, new_items=("a",)))
        scan = store._scan

        def broken() -> Iterator[list[bytes]]:
            yield next(scan())
            raise StoreUnavailable("killed")

        with monkeypatch.context() as patch:
            patch.setattr(store, "_scan", broken)
            with pytest.raises(StoreUnavailable):
                store.reset(epoch, Position(bundle="new"))
        left = sum(blob is not None for blob in store.users(list(users)))
        assert 0 < left < 5_000
        assert store.position() == Position(bundle=RESETTING)
        with pytest.raises(FeedLost):
            await feed.read(cursor, 0)
    with store_at(valkey.state_url, prefix) as store:
        store.release("w")
        epoch = store.acquire("next", 60_000)
        store.reset(epoch, Position(bundle="new", log_id="log"))
        assert store.position() == Position(bundle="new", log_id="log")
        assert not list(raw_state.scan_iter(f"{prefix}:1:[uitc]:*"))
    await feed.aclose()


async def test_a_reset_deletes_nothing_more_once_another_writer_leads(
    valkey: EmbeddedValkey, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store_at(valkey.state_url, prefix) as slow, store_at(valkey.state_url, prefix) as quick:
        epoch = slow.acquire("slow", 60_000)
        slow.commit(commit_of(epoch, 0, 9, users={b"user-%d" % n: b"old" for n in range(2_000)}))
        scan = slow._scan

        def overtaken() -> Iterator[list[bytes]]:
            found = [key for some in scan() for key in some]
            slow.release("slow")
            newer = quick.acquire("quick", 60_000)
            quick.reset(newer, Position())
            quick.commit(commit_of(newer, 0, 1, users={b"user-1": b"new"}))
            yield found

        monkeypatch.setattr(slow, "_scan", overtaken)
        with pytest.raises(Fenced):
            slow.reset(epoch, Position())
        assert quick.users([b"user-1"]) == [b"new"]
        assert quick.position().offset == 1


async def test_a_feed_restored_from_an_older_copy_is_noticed(
    valkey: EmbeddedValkey, prefix: str, raw_state: Any
) -> None:
    feed = RedisItemFeed(Server(valkey.state_url, prefix, TIMEOUT), TOY_SPEC)
    with store_at(valkey.state_url, prefix) as store:
        epoch = store.acquire("w", 60_000)
        store.commit(commit_of(epoch, 0, 1, feed=feed_entry(1)))
        copy = {key: raw_state.dump(key) for key in raw_state.scan_iter(f"{prefix}:*")}
        store.commit(commit_of(epoch, 1, 2, feed=feed_entry(2)))
        ahead = await feed.cursor()
        for key, value in copy.items():
            raw_state.restore(key, 0, value, replace=True)
        with pytest.raises(FeedLost):  # nothing was written since
            await feed.read(ahead, 0)
        with pytest.raises(Fenced):  # the state is not where this writer left it
            store.commit(commit_of(epoch, 2, 3, feed=feed_entry(3)))
        store.commit(commit_of(epoch, 1, 3, feed=feed_entry(3)))
        with pytest.raises(FeedLost):  # the next entry does not follow
            await feed.read(ahead, 0)
    await feed.aclose()


async def test_what_is_no_url_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="http://host"):
        RedisEventLog(Server("http://host"))
    with pytest.raises(ConfigurationError):
        RedisStateStore(Server("redis://host:port/0"))


async def test_an_answer_that_is_an_error_is_ours_too(valkey: EmbeddedValkey, prefix: str, raw_log: Any) -> None:
    raw_log.set(f"{prefix}:log", "not a stream")
    log, before = RedisEventLog(Server(valkey.log_url, prefix, TIMEOUT)), dump_of(raw_log, prefix)
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        await log.append([Append(b"a", None, digest("d")), Append(b"b")])
    assert dump_of(raw_log, prefix) == before
    await log.aclose()


async def test_a_full_server_refuses_whole_appends_and_keeps_answering_reads(
    tmp_path: Path, server_binary: Path | None, prefix: str
) -> None:
    with EmbeddedValkey(tmp_path, server_binary) as own, redis.Redis.from_url(own.log_url) as raw:
        log, source = RedisEventLog(Server(own.log_url, prefix, TIMEOUT)), RedisEventSource(Server(own.log_url, prefix))
        await log.append([Append(b"a", 1)])
        raw.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await log.append([Append(b"b", 1), Append(b"c", 1)])
        assert source.read(0, 9, 0).payloads() == [b"a"]
        raw.config_set("maxmemory", 0)
        assert await log.append([Append(b"d", 1)]) == [Appended(2, False)]
        await log.aclose()
        source.close()


async def test_a_server_that_evicts_is_refused(tmp_path: Path, server_binary: Path | None) -> None:
    with EmbeddedValkey(tmp_path, server_binary) as own, redis.Redis.from_url(own.state_url) as raw:
        check_server(Server(own.state_url))
        raw.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(ConfigurationError, match=r"allkeys-lru.*config set maxmemory-policy noeviction"):
            check_server(Server(own.state_url))
