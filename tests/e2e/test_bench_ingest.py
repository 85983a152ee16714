"""`peregrine bench ingest` in small: every figure is there and they hang together, however large they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.long
def test_every_figure_is_measured() -> None:
    arguments = ["--events", "10000", "--seconds", "3", "--entities", "1000", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "bench", "ingest", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert 0 < report["drain_events_per_second"] < report["compute_bound_events_per_second"]
    assert report["rebuild_records"] == 10_000
    assert report["rebuild_max_difference"] < 1e-4
    assert report["sustained_events_per_second"] > 0
    assert 0 <= report["tick_closings"] <= 3
    assert 0 < report["freshness_ms"]["p50"] <= report["freshness_ms"]["p99"]
    assert (report["unseen"], report["failed"]) == (0, 0)
    assert report["graph_calls"]["update_users"]["rows_per_call"] > 1
    for width in report["memory"].values():
        for kind in ("user", "item"):
            assert width[kind]["bytes"] > width[kind]["packed"] * 0.9
    assert report["bytes_per_user"] == report["memory"]["d=64"]["user"]["bytes"]
