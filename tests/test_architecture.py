"""The tree keeps its shape: files stay small, serving never meets torch, and the project speaks of itself alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(p for top in ("service", "model", "tests") for p in (ROOT / top).rglob("*.py"))
LONGEST = 300


def test_no_file_is_longer_than_three_hundred_lines() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in SOURCES}
    assert not {name: length for name, length in lengths.items() if length > LONGEST}


@pytest.mark.parametrize("module", ["service", "service.wiring", "service.cli", "service.processes.worker"])
def test_serving_does_not_import_torch(module: str) -> None:
    check = (
        "import sys, importlib.abc\n"
        "class NoTorch(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ImportError('torch is not there')\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        f"import {module}\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_every_module_says_what_it_is() -> None:
    silent = [str(p.relative_to(ROOT)) for p in SOURCES if p.stat().st_size and not p.read_text().startswith('"""')]
    assert not silent
