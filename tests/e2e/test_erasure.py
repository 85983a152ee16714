"""Erasure as a whole: afterwards no key, no value and no file of the deployment holds the user's id."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.data import Dataset
from service.client import Client, NotFound
from service.commands import datasets
from service.commands.posting import Account
from service.embedded import EmbeddedValkey
from service.event_path.tidying import GRACE_SECONDS
from service.processes.all_in_one import Stack
from service.settings import load_settings
from service.wiring import build_worker
from tests.e2e import traces
from tests.e2e.processes import environment, process
from tests.e2e.processes import until as wait_until

SECRET = "zq-Wilhelmine-4711"
DEADLINE = 60.0


@contextmanager
def deployment(folder: Path, bundle: Path, said: list[str]) -> Iterator[tuple[Stack, Client]]:
    """Everything on one folder; the log is kept so short that much of it is in the archive alone."""
    settings = load_settings(
        data_dir=folder,
        bundle=bundle,
        clock="event",
        port=0,
        lease_seconds=1.0,
        keeper_seconds=0.1,
        log_length=1_000,
        archive_url=str(folder / "archive"),
    )
    with (
        Stack(settings, lambda name, line: said.append(f"{name}: {line}")) as stack,
        stack.client() as client,
    ):
        yield stack, client


def post(client: Client, dataset: Dataset, secret: int) -> None:
    """The data set, and as many events of the one who is to be erased, between its batches."""
    account = Account(client)
    events = datasets.events(dataset)
    for number, batch in enumerate(datasets.batches(events, 40)):
        mine = [_event(f"{number}-{n}", batch[-1]) for n in range(secret * 40 // len(events) + 1)]
        account.post([*batch, *mine])
    account.wait_until_applied()


def _event(name: str, like: dict[str, Any]) -> dict[str, Any]:
    more = {"event_id": f"{SECRET}-{name}", "session_id": f"of {SECRET}", "properties": {"name": SECRET}}
    return {"user_id": SECRET, "item_id": like["item_id"], "timestamp": like["timestamp"], **more}


def until(client: Client, erasure_id: str, seconds: float = DEADLINE) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (erasure := client.get_erasure(erasure_id))["status"] == "pending":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return erasure


def until_archived(folder: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while ".parquet" not in traces.in_files(folder, SECRET):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def until_profiled(stack: Stack) -> None:
    """There is a profile with a change, and the user stands in the queue."""
    path = f"{stack.url}/v1/users/{SECRET}/profile"
    deadline = time.monotonic() + DEADLINE
    while not httpx.get(path).is_success:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert httpx.put(path, json={"override": {"interest": ["Wilhelmine"]}}).is_success
    assert httpx.post(f"{path}/refresh").is_success


def assert_nothing_left(stack: Stack, folder: Path) -> None:
    """Files of the servers that are replaced are removed a moment later."""
    assert traces.in_stores(stack, SECRET) == set()
    deadline = time.monotonic() + DEADLINE
    while found := traces.in_files(folder, SECRET):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_no_key_and_no_file_holds_an_erased_user(tmp_path: Path, bundle: Path, dataset: Dataset) -> None:
    said: list[str] = []
    with deployment(tmp_path, bundle, said) as (stack, client):
        post(client, dataset, secret=300)
        client.set_personalised(SECRET, False)
        client.set_personalised(SECRET, True)
        client.post_events([_event(f"last-{n}", datasets.events(dataset)[-1]) for n in range(3)], wait=True)
        until_archived(tmp_path)
        until_profiled(stack)
        assert {"log:stream", "state:key"} <= traces.in_stores(stack, SECRET)
        assert {"log/.aof", "state/.aof", ".parquet"} <= traces.in_files(tmp_path, SECRET)
        erasure = client.erase_user(SECRET)
        assert (erasure["status"], erasure["applied"]) == ("pending", True)
        with pytest.raises(NotFound):
            client.get_user(SECRET)
        assert until(client, erasure["erasure_id"])["completed_at"] is not None
        assert_nothing_left(stack, tmp_path)
        assert [line for line in client.export_user(SECRET) if '"record":"end"' not in line] == []
        others = client.get_user(str(datasets.events(dataset)[0]["user_id"]))
        assert others["events"] > 0
        again = client.post_events([_event("0-0", datasets.events(dataset)[-1])], wait=True)
        assert (again.accepted, again.duplicates) == (1, 0)  # its event id was forgotten, too
        until(client, client.erase_user(SECRET)["erasure_id"])
        assert_nothing_left(stack, tmp_path)
    assert traces.in_files(tmp_path, SECRET) == set()
    assert not [line for line in said if SECRET in line]
    assert len([line for line in said if "erasure_complete" in line]) == 2
    with EmbeddedValkey(tmp_path) as servers:  # what the files give back, compressed or not
        stack.settings = load_settings(log_url=servers.log_url, state_url=servers.state_url)
        assert traces.in_stores(stack, SECRET) == set()


def test_a_keeper_killed_in_the_middle_finishes_when_it_is_started_again(
    tmp_path: Path, bundle: Path, dataset: Dataset
) -> None:
    """Killed 0, 50, 150 and 400 ms after it took the log over."""
    said: list[str] = []
    with deployment(tmp_path, bundle, said) as (stack, client):
        post(client, dataset, secret=300)
        until_archived(tmp_path)
        keeper = stack.child("keeper")
        os.kill(keeper.pid, signal.SIGKILL)
        erasure = client.erase_user(SECRET)
        for kills, delay in enumerate((0.0, 0.05, 0.15, 0.4), start=2):
            _until_said(said, "archive_claimed", kills)
            time.sleep(delay)
            os.kill(keeper.pid, signal.SIGKILL)
        until(client, erasure["erasure_id"])
        assert_nothing_left(stack, tmp_path)
        assert client.get_user(str(datasets.events(dataset)[0]["user_id"]))["events"] > 0
    assert len([line for line in said if "keeper: ended with exit code -9" in line]) == 5


@pytest.mark.long
def test_an_erasure_during_a_rebuild_is_complete_when_the_state_that_was_replaced_is_gone(
    tmp_path: Path, bundle: Path, dataset: Dataset
) -> None:
    with deployment(tmp_path, bundle, []) as (stack, client):
        post(client, dataset, secret=300)
        generations = build_worker(stack.settings).generations
        own = environment(stack.settings, batch_size=4, archive_url=stack.settings.archive_url)
        with process(["rebuild", "--json"], own) as rebuild:
            wait_until(lambda: generations.next().position().offset > 100)
            erasure = client.erase_user(SECRET)
            assert client.get_erasure(erasure["erasure_id"])["status"] == "pending"
            code, printed = rebuild.ends()
        assert (code, json.loads(printed)["generation"]) == (0, 2), rebuild.said
        until(client, erasure["erasure_id"], DEADLINE + GRACE_SECONDS)
        assert_nothing_left(stack, tmp_path)
        with pytest.raises(NotFound):
            client.get_user(SECRET)
        assert client.get_user(str(datasets.events(dataset)[0]["user_id"]))["events"] > 0


def _until_said(said: list[str], what: str, times: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while len([line for line in said if what in line]) < times:
        assert time.monotonic() < deadline, said[-5:]
        time.sleep(0.01)
