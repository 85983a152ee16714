"""Further processes beside a running stack: a second worker, a rebuild."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

from service.settings import PREFIX, Settings

DEADLINE = 30.0


def environment(settings: Settings, **others: object) -> dict[str, str]:
    """The environment of a process that shares the stores; others: settings that it has of its own."""
    log_url, state_url = settings.stores()
    names = ("prefix", "bundle", "clock", "lease_seconds", "batch_size", "models")
    values = {"log_url": log_url, "state_url": state_url, "log_format": "json"}
    values |= {name: getattr(settings, name) for name in names} | others
    given = {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items() if value is not None}
    return os.environ | given


class Process:
    """A `peregrine` command whose lines on stderr are collected."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.said: list[str] = []
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "service.cli", *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr
        for line in self.popen.stderr:
            self.said.append(line)

    def says(self, text: str) -> str:
        """Waits for a line with `text`."""
        until(lambda: any(text in line for line in self.said) or self.popen.poll() is not None)
        self._end_of_output()
        return next(line for line in self.said if text in line)

    def ends(self) -> tuple[int, str]:
        """Waits for its end: exit code, and what it printed."""
        assert self.popen.stdout
        printed = self.popen.stdout.read()
        code = self.popen.wait(DEADLINE)
        self._end_of_output()
        return code, printed

    def _end_of_output(self) -> None:
        if self.popen.poll() is not None:
            self._reader.join(DEADLINE)


@contextmanager
def process(arguments: list[str], environment: dict[str, str]) -> Iterator[Process]:
    """Killed at the end of the block if it still runs."""
    started = Process(arguments, environment)
    with started.popen:
        try:
            yield started
        finally:
            started.popen.kill()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
