"""`peregrine up` and `peregrine demo` from their first line to their last process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.client import Client
from service.processes.all_in_one import Stack
from service.processes.supervised import StartFailed
from service.settings import load_settings
from tests.e2e.conftest import Start
from tests.spawned import spawned


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_says_where_it_is_and_stops_everything_on_a_signal(
    tmp_path: Path, bundle: Path, number: signal.Signals
) -> None:
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
        said = [up.stdout.readline() for _ in range(4)]
        found = re.search(r"http://127\.0\.0\.1:\d+", said[0])
        assert found
        curl = re.search(r"curl (.*)", said[1])
        assert curl
        event = re.search(r"-d '(.*)'", curl[1])
        assert event
        with Client(found[0]) as client:
            assert client.ready().ok
            accepted = client.post_events([json.loads(event[1])], wait=True)
            assert accepted.applied
        pids = [int((tmp_path / f"{name}.pid").read_text()) for name in ("log", "state")]
        up.send_signal(number)
        rest = up.communicate(timeout=30)[1]
    assert up.returncode == 0, rest
    api_stopped, worker_stopped = rest.index("api_stopped"), rest.index("worker_stopped")
    assert api_stopped < worker_stopped  # nothing is accepted any more when the worker goes
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_process_that_cannot_start_is_an_error_with_its_own_words(start: Start, tmp_path: Path) -> None:
    (tmp_path / "something").write_text("no bundle")
    with (
        pytest.raises(StartFailed, match=r"(worker|api) stopped at its start \(exit code 1\).*manifest\.json"),
        start(bundle=tmp_path),
    ):
        pass


def test_a_folder_in_use_is_refused(tmp_path: Path, bundle: Path) -> None:
    settings = load_settings(data_dir=tmp_path, bundle=bundle, port=0)
    command = [sys.executable, "-m", "service.cli", "up", "--data-dir", str(tmp_path), "--port", "0", "--no-ui"]
    with Stack(settings, lambda *_: None):
        second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert f"in use by process {os.getpid()}" in second.stderr


def demo(bundle: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`peregrine demo` with another bundle than the shipped one; folder: for temporary files."""
    code = (
        "import sys; from pathlib import Path\n"
        "from service.commands import bundles; folder = Path(sys.argv.pop(1)); bundles.shipped = lambda: folder\n"
        "from service.cli import app; app()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(bundle), "demo", "--once", "--json", "--households", "50", *arguments],
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_demo_once_reports_what_it_measured_and_leaves_nothing_behind(tmp_path: Path, bundle: Path) -> None:
    done = demo(bundle, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert set(report) == {
        "events",
        "lost",
        "recall_at_20",
        "freshness_ms",
        "events_per_second",
        "setup_seconds",
    }
    assert set(report["recall_at_20"]) == {"live", "counters_only", "frozen", "own_frequency", "popular"}
    assert report["lost"] == 0
    assert report["events"] > 500
    assert report["recall_at_20"]["own_frequency"] > report["recall_at_20"]["popular"] > 0.05
    assert 0 < report["freshness_ms"]["p50"] <= report["freshness_ms"]["p99"]
    assert list(tmp_path.iterdir()) == []


def test_demo_leaves_a_folder_with_other_events_alone(tmp_path: Path, bundle: Path) -> None:
    place = tmp_path / "data"
    with Stack(load_settings(data_dir=place, port=0), lambda *_: None) as stack, stack.client() as client:
        client.post_events([{"user_id": "u", "item_id": "i"}], wait=True)
    before = sorted(str(path) for path in place.rglob("*"))
    done = demo(bundle, "--data-dir", str(place), folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "holds events of another run" in done.stderr
    assert sorted(str(path) for path in place.rglob("*")) == before
