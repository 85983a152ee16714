"""The pages in a process of their own, listening on loopback whatever their settings say of who may come."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from service.processes.listening import listen
from service.settings import load_settings
from service.ui.app import create_app
from tests.spawned import spawned


@contextmanager
def alone(service: str, **settings: str) -> Iterator[str]:
    """The pages' address. service: URL of the service they ask; settings by name."""
    environment = {f"PEREGRINE_{name.upper()}": value for name, value in settings.items()}
    with spawned("-m", "tests.browser.alone", service, env=os.environ | environment) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


def main() -> None:
    with listen("127.0.0.1", 0) as listener:
        application = create_app(load_settings(), sys.argv[1])
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(application, log_level="error")).run(sockets=[listener])


if __name__ == "__main__":
    main()
