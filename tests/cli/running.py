"""The command as a user runs it: a process of its own, with only the settings that the test gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(**settings: str) -> dict[str, str]:
    """Ours without settings of Peregrine, but for these (`port="1"` is PEREGRINE_PORT=1)."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PEREGRINE_")}
    return plain | {f"PEREGRINE_{name.upper()}": value for name, value in settings.items()} | {"COLUMNS": "200"}


def peregrine(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs `peregrine <arguments>` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        env=environment(**settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_one_clear_error(done: subprocess.CompletedProcess[str], *told: str) -> None:
    """Exit code 1, one error line at the end of stderr that says all of `told`, nothing on stdout, no traceback."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: "), done.stderr
    assert not [text for text in told if text not in last], last
