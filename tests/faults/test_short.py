"""The short form of `make faults`: two workers, an API and both stores, killed and cut while events come in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_acknowledged_is_lost_or_doubled_under_kills_and_a_power_cut(tmp_path: Path) -> None:
    """At least four kills -9, one power cut of both stores, five other faults; about 2,500 events."""
    command = [sys.executable, "-m", "tests.faults.run", "--short", "--runs", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-5_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["acked"] >= 2_500
    assert found["kills"] >= 4
    assert (found["lost"], found["doubled"], found["wrong_entities"]) == (0, 0, 0)
    assert found["max_vector_difference"] < 1e-4
