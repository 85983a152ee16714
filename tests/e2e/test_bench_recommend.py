"""`peregrine bench recommend` in small: every figure is there and they hang together, however large they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

TIMES = {
    "p50_ms",
    "p99_ms",
    "bare_p50_ms",
    "bare_p99_ms",
    "capacity_rps",
    "bare_rps",
    "single_rps",
    "batch_rps",
    "stages_ms",
}
KEYS = TIMES | {"recall_at_100", "update_us", "bytes_per_item"}


@pytest.mark.long
def test_every_figure_is_measured() -> None:
    arguments = ["--items", "1000", "--seconds", "3", "--rate", "20", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "bench", "recommend", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report) == KEYS
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert set(report["stages_ms"]) == {"state", "embed", "search", "rules", "serialise"}
    assert report["recall_at_100"] == 1.0  # so few items are searched one and all
    assert report["bytes_per_item"] > 4 * 72  # the row, [v || P], alone
    rates = (report[name] for name in ("capacity_rps", "bare_rps", "single_rps", "batch_rps", "update_us"))
    assert min(rates) > 0
