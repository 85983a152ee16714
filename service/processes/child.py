"""One process of `peregrine up`: `python -m service.processes.child NAME`, with settings from the environment.

Standard input is a pipe that the parent holds open. When the parent is gone, however it went, the pipe ends and this
process stops as on SIGTERM: no orphan keeps the port or the lease.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Thread

from service.errors import PeregrineError
from service.logs import configure
from service.processes.surroundings import tell_unknown_variables
from service.settings import load_settings

PROCESSES = ("worker", "keeper", "api", "profiler")
MEMBER = "member"
"""A worker for one live model, which a worker starts."""
UI = "ui"


def run(name: str) -> None:
    """Runs one of PROCESSES, MEMBER or the UI until it is stopped."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: small products are slower on more, much if others run
    settings = load_settings()
    configure(settings.log_level, settings.log_format)
    tell_unknown_variables()
    if name == "worker":
        from service.processes.worker import main
    elif name == MEMBER:
        from service.processes.worker import member as main
    elif name == "keeper":
        from service.processes.keeper import main
    elif name == "profiler":
        from service.processes.profiler import main
    elif name == UI:
        from service.processes.ui import main
    else:
        from service.processes.api import main
    main(settings)


def _stop_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_stop_with_parent, daemon=True, name="parent").start()
    try:
        run(sys.argv[1])
    except PeregrineError as exc:
        sys.exit(f"error: {exc}")
