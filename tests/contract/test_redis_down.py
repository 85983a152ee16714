"""A Redis/Valkey that is not there, stopped or mute: every port says so at once, and serves again afterwards."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from service.adapters.redis_clients import Server, SyncClient
from service.adapters.redis_feed import RedisItemFeed
from service.adapters.redis_log import RedisEventLog, RedisEventSource
from service.adapters.redis_state import RedisStateReader, RedisStateStore
from service.core.types import Append, Appended, Position
from service.embedded import EmbeddedValkey
from service.errors import StoreUnavailable
from tests.contract.commits import commit_of
from tests.contract.conftest import TIMEOUT
from tests.process.toy import TOY_SPEC

pytestmark = pytest.mark.anyio

SOON = 1.5
"""Seconds: 0.25 for an answer, 0.5 for a blocking read, and something for a busy machine."""


async def test_messages_do_not_repeat_the_password() -> None:
    client = SyncClient(Server("redis://user:secret@127.0.0.1:1/0"))
    with pytest.raises(StoreUnavailable, match=r"redis://127\.0\.0\.1:1") as caught:
        client.run("PING")
    assert "secret" not in str(caught.value)
    client.close()


@pytest.mark.parametrize("url", ["unix:///nowhere/at/all.sock", "redis://127.0.0.1:1/0"])
async def test_no_server_is_store_unavailable_on_every_port(url: str, prefix: str) -> None:
    await assert_all_unavailable(Server(url, prefix))


async def test_a_stopped_server_is_store_unavailable_soon_on_every_port(
    tmp_path: Path, server_binary: Path | None, prefix: str
) -> None:
    with EmbeddedValkey(tmp_path, server_binary) as own:
        pids = [int((tmp_path / name).read_text()) for name in ("log.pid", "state.pid")]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            await assert_all_unavailable(Server(own.state_url, prefix))
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        source = RedisEventSource(Server(own.log_url, prefix, TIMEOUT))
        assert source.end() == 0
        source.close()


async def test_connections_that_were_open_when_the_server_stopped_serve_again_afterwards(
    tmp_path: Path, server_binary: Path | None, prefix: str
) -> None:
    with EmbeddedValkey(tmp_path, server_binary) as own:
        pid = int((tmp_path / "log.pid").read_text())
        log, source = RedisEventLog(Server(own.log_url, prefix)), RedisEventSource(Server(own.log_url, prefix))
        await log.append([Append(b"before", 1)])
        os.kill(pid, signal.SIGSTOP)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await log.end()
            with pytest.raises(StoreUnavailable):
                source.end()
        os.kill(pid, signal.SIGCONT)
        assert await log.append([Append(b"after", 1)]) == [Appended(2, False)]
        assert source.read(0, 9, 0).payloads() == [b"before", b"after"]
        await log.aclose()
        source.close()


async def test_a_server_that_accepts_and_says_nothing_is_store_unavailable(prefix: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        await assert_all_unavailable(Server(f"redis://127.0.0.1:{mute.getsockname()[1]}/0", prefix, 0.1))


async def assert_all_unavailable(server: Server) -> None:
    """Every call of every port raises StoreUnavailable, each soon."""
    log, source = RedisEventLog(server), RedisEventSource(server)
    store, reader, feed = RedisStateStore(server), RedisStateReader(server), RedisItemFeed(server, TOY_SPEC)
    calls: list[Callable[[], object]] = [
        *(lambda: source.read(0, 1, 0), lambda: source.read(0, 1, 1_000), source.end, source.log_id, store.position),
        *(lambda: store.acquire("w", 1), lambda: store.commit(commit_of(1, 0, 1)), lambda: store.users([b"u"])),
        *(lambda: store.reset(1, Position()), lambda: store.renew("w", 1), lambda: store.item_ids(0, 1)),
    ]
    async_calls: list[Callable[[], Awaitable[object]]] = [
        *(lambda: log.append([Append(b"a")]), log.end, lambda: reader.user("u"), reader.position, feed.cursor),
        *(lambda: feed.read("0-0", 1_000), lambda: reader.items([1]), lambda: reader.documents(["a"])),
    ]
    for call in calls:
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            call()
        assert time.monotonic() - started < SOON
    for async_call in async_calls:
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await async_call()
        assert time.monotonic() - started < SOON
    for close in (source.close, store.close):
        close()
    for aclose in (log.aclose, reader.aclose, feed.aclose):
        await aclose()
