"""Durable copies: the keeper believes in those that a real server made, and in no others."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError as Lost

from service.adapters.in_memory_archive import InMemorySnapshots
from service.adapters.redis_clients import Server
from service.adapters.redis_keeper import RedisSnapshots
from service.embedded import EmbeddedValkey
from service.errors import SnapshotFailed
from service.ports import Snapshots

DEADLINE = 30.0


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, server_binary: Path | None) -> Iterator[EmbeddedValkey]:
    """Servers that nobody else needs: their settings change, and they are killed."""
    with EmbeddedValkey(tmp_path_factory.mktemp("own"), server_binary) as servers:
        yield servers


@pytest.fixture(params=["append-only file", "RDB file"])
def raw(request: pytest.FixtureRequest, own: EmbeddedValkey) -> Iterator[Any]:
    """A plain client of the server, which has a key and keeps its data in one of the two ways."""
    with redis.Redis.from_url(own.state_url) as client:
        wait(lambda: answers(client))
        wait_for_rest(client)
        client.config_set("appendonly", "yes" if request.param == "append-only file" else "no")
        client.set("key", "value")
        wait_for_rest(client)
        yield client
        wait(lambda: answers(client))
        client.config_set("rdb-key-save-delay", 0)


@pytest.fixture
def snapshots(own: EmbeddedValkey, raw: Any) -> Iterator[RedisSnapshots]:
    found = RedisSnapshots(Server(own.state_url, timeout=5.0))
    yield found
    found.close()


def wait(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answers(client: Any) -> bool:
    try:
        return bool(client.ping())
    except Lost:
        return False


def wait_for_rest(client: Any) -> None:
    """Until no copy is under way: those of the server's own accord, too."""
    fields = ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled")
    wait(lambda: not any(client.info("persistence")[field] for field in fields))


def copying(raw: Any) -> bool:
    info = raw.info("persistence")
    return bool(info["rdb_bgsave_in_progress"] or info["aof_rewrite_in_progress"])


def test_a_copy_that_is_begun_is_seen_to_end(snapshots: Snapshots, raw: Any) -> None:
    raw.config_set("rdb-key-save-delay", 200_000)
    snapshots.begin()
    assert not snapshots.ended()
    wait(snapshots.ended)
    assert not copying(raw)


def test_one_that_began_earlier_does_not_count(snapshots: Snapshots, raw: Any) -> None:
    raw.config_set("rdb-key-save-delay", 500_000)
    snapshots.begin()
    with pytest.raises(SnapshotFailed, match="in progress"):
        snapshots.begin()
    wait_for_rest(raw)
    snapshots.begin()
    wait(snapshots.ended)


def test_one_that_was_broken_off_is_not_believed(snapshots: Snapshots, raw: Any) -> None:
    raw.config_set("rdb-key-save-delay", 10_000_000)
    snapshots.begin()
    parent = raw.info("server")["process_id"]
    wait(lambda: children_of(parent))
    os.kill(children_of(parent)[0], signal.SIGKILL)
    wait(lambda: not copying(raw))
    with pytest.raises(SnapshotFailed, match="status:err"):
        snapshots.ended()


def test_one_of_a_server_that_died_meanwhile_is_not_believed(snapshots: Snapshots, raw: Any) -> None:
    raw.config_set("rdb-key-save-delay", 10_000_000)
    before = raw.info("server")
    snapshots.begin()
    for child in children_of(before["process_id"]):
        os.kill(child, signal.SIGKILL)
    os.kill(before["process_id"], signal.SIGKILL)
    wait(lambda: answers(raw) and raw.info("server")["run_id"] != before["run_id"])
    with pytest.raises(SnapshotFailed, match="was started again"):
        snapshots.ended()


def test_a_server_that_does_not_allow_it_says_so(own: EmbeddedValkey, raw: Any) -> None:
    raw.acl_setuser(
        "hosted", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", "-@dangerous", "+info"]
    )
    url = own.state_url.replace("unix://", "unix://hosted:secret@")
    refused = RedisSnapshots(Server(url, timeout=5.0))
    with pytest.raises(SnapshotFailed, match=r"BG(REWRITEAOF|SAVE) at .*permission") as caught:
        refused.begin()
    assert "secret" not in str(caught.value)
    refused.close()


def test_the_in_memory_one_does_what_it_is_told() -> None:
    memory = InMemorySnapshots()
    memory.begin()
    assert memory.ended()
    memory.busy = True
    assert not memory.ended()
    memory.refusal = "not allowed"
    for step in (memory.begin, memory.ended):
        with pytest.raises(SnapshotFailed, match="not allowed"):
            step()


def children_of(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
