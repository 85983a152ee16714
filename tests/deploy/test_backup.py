"""The runbook of backup and restore, with real servers: copied under traffic, lost whole, brought back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from service.commands.bundles import shipped
from service.commands.reading_back import count, lost
from service.processes.all_in_one import Stack
from service.settings import load_settings
from tests.deploy.job import catalogue, until

pytestmark = pytest.mark.long

USERS, ITEMS = 12, 20


@contextmanager
def service(folder: Path) -> Iterator[Stack]:
    """Everything on one folder; the log is kept so short that much of it is in the archive alone."""
    settings = load_settings(
        data_dir=folder, bundle=shipped(), port=0, log_length=100, keeper_seconds=0.1, profiles="off", state_timeout=5.0
    )
    with Stack(settings, lambda *_: None, start_seconds=240.0) as stack:
        yield stack


def made(first: int, number: int) -> list[dict[str, str]]:
    return [
        {"event_id": f"e{n}", "user_id": f"u{n % USERS}", "item_id": f"item-{n % ITEMS}", "type": "purchase"}
        for n in range(first, first + number)
    ]


def places(folder: Path) -> list[Path]:
    return [folder / "log", folder / "state", folder / "archive"]


def script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([f"deploy/{name}.sh", *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A copy made while events came in; how many were acknowledged before it began."""
    folder = tmp_path_factory.mktemp("lost")
    out = folder / "backup"
    stop: list[bool] = []
    with service(folder / "data") as stack, stack.client() as client:
        client.put_items(catalogue(), wait=True)
        for first in range(0, 600, 50):
            client.post_events(made(first, 50), wait=True)
        until(lambda: sorted((folder / "data" / "archive").glob("*.parquet")))

        def go_on() -> None:
            with stack.client() as other:
                first = 600
                while not stop:
                    other.post_events(made(first, 10))
                    first += 10

        traffic = Thread(target=go_on)
        traffic.start()
        os.kill(stack.child("keeper").pid, signal.SIGSTOP)  # worse than stopped: in the middle of whatever it did
        done = script("backup", *places(folder / "data"), out)
        os.kill(stack.child("keeper").pid, signal.SIGCONT)
        stop.append(True)
        traffic.join()
    assert done.returncode == 0, done.stderr
    shutil.rmtree(folder / "data")
    return out, 600


@pytest.mark.parametrize("with_state", [True, False], ids=["with the state", "state made again"])
def test_everything_acknowledged_before_the_backup_is_there_after_the_restore(
    backup: tuple[Path, int], tmp_path: Path, with_state: bool
) -> None:
    out, acknowledged = backup
    log, state, archive = places(tmp_path / "data")
    done = script("restore", out, log, state if with_state else "-", archive)
    assert done.returncode == 0, done.stderr
    with service(tmp_path / "data") as stack, stack.client() as client:
        newest = client.post_events([{"user_id": "later", "item_id": "item-1"}], wait=True)
        until(lambda: client.ready().body["offset"] >= (newest.offset or 0))
        again = made(0, acknowledged)
        assert client.post_events(again).duplicates == acknowledged  # the deduplication keys came back, too
        seen = {user: sum(p["count"] for p in client.get_user(user, pairs=True)["pairs"]) for user in users()}
        assert sum(seen.values()) >= acknowledged
        # Each restored event counts once: whoever is sent now that was not in the copy is new, not double.
        total = int(sum(seen.values()))
        assert lost(client, count(made(0, total))) == 0
        assert client.recommendations("u0", k=5).strategy == "model"


def users() -> list[str]:
    return [f"u{n}" for n in range(USERS)]


def test_a_backup_that_was_changed_and_a_folder_in_use_are_refused(backup: tuple[Path, int], tmp_path: Path) -> None:
    out, _ = backup
    broken = tmp_path / "broken"
    shutil.copytree(out, broken)
    file = sorted((broken / "archive").glob("*.parquet"))[0]
    file.write_bytes(file.read_bytes()[:-1])
    assert script("restore", broken, *places(tmp_path / "a")).returncode != 0
    assert not (tmp_path / "a").exists()
    log, state, archive = places(tmp_path / "b")
    log.mkdir(parents=True)
    (log / "something").touch()
    done = script("restore", out, log, state, archive)
    assert (done.returncode, "is not empty" in done.stderr) == (1, True)
