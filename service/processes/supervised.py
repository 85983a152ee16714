"""Processes that a process of ours starts, watches, and starts again when they die."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from threading import Thread
from typing import IO

from pydantic import SecretStr

from service.errors import PeregrineError
from service.settings import PREFIX, Settings

Output = Callable[[str, str], None]
"""Takes a process's name and one line it wrote."""

_STOP_SECONDS = 15.0  # a worker finishes its step, an API its requests
_LONGEST_PAUSE = 10.0  # seconds between two starts
_STEADY_SECONDS = 60.0  # a process that ran for this long starts with a clean slate


class StartFailed(PeregrineError):
    """The stack did not become ready; says which process, and what it said last."""


class Child:
    """One supervised process, running from the start."""

    def __init__(self, name: str, environment: dict[str, str], output: Output) -> None:
        self.name = name
        self._environment = environment
        self._output = output
        self._said: deque[str] = deque(maxlen=3)
        self._pause = 0.25
        self._again: float | None = None
        self._started = time.monotonic()
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        return self._process.pid

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "service.processes.child", self.name],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is the supervisor's to handle, for the order of stopping
        )
        Thread(target=self._read, args=(process.stdout,), daemon=True, name=f"{self.name}-output").start()
        return process

    def check_alive(self) -> None:
        """Raises StartFailed if the process has ended."""
        code = self._process.poll()
        if code is not None:
            time.sleep(0.1)  # its last words are still on their way
            said = " / ".join(self._said) or "it said nothing"
            raise StartFailed(f"the {self.name} stopped at its start (exit code {code}): {said}")

    def tend(self) -> None:
        """Starts the process again if it has died and its pause is over."""
        code = self._process.poll()
        now = time.monotonic()
        if code is None:
            return
        if self._again is None:
            self._close_input()
            self._pause = 0.5 if now - self._started > _STEADY_SECONDS else min(_LONGEST_PAUSE, 2 * self._pause)
            self._again = now + self._pause
            self._output(self.name, f"ended with exit code {code}; starts again in {self._pause:.1f} s")
        elif now >= self._again:
            self._started, self._again = now, None
            self._process = self._start()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if it takes too long."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._output(self.name, f"did not stop within {_STOP_SECONDS:.0f} s and was killed")
            self._process.kill()
            self._process.wait()
        self._close_input()

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _read(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                text = line.decode("utf-8", "replace").rstrip()
                self._said.append(text)
                self._output(self.name, text)


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a child: ours, with exactly these settings."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    for name, value in settings.model_dump().items():
        if value is not None:
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            found[f"{PREFIX}{name.upper()}"] = str(plain)
    if settings.log_format == "auto":
        found[f"{PREFIX}LOG_FORMAT"] = "text" if sys.stderr.isatty() else "json"
    return found
