"""What a terminal shows of a run: a bar for each epoch, a line after it. Everything goes to stderr."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

SMOOTHING = 0.97
"""Share of the last loss in the one shown."""


class ProgressBar:
    """One bar over the events of an epoch, with events/s and the running losses."""

    def __init__(self, console: Console, title: str, events: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"))
        quiet = not console.is_terminal  # where nothing can be drawn over, a bar would leave empty lines
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=quiet)
        self._task = self._bar.add_task(title, total=events, figures="")
        self._events, self._began = 0, time.monotonic()
        self._losses: tuple[float, ...] = ()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def advance(self, events: int, *losses: float) -> None:
        """Some events are done; losses: of `next` and `discover`, where there are any."""
        self._events += events
        kept = SMOOTHING if self._losses else 0.0
        past = self._losses or losses
        self._losses = tuple(kept * old + (1 - kept) * new for old, new in zip(past, losses, strict=False))
        figures = [f"{self.rate:,.0f} events/s", *(f"loss {loss:.3f}" for loss in self._losses)]
        self._bar.update(self._task, advance=events, figures="  ".join(figures))

    @property
    def rate(self) -> float:
        """Events a second so far."""
        return self._events / max(time.monotonic() - self._began, 1e-9)
