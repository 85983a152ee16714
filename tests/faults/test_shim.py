"""The tools of the fault runs bite: a power cut loses what was not synced, a full disk and a set clock are met."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.adapters.redis_clients import Server
from service.adapters.redis_log import RedisEventLog
from service.core.types import Append
from service.errors import StoreUnavailable
from tests.faults import shim
from tests.faults.servers import Store, default_server
from tests.faults.traffic import seeded

APPENDS = 60


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shim.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def log(tmp_path: Path, library: Path, server_binary: Path | None) -> Iterator[Store]:
    """A log server that runs under the shim."""
    store = Store("log", tmp_path, server_binary or default_server(), library, small_disk=False)
    with store.running():
        started(store)
        yield store


def started(store: Store) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        store.tend()
        try:
            with store.admin() as server:
                server.ping()
                return
        except redis.RedisError:
            time.sleep(0.05)
    raise TimeoutError(store.name)


def cut(store: Store) -> int:
    """Bytes that a power cut dropped."""
    store.kill()
    return store.shim.cut_power(store.folder, seeded("cut"))


def append(store: Store, count: int) -> int:
    """Offset of the last of `count` acknowledged appends."""

    async def work() -> int:
        log = RedisEventLog(Server(f"redis://127.0.0.1:{store.port}", "shim", 5.0))
        try:
            return max([(await log.append([Append(b"x" * 100, 1)]))[0].offset for _ in range(count)])
        finally:
            await log.aclose()

    return asyncio.run(work())


def end(store: Store) -> int:
    with store.admin() as server:
        return int(server.hget("shim:log:meta", "offset") or 0)


def test_a_power_cut_after_flushed_appends_loses_none(log: Store) -> None:
    """One cut right after 60 acknowledged appends, with the configuration that is shipped."""
    synced = sum(log.shim.synced().values())
    acked = append(log, APPENDS)
    assert sum(log.shim.synced().values()) - synced > 100 * APPENDS
    cut(log)
    started(log)
    assert end(log) == acked == APPENDS


def test_a_power_cut_without_flushes_loses_acknowledged_appends(log: Store) -> None:
    """The same cut with `appendfsync no`: without this, the test above would say nothing."""
    with log.admin() as server:
        server.config_set("appendfsync", "no")
    acked = append(log, APPENDS)
    assert cut(log) > 0
    started(log)
    assert end(log) < acked


def test_a_transaction_torn_at_the_end_of_the_file_is_left_out(log: Store) -> None:
    acked = append(log, 5)
    log.tear()
    started(log)
    with log.admin() as server:
        assert not server.exists("faults:half")
    assert end(log) == acked
    assert append(log, 1) == acked + 1


def test_a_full_disk_refuses_and_what_was_acknowledged_is_there_afterwards(log: Store) -> None:
    acked = append(log, 5)
    log.set_full(True)
    with pytest.raises(StoreUnavailable):
        append(log, 1)
    log.set_full(False)
    started(log)
    assert end(log) in {acked, acked + 1}
    assert append(log, 1) > acked


def test_the_clock_of_a_server_can_be_set_back_while_it_runs(log: Store) -> None:
    with log.admin() as server:
        for seconds in (-3_600, 0):
            log.shim.set_clock(seconds)
            deadline = time.monotonic() + 20
            while abs(server.time()[0] - time.time() - seconds) > 100:  # it looks at the clock from time to time
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_a_server_whose_clock_went_back_gives_no_earlier_time(log: Store) -> None:
    async def given() -> int:
        events = RedisEventLog(Server(f"redis://127.0.0.1:{log.port}", "shim", 5.0))
        try:
            await events.append([Append(b"x")])
        finally:
            await events.aclose()
        with log.admin() as server:
            return int(server.hget("shim:log:meta", "time"))

    first = asyncio.run(given())
    log.shim.set_clock(-3_600)
    with log.admin() as server:
        while server.time()[0] > first - 3_000:
            time.sleep(0.05)
    assert asyncio.run(given()) >= first
