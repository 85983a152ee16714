"""The archive of real processes: the keeper is killed wherever it stands, the log is trimmed, the state is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import redis

from model.data import Dataset
from service.adapters.archive_folder import LocalFolder
from service.adapters.archive_manifest import read_manifest
from service.adapters.parquet_archive import ParquetArchive
from service.adapters.redis_clients import Server
from service.adapters.redis_keeper import RedisLogKeeper
from service.adapters.redis_log import RedisEventLog
from service.commands import datasets
from service.commands.posting import Account
from service.core.log_records import Columns, LogRecords, pack_event
from service.core.types import Append, Event
from service.embedded import EmbeddedValkey
from service.processes.all_in_one import Stack
from service.settings import load_settings
from tests.e2e.conftest import Start
from tests.e2e.test_kills import assert_same, kill, post_all, state_of
from tests.spawned import spawned

DEADLINE = 60.0


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def archived(folder: Path) -> LogRecords:
    archive = ParquetArchive(LocalFolder(folder))
    assert all(archive.check(file) == "" for file in archive.files())
    parts = [archive.read(file.first - 1, file.rows) for file in archive.files()]
    return LogRecords.join(parts)


def log_begins(stack: Stack) -> int:
    keeper = RedisLogKeeper(Server(stack.settings.stores()[0], stack.settings.prefix, 5.0))
    try:
        return keeper.begin()
    finally:
        keeper.close()


def lose_state(stack: Stack) -> None:
    """Everything that the state's server holds of this deployment is gone."""
    with redis.Redis.from_url(stack.settings.stores()[1]) as client:
        for keys in iter(lambda: list(client.scan_iter(f"{stack.settings.prefix}:*", 1_000)), []):
            client.delete(*keys)


def test_a_lost_state_is_made_again_from_the_archive_and_the_trimmed_log(
    start: Start, dataset: Dataset, tmp_path: Path
) -> None:
    """The keeper is killed three times meanwhile, the worker once; then all of the state goes."""
    with start() as calm, calm.client() as client:
        account = Account(client)
        post_all(account, dataset)
        account.wait_until_applied()
        expected, expected_ids = state_of(calm, dataset)
    folder = tmp_path / "archive"
    said: list[str] = []
    settings = {"archive_url": str(folder), "log_length": 300, "keeper_seconds": 0.1}
    with start(said, **settings) as stack, stack.client() as client:
        account = Account(client)
        keeper, worker, killed = stack.child("keeper"), stack.child("worker"), {0}

        def kill_keeper() -> None:
            wait(lambda: keeper.pid not in killed)  # it was started again
            kill(keeper.pid)
            killed.add(keeper.pid)

        post_all(account, dataset, dict.fromkeys((10, 25, 40), kill_keeper) | {30: lambda: kill(worker.pid)})
        account.wait_until_applied()
        wait(lambda: len(archived(folder)) == len(dataset))
        wait(lambda: log_begins(stack) > 1)
        prefix, begin = stack.settings.prefix, log_begins(stack)
    records = archived(folder)
    assert records.offset.tolist() == list(range(1, len(dataset) + 1))
    posted = [event["event_id"].encode() for event in datasets.events(dataset)]
    assert Columns(records).event_id == posted
    assert len([line for line in said if line.startswith("keeper: ended with exit code -9")]) == 3
    lose_state(stack)
    with start(prefix=prefix, **settings) as stack, stack.client() as client:
        wait(lambda: client.ready().body.get("offset") == len(dataset))
        found, found_ids = state_of(stack, dataset)
        assert log_begins(stack) >= begin > 1
    assert found_ids == expected_ids
    assert_same(found, expected)


@pytest.fixture
def stores(valkey: EmbeddedValkey, prefix: str) -> dict[str, str]:
    return {"log_url": valkey.log_url, "state_url": valkey.state_url, "prefix": prefix}


def keeper_process(
    stores: dict[str, str], folder: Path, *command: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    values = stores | {"archive_url": str(folder), "lease_seconds": "1", "keeper_seconds": "0.1"}
    environment = os.environ | {f"PEREGRINE_{name.upper()}": value for name, value in values.items()}
    return spawned("-m", *command, env=environment)


def append(stores: dict[str, Any], payloads: Sequence[bytes]) -> None:
    async def work() -> None:
        log = RedisEventLog(Server(stores["log_url"], stores["prefix"], 5.0))
        await log.append([Append(payload, 7) for payload in payloads])
        await log.aclose()

    asyncio.run(work())


def test_a_keeper_killed_at_every_step_of_its_work_loses_and_doubles_nothing(
    stores: dict[str, str], tmp_path: Path
) -> None:
    """Nine keepers, each killed one step further into claiming, writing, replacing and cleaning up than the one before;
    records arrive between them."""
    payloads = [pack_event(Event(f"e{n}", f"u{n % 9}", f"i{n % 5}", "view", None)) for n in range(950)]
    for step in range(1, 10):
        append(stores, payloads[(step - 1) * 100 : step * 100])
        with keeper_process(stores, tmp_path, "tests.e2e.killed_keeper", str(step)) as keeper:
            keeper.communicate(timeout=DEADLINE)
        assert keeper.returncode == -signal.SIGKILL
        before = archived(tmp_path)
        assert before.payloads() == payloads[: len(before)]
        assert before.offset.tolist() == list(range(1, len(before) + 1))
    append(stores, payloads[900:])
    with keeper_process(stores, tmp_path, "service.cli", "keeper") as keeper:
        wait(lambda: len(archived(tmp_path)) == len(payloads))
        keeper.send_signal(signal.SIGTERM)
        said = keeper.communicate(timeout=DEADLINE)[1]
    assert keeper.returncode == 0, said
    assert "keeper_stopped" in said
    assert archived(tmp_path).payloads() == payloads
    folder = LocalFolder(tmp_path)
    assert set(folder.names()) == read_manifest(folder).names()


def test_a_stopped_keeper_is_replaced_and_changes_nothing_when_it_wakes_up(
    stores: dict[str, str], tmp_path: Path
) -> None:
    payloads = [pack_event(Event(f"e{n}", "u", "i", "view", None)) for n in range(300)]
    append(stores, payloads[:100])
    with keeper_process(stores, tmp_path, "service.cli", "keeper") as first:
        wait(lambda: len(archived(tmp_path)) == 100)
        first.send_signal(signal.SIGSTOP)
        append(stores, payloads[100:200])
        with keeper_process(stores, tmp_path, "service.cli", "keeper") as second:
            wait(lambda: len(archived(tmp_path)) == 200)
            first.send_signal(signal.SIGCONT)
            append(stores, payloads[200:])
            wait(lambda: len(archived(tmp_path)) == 300)
            for keeper in (first, second):
                keeper.send_signal(signal.SIGTERM)
            said = [keeper.communicate(timeout=DEADLINE)[1] for keeper in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert "keeper_fenced" in said[0]
    assert archived(tmp_path).payloads() == payloads


def test_up_keeps_an_archive_in_its_data_folder(tmp_path: Path, bundle: Path) -> None:
    settings = load_settings(data_dir=tmp_path, bundle=bundle, port=0, keeper_seconds=0.1)
    with Stack(settings, lambda *_: None) as stack, stack.client() as client:
        client.post_events([{"user_id": "u", "item_id": "i"}], wait=True)
        wait(lambda: len(archived(tmp_path / "archive")) == 1)
