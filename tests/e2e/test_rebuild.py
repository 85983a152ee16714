"""Rebuilds as processes of their own, beside a service that goes on: over HTTP, with events coming in."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import pytest

from model.data import Dataset
from model.process.state import State
from service.client import Client
from service.commands import datasets, reading_back
from service.commands.bundles import remade
from service.commands.posting import Account
from service.processes.all_in_one import Stack
from service.settings import load_settings
from service.wiring import build_worker
from tests.e2e.conftest import Start
from tests.e2e.processes import environment, process, until
from tests.e2e.test_kills import BATCH, assert_same, kill, post_all, state_of

REBUILD = ["rebuild", "--json"]


@pytest.fixture(scope="module")
def undisturbed(start: Start, dataset: Dataset) -> tuple[State, list[str]]:
    """The state of a service that nobody disturbed."""
    with start() as calm, calm.client() as client:
        account = Account(client)
        post_all(account, dataset)
        account.wait_until_applied()
        return state_of(calm, dataset)


@contextmanager
def listening(client: Client, dataset: Dataset, at: int) -> Iterator[list[str]]:
    """Asks for lists all the time; the strategies of the answers."""
    stop, strategies = Flag(), list[str]()

    def ask() -> None:
        while not stop.is_set():
            user = dataset.user_ids[len(strategies) % dataset.n_users]
            strategies.append(client.recommendations(user, k=10, at=at).strategy)

    thread = Thread(target=ask)
    thread.start()
    try:
        yield strategies
    finally:
        stop.set()
        thread.join()


def active(stack: Stack) -> tuple[int, int]:
    """(number, offset) of the active generation."""
    store = build_worker(stack.settings).store
    return store.generation, store.position().offset


def test_a_rebuild_while_events_come_in_and_lists_are_served_gives_the_undisturbed_state(
    start: Start, dataset: Dataset, undisturbed: tuple[State, list[str]]
) -> None:
    batches = list(datasets.batches(datasets.events(dataset), BATCH))
    half = len(batches) // 2
    with start() as stack, stack.client() as client, stack.client() as reader:
        account = Account(client)
        for batch in batches[:half]:
            account.post(batch)
        account.wait_until_applied()
        with (
            listening(reader, dataset, int(dataset.timestamp[-1])) as strategies,
            process(REBUILD, environment(stack.settings, batch_size=50)) as rebuild,
        ):
            for batch in batches[half:]:
                account.post(batch)
            code, printed = rebuild.ends()
            account.wait_until_applied()
        found, found_ids = state_of(stack, dataset)
        assert active(stack) == (2, account.offset)
        assert client.ready().ok
    assert (code, set(strategies)) == (0, {"model"}), rebuild.said
    report = json.loads(printed)
    assert report["generation"] == 2
    assert half * BATCH <= report["records"] <= len(dataset)
    assert report["records_per_second"] > 0
    assert found_ids == undisturbed[1]
    assert_same(found, undisturbed[0])


def test_a_killed_rebuild_leaves_the_service_alone_and_the_next_one_succeeds(
    start: Start, dataset: Dataset, undisturbed: tuple[State, list[str]]
) -> None:
    """Kill -9 when it has filled a part."""
    with start() as stack, stack.client() as client:
        account = Account(client)
        post_all(account, dataset)
        account.wait_until_applied()
        generations = build_worker(stack.settings).generations
        with process(REBUILD, environment(stack.settings, batch_size=4)) as rebuild:
            until(lambda: generations.next().position().offset > 100)
            kill(rebuild.popen.pid)
        assert active(stack) == (1, account.offset)
        assert reading_back.lost(client, reading_back.count(datasets.events(dataset))) == 0

        def again() -> bool:
            with process(REBUILD, environment(stack.settings)) as rebuild:
                code, _ = rebuild.ends()
                assert code == 0 or "under way, or was killed a moment ago" in rebuild.said[-1]
                return code == 0

        until(again)  # the lease of the killed one has to run out
        until(lambda: active(stack) == (2, account.offset))
        found, _ = state_of(stack, dataset)
    assert_same(found, undisturbed[0])


def test_an_interrupted_rebuild_says_that_the_old_state_serves_on(start: Start, dataset: Dataset) -> None:
    with start() as stack, stack.client() as client:
        account = Account(client)
        post_all(account, dataset)
        account.wait_until_applied()
        generations = build_worker(stack.settings).generations
        with process(REBUILD, environment(stack.settings, batch_size=4)) as rebuild:
            until(lambda: generations.next().position().offset > 100)
            rebuild.popen.send_signal(signal.SIGINT)
            assert rebuild.ends() == (1, "")
        assert "the old state serves on" in rebuild.said[-1]
        assert active(stack)[0] == 1


def test_a_rebuild_by_another_bundle_must_be_asked_for(
    start: Start, dataset: Dataset, tmp_path: Path, bundle: Path
) -> None:
    other = remade(bundle, tmp_path / "other", "other")
    with start() as stack, stack.client() as client:
        account = Account(client)
        account.post(datasets.events(dataset, 0, 10))
        account.wait_until_applied()
        with process(REBUILD, environment(stack.settings, bundle=other)) as rebuild:
            code, _ = rebuild.ends()
            assert code == 1
            assert "or give --bundle" in rebuild.said[-1]
        assert active(stack)[0] == 1


def test_a_worker_with_another_bundle_takes_over_when_it_has_caught_up(
    start: Start, dataset: Dataset, tmp_path: Path, bundle: Path
) -> None:
    """The old worker and the old API go on beside it; then the service is started with the new bundle."""
    other = remade(bundle, tmp_path / "other", "other")
    half = len(dataset) // 2
    said: list[str] = []
    with start(said, log_format="json") as stack, stack.client() as client:
        account = Account(client)
        for batch in datasets.batches(datasets.events(dataset, 0, half), BATCH):
            account.post(batch)
        account.wait_until_applied()
        at = int(dataset.timestamp[-1])
        before = client.recommendations(dataset.user_ids[0], k=10, at=at)
        with process(["worker"], environment(stack.settings, bundle=other)) as worker:
            until(lambda: active(stack)[0] == 2)
            worker.says('"resumed"')
            after = client.recommendations(dataset.user_ids[0], k=10, at=at)
            assert after.items == before.items  # the old API shows what it has
            until(lambda: not client.ready().ok)
            until(lambda: any("start the worker with that one" in line for line in said))  # and the old worker waits
        prefix = stack.settings.prefix
    with start(prefix=prefix, bundle=other) as stack, stack.client() as client:
        account = Account(client)
        for batch in datasets.batches(datasets.events(dataset, half, len(dataset)), BATCH):
            account.post(batch)
        account.wait_until_applied()
        assert active(stack)[0] == 2
        new = client.recommendations(dataset.user_ids[0], k=10, at=at)
        assert new.strategy == "model"
        assert new.model.version != before.model.version or new.items != before.items
        assert reading_back.lost(client, reading_back.count(datasets.events(dataset))) == 0


def test_a_data_folder_is_rebuilt_whether_it_is_in_use_or_not(tmp_path: Path, bundle: Path, dataset: Dataset) -> None:
    settings = load_settings(data_dir=tmp_path, bundle=bundle, clock="event", port=0, lease_seconds=1.0)
    command = [*REBUILD, "--data-dir", str(tmp_path), "--bundle", str(bundle)]
    with Stack(settings, lambda *_: None) as stack, stack.client() as client:
        account = Account(client)
        post_all(account, dataset)
        account.wait_until_applied()
        with process(command, os.environ | {"PEREGRINE_CLOCK": "event"}) as rebuild:
            code, printed = rebuild.ends()
            assert code == 0, rebuild.said
        assert json.loads(printed)["generation"] == 2
        assert reading_back.lost(client, reading_back.count(datasets.events(dataset))) == 0
    with process(command, os.environ | {"PEREGRINE_CLOCK": "event"}) as rebuild:
        code, printed = rebuild.ends()
        assert code == 0, rebuild.said
    assert json.loads(printed)["generation"] == 3
    with Stack(settings, lambda *_: None) as stack, stack.client() as client:
        assert reading_back.lost(client, reading_back.count(datasets.events(dataset))) == 0
