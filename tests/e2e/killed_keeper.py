"""A keeper that is killed (SIGKILL) before its n-th change of a folder: `python -m tests.e2e.killed_keeper N`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from service.processes.child import run

_left = int(sys.argv[1])


def deadly(change: Any) -> Any:
    def changed(*args: Any, **options: Any) -> Any:
        global _left  # noqa: PLW0603 - one counter for all changes
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(*args, **options)

    return changed


os.fsync = deadly(os.fsync)
for name in ("replace", "hardlink_to", "unlink"):
    setattr(Path, name, deadly(getattr(Path, name)))
run("keeper")
