"""The tools that deploy/ is checked with, as tests/deploy/tools.sh brings them."""

from __future__ import annotations

import subprocess
from pathlib import Path

FOLDER = Path(".cache/tools/venv/bin").absolute()


def run(tool: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Raises AssertionError, with what it said, when it fails or is not there."""
    assert (FOLDER / tool).exists(), f"{tool} is missing: run `make test-deploy`, which installs it"
    done = subprocess.run([FOLDER / tool, *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert not check or done.returncode == 0, f"{tool} {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done
