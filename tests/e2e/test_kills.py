"""What outlives a kill -9: of the worker, of the stores, of everything at once. Each test says what it killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from model.data import Dataset
from model.process.state import State
from service.commands import datasets, reading_back
from service.commands.posting import Account
from service.commands.snapshot import read_state
from service.processes.all_in_one import Stack
from service.settings import load_settings
from service.wiring import build_worker
from tests.e2e.conftest import Start
from tests.spawned import spawned

BATCH = 40
DEADLINE = 20.0


def state_of(stack: Stack, dataset: Dataset) -> tuple[State, list[str]]:
    services = build_worker(stack.settings)
    return read_state(services.store, services.bundle.model, dataset.user_ids)


def post_all(account: Account, dataset: Dataset, before_batch: dict[int, Callable[[], None]] | None = None) -> None:
    """All events in batches of 40, in order; before_batch: what happens before the batch of that number."""
    for number, batch in enumerate(datasets.batches(datasets.events(dataset), BATCH)):
        (before_batch or {}).get(number, lambda: None)()
        account.post(batch)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_a_worker_killed_in_mid_replay_leaves_the_state_of_an_undisturbed_run(start: Start, dataset: Dataset) -> None:
    """Two kills, each right after a batch was accepted that the worker had no time to finish."""
    with start() as calm, calm.client() as client:
        account = Account(client)
        post_all(account, dataset)
        account.wait_until_applied()
        expected, expected_ids = state_of(calm, dataset)
    said: list[str] = []
    with start(said) as stack, stack.client() as client:
        account = Account(client)
        worker = stack.child("worker")

        kills = {11: lambda: kill(worker.pid), 30: account.wait_until_applied, 31: lambda: kill(worker.pid)}
        post_all(account, dataset, kills)
        account.wait_until_applied()
        found, found_ids = state_of(stack, dataset)
    assert len([line for line in said if "ended with exit code -9" in line]) == 2
    assert found_ids == expected_ids
    assert found.log_time == expected.log_time
    assert_same(found, expected)


def assert_same(found: State, expected: State) -> None:
    """Integers and times exactly; vectors to float32 rounding, for commits of other sizes sum in another order."""
    for kind in ("users", "items"):
        rows, others = getattr(found, kind), getattr(expected, kind)
        for name in rows.dtype.names:
            if rows[name].dtype.kind == "f":
                np.testing.assert_allclose(rows[name], others[name], rtol=1e-4, atol=1e-5, err_msg=name)
            else:
                assert np.array_equal(rows[name], others[name]), (kind, name)
    for pairs, others in zip(found.pairs, expected.pairs, strict=True):
        for name in ("item", "count", "moments", "first", "last"):
            assert np.array_equal(pairs[name], others[name]), name


def test_stores_killed_in_mid_flight_lose_nothing(tmp_path: Path, bundle: Path, dataset: Dataset) -> None:
    settings = load_settings(data_dir=tmp_path, bundle=bundle, clock="event", port=0, lease_seconds=1.0)
    with Stack(settings, lambda *_: None) as stack, stack.client() as client:
        account = Account(client)
        pids = {name: int((tmp_path / f"{name}.pid").read_text()) for name in ("log", "state")}
        post_all(account, dataset, {15: lambda: kill(pids["state"]), 40: lambda: kill(pids["log"])})
        account.wait_until_applied()
        assert account.events.rejected == 0
        assert reading_back.lost(client, reading_back.count(datasets.events(dataset))) == 0


def test_a_folder_left_by_a_killed_run_is_continued(tmp_path: Path, bundle: Path, dataset: Dataset) -> None:
    half = len(dataset) // 2
    environment = os.environ | {"PEREGRINE_CLOCK": "event", "PEREGRINE_LEASE_SECONDS": "1"}
    command = (
        "-m",
        "service.cli",
        "up",
        "--data-dir",
        str(tmp_path),
        "--bundle",
        str(bundle),
        "--port",
        "0",
        "--no-ui",
    )
    with spawned(*command, env=environment) as up:
        assert up.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", up.stdout.readline())
        assert found
        port = int(found[1])
        settings = load_settings(data_dir=tmp_path, bundle=bundle, clock="event", port=port, lease_seconds=1.0)
        events = datasets.events(dataset)
        stack = Stack(settings, lambda *_: None)
        with stack.client() as client:
            for batch in datasets.batches(events[:half], BATCH):
                client.post_events(batch)
        kill(up.pid)  # with what is not applied yet
    with Stack(settings.model_copy(update={"port": 0}), lambda *_: None) as stack, stack.client() as client:
        account = Account(client)
        for batch in datasets.batches(events[half - BATCH :], BATCH):  # the first batch is there already
            account.post(batch)
        account.wait_until_applied()
        assert account.events.duplicates == BATCH
        assert reading_back.lost(client, reading_back.count(events)) == 0


def test_no_process_outlives_a_killed_supervisor(tmp_path: Path, bundle: Path) -> None:
    """Worker and API stop by themselves: an orphan would keep the port and the lease."""
    command = (
        "-m",
        "service.cli",
        "up",
        "--data-dir",
        str(tmp_path),
        "--bundle",
        str(bundle),
        "--port",
        "0",
        "--no-ui",
    )
    with spawned(*command) as up:
        assert up.stdout is not None
        up.stdout.readline()
        children = [pid for pid in children_of(up.pid) if "service.processes.child" in command_of(pid)]
        assert len(children) == 4  # worker, API, keeper, profiler
        kill(up.pid)
        try:
            deadline = time.monotonic() + DEADLINE
            while any("service.processes.child" in command_of(pid) for pid in children):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            for name in ("log", "state"):  # these are left for the next run to take over, which does not come here
                kill(int((tmp_path / f"{name}.pid").read_text()))


def children_of(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "--ppid", str(parent), "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]


def command_of(pid: int) -> str:
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=False)
    return shown.stdout
