"""What every command shares of the terminal: data on stdout, progress on stderr."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@cache
def stderr() -> Console:
    return Console(stderr=True, highlight=False)


@cache
def stdout() -> Console:
    return Console(highlight=False)


def say(message: str) -> None:
    """A line of progress, on stderr."""
    stderr().print(message, markup=False)


def print_text(text: str) -> None:
    """Text on stdout as it is, neither wrapped nor coloured."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_json(document: Any, indent: int | None = None) -> None:
    """One JSON document on stdout; on one line unless indented. NaN is refused, for it is no JSON."""
    print_text(json.dumps(document, indent=indent, allow_nan=False))


def progress(note: str) -> Progress:
    """A progress bar on stderr; each task may have a field `note`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(note),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr(),
    )


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM stops the block as Ctrl-C does, so that whatever was started is stopped."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
